"""Reading the dataset's index: a snapshot, and rows of its files."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from clayline.dataset.manifest import FRAGMENTS, MANIFEST, MOST_MANIFEST_BYTES, Manifest
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import SceneRow
from clayline.dataset.snapshot import Snapshot, not_taken_in
from clayline.errors import TransientError
from clayline.ports import ObjectMissingError
from clayline.table.scene_rows import decode_rows

AT_ONCE: Final = 32
MOST_INDEX_BYTES: Final = 512 * 1024 * 1024
"""Of a file of the index."""
_TRIES: Final = 5


def read_manifest(root: Root) -> tuple[Manifest, str | None]:
    """Give the manifest and its ETag; an empty one and None where there is none.

    Raises DatasetError, TransientError.
    """
    try:
        content, etag = root.get(MANIFEST, most=MOST_MANIFEST_BYTES)
    except ObjectMissingError:
        return Manifest(), None
    return Manifest.parse(content, root=root.uri), etag


def read_snapshot(root: Root) -> Snapshot:
    """List the fragments, then read the manifest, then what it has not taken in.

    Raises DatasetError, TransientError.
    """
    tries = 0
    while True:
        listed = [stored.key for stored in root.list(FRAGMENTS)]
        manifest, _ = read_manifest(root)
        try:
            loose = read_rows_of(root, not_taken_in(listed, manifest))
        except ObjectMissingError as error:  # taken in and deleted since: a manifest says so by now
            tries += 1
            if tries == _TRIES:
                msg = f"the index of {root.uri} changed {tries} times while it was read, the last time: {error}"
                raise TransientError(msg) from error
        else:
            return Snapshot(manifest=manifest, loose=tuple(loose))


def read_rows_of(root: Root, keys: Iterable[str]) -> list[SceneRow]:
    """Give the rows of files of the index, in the order of ``keys``.

    Raises ObjectMissingError, DatasetError, TransientError.
    """

    def read(key: str) -> list[SceneRow]:
        return decode_rows(root.get(key, most=MOST_INDEX_BYTES)[0], where=f"{root.uri}/{key}")

    wanted = list(keys)
    if len(wanted) == 1:
        return read(wanted[0])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [row for rows in pool.map(read, wanted) for row in rows]


def scene_rows(root: Root, snapshot: Snapshot) -> list[SceneRow]:
    """Give the newest row of every scene; ``clayline.api`` chooses some.

    Raises ObjectMissingError where the snapshot is older than the grace period, DatasetError, TransientError.
    """
    taken_in = read_rows_of(root, [part.file.href for part in snapshot.manifest.parts])
    return snapshot.visible(taken_in)
