"""A model folder on disk.

Built beside its place and moved there whole, or, where it exists, added to with the manifest last.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from clayline.errors import ModelError
from clayline.model.manifest import MANIFEST_FILE, Manifest, ModelEntry, digest_of, entry_digest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from clayline.model.manifest import Checkpoint

CARD: Final = "card.md"
METRICS: Final = "metrics.json"
_UNSET: Final = "sha256:" + "0" * 64


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """Give an empty directory beside ``folder`` to build it in, which is gone afterwards unless it was moved.

    What a killed export left there is removed first. Raises ModelError while another export builds the same folder,
    whose files stay.
    """
    path = folder.with_name(f".{folder.name}.partial")
    path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelError(f"another export is writing {folder}: wait for it") from error
        if not _is_at(path, handle):  # moved or removed after it was opened: the lock is on nothing of ours
            raise ModelError(f"another export has just written {folder}: try again")
        try:
            clear(path)
            yield path
        finally:
            if _is_at(path, handle):  # else it was moved, and this is the next export's
                shutil.rmtree(path)
    finally:
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    return path.exists() and os.path.samestat(path.stat(), os.fstat(handle))


def clear(path: Path) -> None:
    """Remove everything in a directory."""
    for each in path.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()


def digests(path: Path, names: Iterable[str]) -> dict[str, str]:
    """``sha256:...`` by file name, read a block at a time."""
    found = {}
    for name in sorted(set(names)):
        with (path / name).open("rb") as stream:
            found[name] = digest_of(stream)
    return found


def manifest_of(header: Mapping[str, Any], entries: Iterable[Mapping[str, Any]], files: Mapping[str, str]) -> Manifest:
    """Give a manifest of ``entries``, whose digests are computed here.

    Raises ModelError for content that no manifest can hold.
    """
    try:
        signed = [_signed(entry, files) for entry in entries]
        return Manifest.model_validate({**header, "entries": signed, "files": dict(sorted(files.items()))})
    except ValidationError as error:
        raise ModelError(f"this cannot be a model folder: {error}") from error


def _signed(fields: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Give an entry with its digest.

    Spelt by the manifest's reader, to which 0 and 0.0 are one number, though not one digest.
    """
    entry = ModelEntry.model_validate({**fields, "digest": _UNSET})
    return entry.model_copy(update={"digest": entry_digest(entry, dict(files))}).model_dump(
        mode="json", exclude_unset=True
    )


def existing_manifest(folder: Path) -> Manifest | None:
    """Give the manifest of a folder that is there already; None if there is none.

    Raises ModelError where the place is taken otherwise.
    """
    if not folder.exists():
        return None
    try:
        text = (folder / MANIFEST_FILE).read_bytes()
    except OSError as error:
        said = f"{folder} exists without a readable {MANIFEST_FILE} ({error.strerror})"
        raise ModelError(f"{said}: move it, or name another --out") from error
    return read_manifest(text, source=str(folder / MANIFEST_FILE))


def merged(old: Manifest, new: Manifest) -> Manifest:
    """Give the old manifest with the new entries after its own.

    An entry that the old one has, digest and all, stays as it is.

    Raises ModelError where the two differ in weights or graphs that all entries share, or a token would get another
    digest.
    """
    refuse_other_weights(old, new.checkpoint)
    where = f"{old.folder} is there already"
    shared = {name for name in new.files if not any(name in {entry.graph, entry.tail} for entry in new.entries)}
    if changed := sorted(name for name in shared if old.files.get(name) != new.files[name]):
        said = (
            f"with another {', '.join(changed)}: another exporter made it, or another machine, or fp16 was safe for"
            " other parts then"
        )
        raise ModelError(f"{where}, {said}. Use `add`, give another --name or --version, or remove the folder")
    before = {entry.token: entry.digest for entry in old.entries}
    if changed := [entry.token for entry in new.entries if before.get(entry.token, entry.digest) != entry.digest]:
        raise ModelError(
            f"{where}, and there {', '.join(changed)} has another digest, which no token may: give another --name or"
            " --version"
        )
    entries = [*old.entries, *(entry for entry in new.entries if entry.token not in before)]
    return old.model_copy(update={"entries": tuple(entries), "files": dict(sorted({**new.files, **old.files}.items()))})


def refuse_other_weights(old: Manifest, checkpoint: Checkpoint | None) -> None:
    """Raise ModelError unless a folder's weights come from this checkpoint."""
    if old.checkpoint != checkpoint:
        said = f"with weights of {_weights(old.checkpoint)}; these are of {_weights(checkpoint)}"
        raise ModelError(f"{old.folder} is there already, {said}: give another --name or --version")


def manifest_bytes(manifest: Manifest) -> bytes:
    """Spell a manifest: the same content always gives the same bytes."""
    content = manifest.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return (json.dumps(content, indent=1, ensure_ascii=True) + "\n").encode("ascii")


def read_metrics(folder: Path) -> dict[str, Any]:
    """Give the folder's report. Raises ModelError if it has none."""
    try:
        report: dict[str, Any] = json.loads((folder / METRICS).read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / METRICS} cannot be read ({error}): export the folder again") from error
    return report


def merged_metrics(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Give the folder's report with the new entries' accuracy; what it says of the trunk stays.

    Of entries that it has already, the accuracy on real pixels is the newer one: another probe may have been given.
    """
    merged = {**new, **old}
    before, now = (each.get("accuracy", {}) for each in (old, new))
    if before or now:
        real = {token: {"real": kinds["real"]} for token, kinds in now.items() if "real" in kinds}
        tokens = dict.fromkeys([*before, *now])
        merged["accuracy"] = {
            token: {**now.get(token, {}), **before.get(token, {}), **real.get(token, {})} for token in tokens
        }
    return merged


def metrics_bytes(metrics: Mapping[str, Any]) -> bytes:
    """Spell the report. Raises ValueError for a number that is not finite."""
    return (json.dumps(metrics, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def put(
    path: Path, folder: Path, manifest: Manifest, old: Manifest | None, *, card: str, metrics: Mapping[str, Any]
) -> None:
    """Move what was built at ``path`` to ``folder``.

    All at once, or into the folder of the manifest ``old``, the new manifest last.
    """
    (path / CARD).write_text(card, "utf-8")
    (path / METRICS).write_bytes(metrics_bytes(metrics))
    (path / MANIFEST_FILE).write_bytes(manifest_bytes(manifest))
    if old is None:
        path.rename(folder)
        return
    new = (
        manifest.files.keys() - old.files.keys()
    )  # such a file may be there, from an addition that was killed before its last step
    for name in (*sorted(new), CARD, METRICS, MANIFEST_FILE):
        (path / name).replace(folder / name)


def _weights(checkpoint: Checkpoint | None) -> str:
    if checkpoint is None:
        return "unknown origin"
    said = f"seed {checkpoint.seed}" if checkpoint.seed is not None else f"{checkpoint.file} ({checkpoint.digest})"
    return f"{checkpoint.architecture}, {said}"
