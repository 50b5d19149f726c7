"""Where watches are kept: listed, the newest version of each, a next version, a tombstone (docs/watches.md)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Final

from clayline.dataset.ports import Root, WritableRoot
from clayline.errors import ClaylineError, DatasetError, TransientError
from clayline.likeness.watch import (
    MOST_VERSIONS,
    MOST_WATCH_BYTES,
    WATCHES,
    Removed,
    Watch,
    check_threshold,
    key_of_version,
    parse,
    version_key,
)
from clayline.ports import ObjectForbiddenError, ObjectMissingError, ObjectTooLargeError

OF_ONE_OBJECT: Final = (DatasetError, ObjectForbiddenError, ObjectMissingError, ObjectTooLargeError)
"""What one object's content, its encryption or its disappearing may raise. Whatever else a place raises holds for all
its objects, and may pass.
"""
_TRIES: Final = 5


MOST_TOLD: Final = 20
"""Versions of a watch that are read to be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """A version that cannot be used, or may not be read."""

    version: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The newest versions."""

    names: int
    """How many names there are, of those that were removed too: none, if nothing was ever watched for."""
    watches: tuple[Watch, ...]
    """By name; those that were removed are not among them."""
    damaged: Mapping[str, ClaylineError]
    """By name: newest versions that cannot be used, or may not be read."""


def newest_versions(root: Root) -> dict[str, int]:
    """Give the newest version of each watch by name, in one listing. Raises what ``root`` raises."""
    newest: dict[str, int] = {}
    for stored in root.list(WATCHES):
        if found := key_of_version(stored.key):
            newest[found[0]] = max(found[1], newest.get(found[0], 0))
    return newest


def read_version(root: Root, name: str, version: int) -> Watch | Removed:
    """Read one. Raises DatasetError, and what ``root`` raises."""
    key = version_key(name, version)
    uri = f"{root.uri}/{key}"
    try:
        return parse(root.get(key, most=MOST_WATCH_BYTES)[0], key=key, uri=uri)
    except ObjectTooLargeError as error:
        msg = f"the watch {uri} is damaged: {error}. Make its next version: `clayline watch add` with `--like`."
        raise DatasetError(msg) from error


def find(root: Root) -> Found:
    """Read the newest version of every watch; one that is damaged, or may not be read, keeps no other from it.

    Raises what else ``root`` raises: TransientError.
    """
    watches: list[Watch] = []
    damaged: dict[str, ClaylineError] = {}
    newest = newest_versions(root)
    for name, version in sorted(newest.items()):
        try:
            found = read_version(root, name, version)
        except OF_ONE_OBJECT as error:
            damaged[name] = error
            continue
        if isinstance(found, Watch):
            watches.append(found)
    return Found(names=len(newest), watches=tuple(watches), damaged=damaged)


def read_newest(root: Root, name: str) -> Watch:
    """Read a watch. Raises DatasetError where there is none, or it was removed."""
    version = newest_versions(root).get(name)
    found = None if version is None else read_version(root, name, version)
    if found is None or isinstance(found, Removed):
        gone = "was removed" if found else "there is none"
        listed = f"`clayline watch list {quote(root.uri)}` shows those that there are"
        msg = f"{root.uri} has no watch {name}: {gone}. {listed}."
        raise DatasetError(msg)
    return found


def history(root: Root, name: str, *, most: int = MOST_TOLD) -> tuple[list[Watch | Removed | Damaged], int]:
    """Read the newest ``most`` versions of a watch, the newest first, and count the older ones.

    Raises what ``root`` raises but for one object: TransientError.
    """
    keys = [key_of_version(stored.key) for stored in root.list(f"{WATCHES}{name}/")]
    numbers = sorted((key[1] for key in keys if key), reverse=True)
    found: list[Watch | Removed | Damaged] = []
    for number in numbers[:most]:
        try:
            found.append(read_version(root, name, number))
        except OF_ONE_OBJECT as error:
            found.append(Damaged(version=number, why=str(error)))
    return found, max(0, len(numbers) - most)


def put_next(root: WritableRoot, name: str, make: Callable[[int], Watch | Removed]) -> Watch | Removed:
    """Write the next version, which ``make`` gives of its number; again under a higher one if somebody was first.

    Raises DatasetError, also for a threshold that tells nothing apart, and where there can be no next; TransientError.
    """
    for _ in range(_TRIES):
        version = _next(root, name, newest_versions(root).get(name, 0))
        made = make(version)
        if isinstance(made, Watch):
            check_threshold(made.threshold)
        if root.put_new(version_key(name, version), made.model_dump_json(indent=1).encode()):
            return made
    msg = f"the watch {name} got {_TRIES} new versions while this one was written. Try again."
    raise TransientError(msg)


def remove(root: WritableRoot, name: str, *, now: datetime) -> Removed:
    """Write the tombstone of a watch.

    Raises DatasetError where there is none, it was removed, or there can be no next version; TransientError.
    """
    version = newest_versions(root).get(name)
    if version is None or _is_removed(root, name, version):
        msg = (
            f"{root.uri} has no watch {name} that could be removed. `clayline watch list {quote(root.uri)}` shows all."
        )
        raise DatasetError(msg)
    made = Removed(name=name, version=_next(root, name, version), created=now)
    if not root.put_new(version_key(name, made.version), made.model_dump_json(indent=1).encode()):
        msg = f"the watch {name} got a new version meanwhile. Look at it, and remove it again."
        raise TransientError(msg)
    return made


def _next(root: Root, name: str, version: int) -> int:
    if version >= MOST_VERSIONS:
        msg = (
            f"the watch {name} has version {version:,}, the most that there may be, so none can follow it, no tombstone"
            f" either. Delete {root.uri}/{version_key(name, version)}: then the version before it counts. Or take"
            " another name."
        )
        raise DatasetError(msg)
    return version + 1


def _is_removed(root: Root, name: str, version: int) -> bool:
    try:
        return isinstance(read_version(root, name, version), Removed)
    except OF_ONE_OBJECT:  # what is damaged, or of a key that nobody has, may go
        return False
