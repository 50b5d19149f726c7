"""A checkpoint file's tensors, read without running anything that the file says.

The only module of the exporter that needs torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from clay.architecture import ARCHITECTURES, Architecture
from clayline.errors import ModelError
from clayline.model.manifest import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

PREFIX: Final = "model."
"""What a Lightning checkpoint puts before the model's names."""
MARK: Final = "encoder.cls_token"
"""The tensor that tells the size."""
SHOWN: Final = 5
"""How many of the broken tensors a message names."""
RESAVE: Final = """in a machine or container that may be lost, with nothing secret in it, run
  state = torch.load("FILE", weights_only=False, map_location="cpu")["state_dict"]
  torch.save({name: tensor.clone() for name, tensor in state.items()}, "clean.ckpt")
and export clean.ckpt"""
_UNREADABLE: Final = (
    "{file} cannot be read as a checkpoint ({why}): it is damaged, incomplete, or no file that torch.save wrote "
    "(before torch 1.6 that wrote another format: load and save such a file again)"
)
UnpicklingError = torch.serialization.pickle.UnpicklingError


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a checkpoint holds of Clay."""

    architecture: Architecture
    digest: str
    """``sha256:...`` of the file."""
    weights: Mapping[str, npt.NDArray[Any]]
    """float32, by name without ``model.``; views of the mapped file where that is float32 too."""


def read_checkpoint(file: Path, *, decoder: bool) -> Found:
    """Read a Lightning checkpoint or a bare state dict.

    Raises ModelError, naming what is wrong: a file that is none, or needs more than tensors and plain containers to be
    read; a tensor that is missing, of another shape, no floating-point numbers, or not finite.
    """
    tensors = _tensors(file)
    architecture = _architecture(file, tensors)
    _check(file, tensors, architecture.tensors(decoder=decoder))
    weights = {name: _array(file, name, tensors[name]) for name in architecture.tensors(decoder=decoder)}
    with file.open("rb") as stream:
        digest = digest_of(stream)
    return Found(architecture=architecture, digest=digest, weights=weights)


def _tensors(file: Path) -> dict[str, Any]:
    """By name, without ``model.``; what the file holds beside the model is left out, unread (it is mapped)."""
    content = _load(file)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ModelError(
            f"checkpoint {file} holds no state_dict: give a Lightning checkpoint, or a file of tensors by name"
        )
    prefix = PREFIX if PREFIX + MARK in state else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _load(file: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        if not unsafe:
            return torch.load(file, weights_only=True, mmap=True, map_location="cpu")
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
        raise ModelError(_UNREADABLE.format(file=file, why=str(error).strip().partition("\n")[0])) from error
    if not all(re.fullmatch(r"[\w.<>]+", name) for name in unsafe):
        raise ModelError(_UNREADABLE.format(file=file, why="it names what no Python has"))
    names = ", ".join(sorted(unsafe)[:SHOWN])
    raise ModelError(
        f"checkpoint {file} wants to run {names} when it is read. That is refused. If you trust its publisher, {RESAVE}"
    )


def _architecture(file: Path, tensors: Mapping[str, Any]) -> Architecture:
    mark = tensors.get(MARK)
    if not isinstance(mark, torch.Tensor):
        held = ", ".join(list(tensors)[:SHOWN]) or "nothing"
        raise ModelError(
            f"checkpoint {file} has no tensor {MARK}, so it is no Clay v1.5; it holds {held} ({len(tensors)} names)"
        )
    for architecture in ARCHITECTURES.values():
        if tuple(mark.shape) == (1, 1, architecture.encoder.dim):
            return architecture
    known = ", ".join(f"{each.size} (1, 1, {each.encoder.dim})" for each in ARCHITECTURES.values())
    raise ModelError(f"checkpoint {file}: {MARK} has shape {tuple(mark.shape)}, which is no size of Clay v1.5: {known}")


def _check(file: Path, tensors: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> None:
    broken = [f"{name} {why}" for name, shape in expected.items() if (why := _fault(tensors.get(name), shape))]
    if broken:
        more = f", and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        raise ModelError(
            f"checkpoint {file}, {len(broken)} of {len(expected)} tensors: {'; '.join(broken[:SHOWN])}{more}"
        )


def _fault(tensor: Any, shape: tuple[int, ...]) -> str | None:  # noqa: ANN401 - whatever lies under the name
    if tensor is None:
        return f"is missing (expected {shape})"
    if not isinstance(tensor, torch.Tensor):
        return f"is no tensor but {type(tensor).__name__} (expected {shape})"
    if tuple(tensor.shape) != shape:
        return f"has shape {tuple(tensor.shape)} (expected {shape})"
    if not tensor.is_floating_point() or tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return f"is {tensor.dtype}, {tensor.layout} on {tensor.device.type} (expected plain floating-point numbers)"
    return None


def _array(file: Path, name: str, tensor: Any) -> npt.NDArray[np.float32]:  # noqa: ANN401 - a tensor, which this file alone may know
    array: npt.NDArray[np.float32] = tensor.detach().to(torch.float32).numpy()
    finite = np.isfinite(array)
    if not finite.all():
        raise ModelError(f"checkpoint {file}: {name} has {finite.size - int(finite.sum())} values that are not finite")
    return array
