"""The model folder in ``/opt/ml/model``, or several under it.

Checked against their manifests, every entry's graphs loaded and checked against each other.
"""

import gc
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import onnxruntime

from clayline.errors import BatchError, ModelError
from clayline.model.manifest import MANIFEST_FILE, Manifest, ModelEntry, digest_of, read_manifest
from server.chain import Chain, link
from server.memory import ChipLimit
from server.sessions import cuda_is_built_in, load_cuda_libraries, open_session

logger = logging.getLogger("clayline.server")
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedEntry:
    """One entry of a manifest with its graph in memory."""

    folder: str
    """Name of the model folder, ``{name}-v{version}``."""
    entry: ModelEntry
    chain: Chain
    advised: int | None
    """Chips in one run that the folder's manifest advises for this device."""
    untrained: bool
    """Whether its weights are random numbers."""
    limit: ChipLimit = field(default_factory=ChipLimit)
    """What is known of the memory that a run takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolders:
    """Everything that this process can compute."""

    entries: Mapping[str, Mapping[str, LoadedEntry]]
    """By folder, then by token."""

    def all(self) -> list[LoadedEntry]:
        """Give the entries of every folder."""
        return [loaded for entries in self.entries.values() for loaded in entries.values()]

    def find(self, *, folder: str, token: str, digest: str) -> LoadedEntry:
        """Give the entry a request names.

        Raises BatchError: ``unknown-model`` (folder or token), ``model-changed`` (its digest).
        """
        if folder not in self.entries:
            msg = (
                f"there is no model folder {folder!r} here, only {', '.join(self.entries)}; deploy it, or plan the"
                " scene again"
            )
            raise BatchError(msg, reason="unknown-model")
        loaded = self.entries[folder].get(token)
        if loaded is None:
            msg = (
                f"model folder {folder} has no entry {token!r}, only {', '.join(self.entries[folder])}; plan the scene"
                " again"
            )
            raise BatchError(msg, reason="unknown-model")
        if loaded.entry.digest != digest:
            msg = (
                f"entry {token} here has digest {loaded.entry.digest}, the request was made for {digest}; plan the"
                " scene again"
            )
            raise BatchError(msg, reason="model-changed")
        return loaded


def load_folders(
    root: Path, *, threads: int, required: str | None = None, warm_up: Callable[[ModelFolders], None] | None = None
) -> ModelFolders:
    """Load every folder under ``root``, each session with ``threads`` CPU threads.

    Where ``root`` has a manifest itself, it is the one folder: SageMaker copies what lies under a prefix without the
    prefix, and so a folder without its name. Then its manifest names it.

    A directory without a manifest is passed over with a warning: a publisher sends the manifest last, so it is a folder
    on its way up, and an instance that starts meanwhile has to serve the others. Names that begin with a dot are an
    exporter's own.

    ``warm_up`` is called with each folder once it is loaded, before the next one is, and first with the ``required``
    one: so that has what its runs take of the memory before others can take it.

    Raises ModelError, naming the folder, when one has no usable manifest, another name than ``{name}-v{version}``, a
    file that is missing or has other bytes than its digest says, or graphs that do not fit their entry or each other or
    read a file which the entry does not list; and when there is no folder at all, or not the one that is ``required``;
    and whatever ``warm_up`` raises. Where one is required, a fault of another is logged as an error, and that folder
    passed over: it must not stop what the endpoint was made for.
    """
    folders = _find_folders(root)
    if required is not None and required not in folders:
        msg = (
            f"{root} lacks the model folder {required}, which this endpoint was made for: publish it, then deploy again"
        )
        raise ModelError(msg)
    if not folders:
        msg = f"{root} holds no model folder: put one there, or name another path with --models"
        raise ModelError(msg)
    load_cuda_libraries()
    entries = {}
    for name in sorted(folders, key=lambda name: name != required):
        path = folders[name]
        if (usable := _usable_or_none(name, path, threads=threads, required=required, warm_up=warm_up)) is not None:
            entries[name] = usable
        else:
            # a fault's traceback may hold itself, and with it the sessions and their arenas: the next folder needs that
            # room
            gc.collect()
    return ModelFolders(entries=entries)


def _find_folders(root: Path) -> dict[str, Path]:
    """Give the folders by name, sorted. Raises ModelError where ``root`` is no directory or has no usable manifest."""
    if not root.is_dir():
        msg = f"{root} is no directory: put model folders there, or name another with --models"
        raise ModelError(msg)
    if (root / MANIFEST_FILE).exists():
        return {_manifest_of(root).folder: root}
    folders = {}
    for path in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if (path / MANIFEST_FILE).exists():
            folders[path.name] = path
        else:
            logger.warning("passed over: no manifest, so not yet published whole", extra={"folder": path.name})
    return folders


def _usable_or_none(
    name: str, path: Path, *, threads: int, required: str | None, warm_up: Callable[[ModelFolders], None] | None
) -> dict[str, LoadedEntry] | None:
    """Load a folder and warm it up, or log what is wrong with it; raise that for the ``required`` one.

    None: all are required.
    """
    try:
        entries = _load_folder(name, path, threads=threads)
        if warm_up is not None:
            warm_up(ModelFolders(entries={name: entries}))
    except (ModelError, OSError, MemoryError, RuntimeError) as error:
        if required in {None, name}:
            raise
        # The text and not the error, which a handler of log lines might keep.
        logger.error("passed over, broken: %s", str(error), extra={"folder": name})  # noqa: TRY400 - the message says it
        return None
    return entries


def _manifest_of(path: Path) -> Manifest:
    try:
        text = (path / MANIFEST_FILE).read_bytes()
    except OSError as error:
        msg = f"model folder {path} has no readable {MANIFEST_FILE} ({error}); publish the folder again"
        raise ModelError(msg) from error
    return read_manifest(text, source=str(path / MANIFEST_FILE))


def _load_folder(folder: str, path: Path, *, threads: int) -> dict[str, LoadedEntry]:
    manifest = _manifest_of(path)
    if folder != (expected := manifest.folder):
        msg = f"model folder {path} must be named {expected}, after its manifest: requests name it so"
        raise ModelError(msg)
    _check_files(path, manifest)
    # ONNX Runtime's CUDA provider has no DynamicQuantizeMatMul: the graph's every multiplication would go down to the
    # CPU and up again.
    int8 = [entry.token for entry in manifest.entries if entry.options.precision == "int8"]
    if int8 and cuda_is_built_in():
        logger.warning(
            "int8 runs on the CPU alone: ONNX Runtime has no CUDA kernel for it",
            extra={"folder": folder, "tokens": int8},
        )
    # By file: a trunk is loaded once, however many entries share it.
    on_any: dict[str, onnxruntime.InferenceSession] = {}
    on_cpu: dict[str, onnxruntime.InferenceSession] = {}
    loaded = {}
    for entry in manifest.entries:
        where = f"entry {entry.token} of {path}"
        cpu_only = entry.token in int8
        sessions = on_cpu if cpu_only else on_any
        for name in entry.graphs:
            if name not in sessions:
                sessions[name] = _load_graph(path / name, where=where, threads=threads, cpu_only=cpu_only)
        chain = link(entry, sessions, where=where)
        advised = (manifest.micro_batch or {}).get(chain.device)
        loaded[entry.token] = LoadedEntry(
            folder=folder, entry=entry, chain=chain, advised=advised, untrained=manifest.untrained
        )
    return loaded


def _check_files(path: Path, manifest: Manifest) -> None:
    for name in manifest.files:
        if not (path / name).is_file():
            msg = f"model folder {path} lacks {name}, which its manifest lists; publish the folder again"
            raise ModelError(msg)
    for name, digest in manifest.files.items():
        with (path / name).open("rb") as file:
            found = digest_of(file)
        if found != digest:
            msg = (
                f"{path / name} has {found}, its manifest says {digest}: the file is damaged or was replaced; publish"
                " the folder again"
            )
            raise ModelError(msg)
    _check_cover(path, manifest)


def _check_cover(path: Path, manifest: Manifest) -> None:
    """Raise ModelError unless each entry's digest covers all that its graphs read.

    A graph may keep weights in files beside it, by name.
    """
    beside = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())
    named = {graph: _names_in(path / graph, beside) for entry in manifest.entries for graph in entry.graphs}
    for entry in manifest.entries:
        for graph in entry.graphs:
            if unlisted := sorted(named[graph].difference(entry.files)):
                names = f"its graph {graph} names the file {unlisted[0]}, which the entry does not list"
                raise ModelError(f"entry {entry.token} of {path}: {names}; export the folder again")


def _names_in(path: Path, names: Iterable[str]) -> set[str]:
    """Those of ``names`` that occur in a file, which may be larger than memory.

    Weights need not lie beside the graph.
    """
    wanted = {name: name.encode() for name in names}
    overlap = max(map(len, wanted.values()))
    found: set[str] = set()
    with path.open("rb") as file:
        rest = b""
        while block := file.read(_BLOCK):
            block = rest + block
            found.update(name for name, text in wanted.items() if name not in found and text in block)
            rest = block[-overlap:]
    return found


def _load_graph(path: Path, *, where: str, threads: int, cpu_only: bool) -> onnxruntime.InferenceSession:
    try:
        return open_session(path, threads=threads, cpu_only=cpu_only)
    except Exception as error:  # ONNX Runtime's errors share no other base class
        msg = f"{where}: ONNX Runtime cannot load {path.name}: {error}"
        raise ModelError(msg) from error
