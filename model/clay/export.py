"""What the command line does: a folder from weights, and entries added to a folder that is there."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import onnxruntime

import clayline
from clay import folder as folders
from clay import trunk
from clay.accuracy import Runner
from clay.architecture import ARCHITECTURES
from clay.card import card_text, unmeasured
from clay.chips import checkerboard, synthetic
from clay.entry import Base, Request, write_entry
from clay.hyper_network import FILE as HYPER_FILE
from clay.hyper_network import write_hyper_network
from clay.magnitude import check_tokens
from clay.transformer import Precision
from clayline.errors import ModelError
from clayline.model.manifest import UNTRAINED
from clayline.model.vector import CLS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from clay.trial import Trial
    from clay.weights import Source
    from clayline.model.manifest import Checkpoint, Manifest
    from clayline.model.vector import Vector

PRECISIONS: Final = {
    "fp32": Precision(matrices="float32", residual="float32"),
    "fp16": Precision(matrices="float16", residual="float16"),
    "int8": Precision(matrices="float32", residual="float32", quantised=True),
}
MICRO_BATCH: Final = {"fp32": {"cpu": 1, "cuda": 32}, "fp16": {"cpu": 1, "cuda": 32}, "int8": {"cpu": 1, "cuda": 1}}
"""On the CPU one chip a run was measured best (docs/benchmarks.md); 32 on CUDA is a guess. Which entries run chip by
chip whatever anybody says: ``ModelEntry.one_chip_a_run``."""
NAME_LIMIT: Final = 32
PACKAGES: Final = ("numpy", "onnx")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What an export or an addition did."""

    folder: Path
    added: tuple[str, ...]
    """Tokens."""
    present: tuple[str, ...]
    """Tokens that were there already, with the same digests."""
    unmeasured: tuple[str, ...]
    """Those of both whose accuracy was not measured on real pixels, though they are not fp32."""


def base_name(source: Source, name: str | None) -> str:
    """Give the folder's name before precision, loss and version.

    The user's if there is one, with ``untrained`` for random weights.
    """
    if name is None:
        return source.name
    seeded = source.checkpoint.seed is not None
    return f"{name}-{UNTRAINED}" if seeded and UNTRAINED not in name.split("-") else name


def folder_name(
    source: Source, *, precision: str, loss: bool, name: str | None, version: str, vector: Vector = CLS
) -> str:
    """Name the folder so that another precision, a loss, or another vector, which change the trunk, are another folder.

    Raises ModelError.
    """
    choices = ["" if precision == "fp32" else precision, "loss" if loss else ""]
    parts = [base_name(source, name), *choices, "" if vector == CLS else vector]
    full = "-".join(part for part in parts if part)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", full) or len(full) > NAME_LIMIT:
        raise ModelError(
            f"the name {full} must be lower-case letters, digits, single hyphens, at most {NAME_LIMIT}: give another"
            " --name"
        )
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", version):
        raise ModelError(f"the version {version} must be numbers with dots between them")
    return f"{full}-v{version}"


def export(
    source: Source,
    requests: Sequence[Request],
    out: Path,
    *,
    precision: str = "fp32",
    vector: Vector = CLS,
    name: str | None = None,
    version: str = "1.5",
    trial: Trial | None = None,
) -> Outcome:
    """Write ``out/{name}-v{version}`` with an entry for each request, or add them to the folder of the same weights
    that is there.

    All requests have a loss or none has. The same arguments give the same bytes. Without a ``trial`` nothing is run,
    and an fp16 residual is taken for safe. Raises ModelError, with nothing written, for a token that is too long, is
    asked for twice, or names another digest in the folder that is there, and for what the trial finds.
    """
    loss = any(request.mask is not None for request in requests)
    folder = out / folder_name(source, precision=precision, loss=loss, name=name, version=version, vector=vector)
    _refuse_twice([request.token(folder.name) for request in requests])
    base = Base(folder=folder.name, architecture=source.architecture, precision=precision, vector=vector)
    base.check(requests)
    header = {
        "schema": "clayline-model/1",
        "name": folder.name.removesuffix(f"-v{version}"),
        "version": version,
        "licence": licence(source.checkpoint),
        "card": folders.CARD,
        "checkpoint": source.checkpoint.model_dump(exclude_unset=True),
        "producer": _producer(source.packages),
        "micro_batch": MICRO_BATCH[precision],
    }
    with folders.workshop(folder) as path:
        if (old := folders.existing_manifest(folder)) is not None:
            folders.refuse_other_weights(old, source.checkpoint)
        shared = write_hyper_network(source.architecture, source.weights, loss=loss).write(path, HYPER_FILE)
        types = PRECISIONS[precision] if trial is None else trial.settle(source, base, path, PRECISIONS[precision])
        graph = trunk.write_trunk(source.architecture, source.weights, types, loss=loss, vector=vector)
        shared += graph.write(path, trunk.FILE)
        entries = [write_entry(path, path / HYPER_FILE, base, request) for request in requests]
        if trial is not None:
            trial.judge(entries, path, precision)
        files = folders.digests(path, [*shared, *(file for entry in entries for file in entry["files"])])
        metrics = {"precision": precision, **(trial.metrics if trial is not None else {})}
        return _finish(path, folder, old, folders.manifest_of(header, entries, files), metrics)


def add(folder: Path, requests: Sequence[Request], *, progress: Callable[[str], None] | None = None) -> Outcome:
    """Add entries to a folder, from its own hyper-network: no checkpoint, no torch. What is there keeps its digests.

    A mask counts only in a folder with a loss. With ``progress`` each new entry runs one harsh chip. Raises ModelError,
    with nothing changed, where the folder is none of this exporter's, a token there names another digest, that chip's
    numbers are not finite, or those of a new entry could be too large for an fp16 trunk, which was tried with others.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}: `python -m clay export` makes one")
    with folders.workshop(folder) as path:
        if (old := folders.existing_manifest(folder)) is None:
            raise ModelError(f"{folder} is gone")
        base = _base(folder, old)
        base.check(requests)
        if old.entries[0].loss_metric is None:
            requests = [replace(request, mask=None) for request in requests]
        _refuse_twice([request.token(old.folder) for request in requests])
        entries = [write_entry(path, folder / HYPER_FILE, base, request) for request in requests]
        shared = {name: old.files[name] for name in (HYPER_FILE, trunk.FILE, trunk.WEIGHTS_FILE)}
        written = folders.digests(path, (file.name for file in path.iterdir()))
        header = old.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"entries", "files"})
        runner = Runner(paths=(path, folder), progress=progress or (lambda _: None))
        if base.precision == "fp16":
            present = {entry.token for entry in old.entries}
            for entry, request in zip(entries, requests, strict=True):
                if entry["token"] not in present:
                    check_tokens(
                        entry["token"],
                        runner.largest_token(entry, synthetic(request)),
                        folders.read_metrics(folder).get("range", {}),
                    )
        if progress is not None:
            for entry, request in zip(entries, requests, strict=True):
                runner.run(entry, checkerboard(request), what=base.precision)
        return _finish(path, folder, old, folders.manifest_of(header, entries, shared | written), {})


def _base(folder: Path, manifest: Manifest) -> Base:
    """Give what a folder's entries share.

    Raises ModelError where this exporter did not make it, or its hyper-network is not as it was.
    """
    architectures = {each.name: each for each in ARCHITECTURES.values()}
    if (
        manifest.checkpoint is None
        or manifest.checkpoint.architecture not in architectures
        or HYPER_FILE not in manifest.files
    ):
        raise ModelError(
            f"{folder} is not what `python -m clay export` makes: that names a size of Clay v1.5 and has a {HYPER_FILE}"
        )
    if folders.digests(folder, [HYPER_FILE])[HYPER_FILE] != manifest.files[HYPER_FILE]:
        raise ModelError(
            f"{folder / HYPER_FILE} is not what its manifest says: it is damaged or was replaced; export the folder"
            " again"
        )
    options = manifest.entries[0].options
    return Base(
        folder=manifest.folder,
        architecture=architectures[manifest.checkpoint.architecture],
        precision=options.precision,
        vector=options.vector or CLS,
    )


def licence(checkpoint: Checkpoint) -> str:
    """Name the licence of a folder's content."""
    return (
        "Apache-2.0"
        if checkpoint.seed is not None
        else "Apache-2.0 (graphs); the checkpoint's own (weights): see the card"
    )


def _finish(path: Path, folder: Path, old: Manifest | None, new: Manifest, metrics: dict[str, Any]) -> Outcome:
    before = {entry.token for entry in old.entries} if old is not None else set()
    manifest = folders.merged(old, new) if old is not None else new
    added, present = (
        tuple(entry.token for entry in new.entries if (entry.token in before) is there) for there in (False, True)
    )
    known = folders.read_metrics(folder) if old is not None else None
    if known is not None:
        metrics = folders.merged_metrics(known, metrics)
    if added or metrics != known:  # an entry that is there may have been measured on other pixels
        folders.put(path, folder, manifest, old, card=card_text(manifest, metrics), metrics=metrics)
    missing = unmeasured(manifest, metrics)
    return Outcome(
        folder=folder,
        added=added,
        present=present,
        unmeasured=tuple(token for token in missing if token in (*added, *present)),
    )


def _refuse_twice(tokens: list[str]) -> None:
    if twice := sorted({token for token in tokens if tokens.count(token) > 1}):
        raise ModelError(f"{', '.join(twice)} is asked for twice: name each sensor once")


def _producer(packages: tuple[str, ...]) -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in (*PACKAGES, *packages)}
    # ONNX Runtime's own word: for a GPU the package has another name.
    return {"clayline-exporter": clayline.__version__, "onnxruntime": onnxruntime.__version__, **found}
