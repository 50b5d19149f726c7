"""A model folder on this machine, checked against its manifest before anything leaves it."""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clayline.errors import ModelError
from clayline.model.manifest import MANIFEST_FILE, Manifest, digest_of, read_manifest
from clayline.model.statistics import STATISTICS_FILE

METRICS: Final = "metrics.json"
MAX_METRICS_BYTES: Final = 1_000_000
_LEGAL: Final = re.compile(r"(LICEN[CS]E|NOTICE)([._-].*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFile:
    """One file to be uploaded."""

    path: Path
    digest: str
    """``sha256:...`` of its bytes."""
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds; with ``size`` it tells whether the file was written to since it was checked."""

    @property
    def name(self) -> str:
        """Name within the folder."""
        return self.path.name

    def check_unchanged(self) -> None:
        """Raise ModelError if the file was written to since it was read.

        What was sent may be neither the old file nor the new one.
        """
        found = self.path.stat()
        if (found.st_size, found.st_mtime_ns) != (self.size, self.modified):
            msg = f"{self.path} was written to while it was published: let the export finish, then publish again"
            raise ModelError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolder:
    """A folder whose files are what its manifest says."""

    path: Path
    manifest: Manifest
    files: tuple[FolderFile, ...]
    """All but the manifest: what it lists, the card, licence texts, metrics."""
    manifest_file: FolderFile
    card: str
    """The card file's text."""
    metrics: Mapping[str, Any] | None
    """The exporter's report; None if there is none. Any JSON object, such as ``{"parity": {"max_abs": 1e-6}, "passed":
    true}``: the model card shows each object in it as a group, with the numbers, words and booleans below it as
    metrics; lists stand only in the report."""


def read_folder(path: Path, *, metrics: Path | None = None) -> ModelFolder:
    """Read the folder at ``path`` and compare every listed file with its digest, a block at a time.

    The report is ``metrics``, else ``metrics.json`` in the folder, else ``{folder}.metrics.json`` beside it, else None.

    Raises ModelError, naming the file and what to do: no manifest, a folder not named after it, a file that is missing,
    damaged or not listed, a card that is no text, a report that is no JSON object.
    """
    path = path.resolve()
    try:
        text = (path / MANIFEST_FILE).read_bytes()
    except OSError as error:
        msg = f"{path} has no readable {MANIFEST_FILE} ({error.strerror}): give a folder that the exporter made"
        raise ModelError(msg) from error
    manifest = read_manifest(text, source=str(path / MANIFEST_FILE))
    if path.name != manifest.folder:
        msg = (
            f"model folder {path} must be named {manifest.folder}, after its manifest: the endpoint finds it by that"
            " name"
        )
        raise ModelError(msg)
    _refuse_strangers(path, manifest)
    names = {*manifest.files, manifest.card, *(file.name for file in path.iterdir() if _LEGAL.fullmatch(file.name))}
    if (path / METRICS).is_file():
        names.add(METRICS)
    digests = dict(manifest.files)
    if manifest.statistics is not None:
        digests[STATISTICS_FILE] = manifest.statistics
        names.add(STATISTICS_FILE)
    files = tuple(_read_file(path / name, digests.get(name)) for name in sorted(names))
    manifest_file = _read_file(path / MANIFEST_FILE, digest_of(io.BytesIO(text)))
    try:
        card = (path / manifest.card).read_text("utf-8")
    except UnicodeDecodeError as error:
        msg = f"the card {path / manifest.card} is not UTF-8 text: {error}"
        raise ModelError(msg) from error
    return ModelFolder(
        path=path,
        manifest=manifest,
        files=files,
        manifest_file=manifest_file,
        card=card,
        metrics=_read_metrics(path, metrics),
    )


def _refuse_strangers(path: Path, manifest: Manifest) -> None:
    """Raise ModelError for what the manifest does not know.

    A graph may read a file beside it, which no digest would then cover.
    """
    known = {*manifest.files, manifest.card, MANIFEST_FILE, METRICS}
    if manifest.statistics is not None:
        known.add(STATISTICS_FILE)
    strangers = [
        file.name for file in sorted(path.iterdir()) if file.name not in known and not _LEGAL.fullmatch(file.name)
    ]
    if strangers:
        held = ", ".join(strangers)
        msg = (
            f"model folder {path} holds {held}, which its manifest does not list: move that away, or export the folder"
            " again"
        )
        raise ModelError(msg)


def _read_file(path: Path, expected: str | None) -> FolderFile:
    try:
        before = path.stat()
        with path.open("rb") as stream:
            found = digest_of(stream)
    except OSError as error:
        msg = f"{path}, which the manifest names, cannot be read ({error.strerror}): export the folder again"
        raise ModelError(msg) from error
    if expected is not None and found != expected:
        msg = (
            f"{path} has {found}, the manifest says {expected}: the file is damaged or was replaced; export the folder"
            " again"
        )
        raise ModelError(msg)
    return FolderFile(path=path, digest=found, size=before.st_size, modified=before.st_mtime_ns)


def _read_metrics(path: Path, chosen: Path | None) -> Mapping[str, Any] | None:
    candidates = [chosen] if chosen else [path / METRICS, path.with_name(f"{path.name}.{METRICS}")]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        if chosen is None:
            return None
        msg = f"there is no report {chosen}: name the JSON file that the exporter wrote, or leave --metrics out"
        raise ModelError(msg)
    if found.stat().st_size > MAX_METRICS_BYTES:
        msg = f"the report {found} has more than {MAX_METRICS_BYTES} bytes: publish a summary"
        raise ModelError(msg)
    try:
        content = json.loads(found.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        msg = f"the report {found} is not JSON: {error}"
        raise ModelError(msg) from error
    if not isinstance(content, dict):
        msg = f"the report {found} must be a JSON object, such as {{'parity': {{...}}}}"
        raise ModelError(msg)
    return content


def _refuse_constant(name: str) -> float:
    """Refuse NaN and the infinities, which Python reads and writes and JSON does not know. Raises ValueError."""
    msg = f"{name} is no JSON number"
    raise ValueError(msg)
