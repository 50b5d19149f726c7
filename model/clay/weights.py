"""Where a folder's weights come from: a checkpoint file or a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clay.architecture import ARCHITECTURES, Architecture
from clay.seeded import seeded_weights
from clayline.errors import ModelError
from clayline.model.manifest import UNTRAINED, Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Weights with their provenance."""

    architecture: Architecture
    weights: Mapping[str, npt.NDArray[Any]]
    """float32, by the names of ``Architecture.tensors``."""
    checkpoint: Checkpoint
    packages: tuple[str, ...]
    """That read the weights, beside those that every export needs."""

    @property
    def name(self) -> str:
        """The base of a folder's name if the user gives none: ``clay``, ``clay-tiny``; of random
        weights ``untrained-tiny``.

        With another seed than 0 that is ``untrained-t7``: tiny, seed 7. Tokens are short, and ``untrained`` takes nine
        characters of them.
        """
        size, seed = self.architecture.size, self.checkpoint.seed
        if seed is None:
            return "clay" if size == "large" else f"clay-{size}"
        return f"{UNTRAINED}-{f'{size[0]}{seed}' if seed else size}"


def seeded_source(size: str, seed: int, *, loss: bool) -> Source:
    """Draw random weights. Raises ModelError for a size that does not exist."""
    if size not in ARCHITECTURES:
        raise ModelError(f"there is no size {size}: Clay v1.5 has {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[size]
    weights = seeded_weights(architecture, seed, decoder=loss)
    return Source(
        architecture=architecture,
        weights=weights,
        checkpoint=Checkpoint(architecture=architecture.name, seed=seed),
        packages=(),
    )


def checkpoint_source(file: Path, size: str | None, *, loss: bool) -> Source:
    """Read a checkpoint. Raises ModelError for one that cannot be used, or is of another size than was said."""
    try:
        from clay.checkpoint import read_checkpoint  # noqa: PLC0415 - torch is needed for checkpoints alone
    except ModuleNotFoundError as error:
        raise ModelError(
            f"a checkpoint needs {error.name}, which this Python lacks: `make setup-model`, `make clay`"
        ) from error
    found = read_checkpoint(file, decoder=loss)
    if size not in {None, found.architecture.size}:
        raise ModelError(
            f"checkpoint {file} is of size {found.architecture.size}, not {size}: leave --size out, or name another"
            " file"
        )
    record = Checkpoint(architecture=found.architecture.name, file=file.name, digest=found.digest)
    return Source(architecture=found.architecture, weights=found.weights, checkpoint=record, packages=("torch",))
