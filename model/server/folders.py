"""Model folders under ``/opt/ml/model``: checked against their manifests, every entry's graph loaded and checked against its entry."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnxruntime

from clayline.errors import BatchError, ModelError
from clayline.manifest import Manifest, ModelEntry, read_manifest

MANIFEST: Final = "manifest.json"
_GRAPH_TYPE: Final = {"uint8": "tensor(uint8)", "uint16": "tensor(uint16)", "float32": "tensor(float)"}
_PROVIDERS: Final = ("CUDAExecutionProvider", "CPUExecutionProvider")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedEntry:
    """One entry of a manifest with its graph in memory."""

    folder: str
    """Name of the model folder, ``{name}-v{version}``."""
    entry: ModelEntry
    session: onnxruntime.InferenceSession
    """Its inputs are the entry's by name; its outputs are embeddings [N, D] and, with a loss metric, losses [N], by position."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolders:
    """Everything that this process can compute."""

    entries: Mapping[str, Mapping[str, LoadedEntry]]
    """By folder, then by token."""

    def find(self, *, folder: str, token: str, digest: str) -> LoadedEntry:
        """Give the entry a request names. Raises BatchError: ``unknown-model`` (folder or token), ``model-changed`` (its digest)."""
        if folder not in self.entries:
            msg = f"there is no model folder {folder!r} here, only {', '.join(self.entries)}; deploy it, or plan the scene again"
            raise BatchError(msg, reason="unknown-model")
        loaded = self.entries[folder].get(token)
        if loaded is None:
            msg = f"model folder {folder} has no entry {token!r}, only {', '.join(self.entries[folder])}; plan the scene again"
            raise BatchError(msg, reason="unknown-model")
        if loaded.entry.digest != digest:
            msg = f"entry {token} here has digest {loaded.entry.digest}, the request was made for {digest}; plan the scene again"
            raise BatchError(msg, reason="model-changed")
        return loaded


def load_folders(root: Path, *, threads: int) -> ModelFolders:
    """Load every folder under ``root``, each session with ``threads`` CPU threads.

    Raises ModelError, naming the folder, when one has no usable manifest, another name than ``{name}-v{version}``, a file that is
    missing or has other bytes than its digest says, or a graph that does not fit its entry or reads a file which the entry does not list;
    and when there is no folder at all.
    """
    if not root.is_dir():
        msg = f"{root} is no directory: put model folders there, or name another with --models"
        raise ModelError(msg)
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    if not folders:
        msg = f"{root} holds no model folder: put one there, or name another path with --models"
        raise ModelError(msg)
    return ModelFolders(entries={path.name: _load_folder(path, threads=threads) for path in folders})


def providers() -> list[str]:
    """Execution providers to ask for: CUDA where this build of ONNX Runtime has it, then the CPU."""
    available = onnxruntime.get_available_providers()
    return [name for name in _PROVIDERS if name in available]


def session_options(*, threads: int) -> onnxruntime.SessionOptions:
    """Options that every session here has; benchmarks/endpoint.py takes the same for its bare session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a failed run raises; ONNX Runtime's own line to stderr is not JSON
    return options


def _load_folder(path: Path, *, threads: int) -> dict[str, LoadedEntry]:
    try:
        text = (path / MANIFEST).read_bytes()
    except OSError as error:
        msg = f"model folder {path} has no readable {MANIFEST} ({error}): every directory beside it must be a whole model folder"
        raise ModelError(msg) from error
    manifest = read_manifest(text, source=str(path / MANIFEST))
    if path.name != (expected := manifest.folder):
        msg = f"model folder {path} must be named {expected}, after its manifest: requests name it so"
        raise ModelError(msg)
    _check_files(path, manifest)
    return {entry.token: _load_entry(path, entry, threads=threads) for entry in manifest.entries}


def _check_files(path: Path, manifest: Manifest) -> None:
    for name in manifest.files:
        if not (path / name).is_file():
            msg = f"model folder {path} lacks {name}, which its manifest lists; publish the folder again"
            raise ModelError(msg)
    for name, digest in manifest.files.items():
        with (path / name).open("rb") as file:
            found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            msg = f"{path / name} has {found}, its manifest says {digest}: the file is damaged or was replaced; publish the folder again"
            raise ModelError(msg)
    for entry in manifest.entries:
        _check_cover(path, entry)


def _check_cover(path: Path, entry: ModelEntry) -> None:
    """Raise ModelError unless the entry's digest covers all that its graph reads: a graph may keep weights in files beside it, by name."""
    graph = (path / entry.graph).read_bytes()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if not file.is_dir() and name not in entry.files and name.encode() in graph:
            msg = f"entry {entry.token} of {path}: its graph names the file {name}, which the entry does not list; export the folder again"
            raise ModelError(msg)


def _load_entry(path: Path, entry: ModelEntry, *, threads: int) -> LoadedEntry:
    try:
        session = onnxruntime.InferenceSession(os.fspath(path / entry.graph), session_options(threads=threads), providers=providers())
    except Exception as error:  # ONNX Runtime's errors share no other base class
        msg = f"entry {entry.token} of {path}: ONNX Runtime cannot load {entry.graph}: {error}"
        raise ModelError(msg) from error
    expected = {name: ("tensor(float)", [4]) for name in entry.inputs}
    expected["pixels"] = (_GRAPH_TYPE[entry.dtype], [len(entry.bands), entry.chip_size, entry.chip_size])
    found = {node.name: (node.type, node.shape[1:]) for node in session.get_inputs()}
    if found.keys() != expected.keys() or not all(_fits(found[name], expected[name]) for name in expected):
        msg = f"entry {entry.token} of {path}: the graph's inputs (without N) are {found}, the manifest's are {expected}"
        raise ModelError(msg)
    if len(session.get_outputs()) < (1 if entry.loss_metric is None else 2):
        msg = f"entry {entry.token} of {path}: the graph has no second output for the loss {entry.loss_metric}"
        raise ModelError(msg)
    return LoadedEntry(folder=path.name, entry=entry, session=session)


def _fits(found: tuple[str, list[int | str | None]], expected: tuple[str, list[int]]) -> bool:
    """Compare type and dimensions; one that the graph leaves open (a name or None) fits every number."""
    same_rank = len(found[1]) == len(expected[1])
    return (
        found[0] == expected[0]
        and same_rank
        and all(dim == want for dim, want in zip(found[1], expected[1], strict=True) if isinstance(dim, int))
    )
