"""A dataset against its scene files: the index, the objects that its manifest names, each chip of compact files."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from clayline.dataset.manifest import Manifest, StoredFile
from clayline.dataset.ports import Stored
from clayline.dataset.scene_row import SceneRow
from clayline.verification.outcomes import Outcomes
from clayline.verification.rows import Rows
from clayline.verification.sightings import Sightings, hashes

CHECKS: Final = ("dataset-index", "dataset-files", "dataset-chips")


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexed:
    """What a dataset says of itself at one moment."""

    manifest: Manifest
    rows: tuple[SceneRow, ...]
    """The newest of each scene."""
    stored: Mapping[str, Stored]
    """Every object under the root, by key."""

    @property
    def compacted(self) -> frozenset[str]:
        """Keys of the scene files whose chips are in compact files."""
        return frozenset(row.href for row in self.rows if row.compacted)


def check_index(indexed: Indexed, held: Mapping[str, int], outcomes: Outcomes) -> None:
    """Compare the index with the newest scene files: ``held`` are rows by key."""
    rows = {row.href: row for row in indexed.rows}
    copied = 0
    for key in held.keys() - rows.keys():
        outcomes.found("dataset-index", "the newest file of a scene has no row of the index", [key])
    for key, row in rows.items():
        there = indexed.stored.get(key)
        if there is None:
            outcomes.found("dataset-index", "a row of the index has no file", [key])
            continue
        if there.size != row.size:
            outcomes.found("dataset-index", "the file's size is not that of the index", [key])
        elif there.etag != row.etag:
            copied += 1
        if key in held and held[key] != row.rows:
            outcomes.found("dataset-index", f"the index says {row.rows} chips, the file has {held[key]}", [key])
    if copied:
        said = f"{copied} files have another ETag than the index says, as copies have: `checksums` says what changed"
        outcomes.cannot("dataset-index", said)


def check_files(indexed: Indexed, checksum: Callable[[str], str | None], outcomes: Outcomes) -> None:
    """Compare the objects that the manifest names; ``checksum`` gives the SHA-256 of one, or None where S3 states none
    and it would have to be read for that alone.
    """
    unknown = 0
    manifest = indexed.manifest
    named: list[StoredFile] = [
        *(part.file for part in manifest.parts),
        *manifest.history,
        *(each.file for each in manifest.files),
        *(tier.file for each in manifest.files for tier in each.tiers.values()),
    ]
    for file in named:
        there = indexed.stored.get(file.href)
        if there is None:
            outcomes.found("dataset-files", "the manifest names an object that is not there", [file.href])
            continue
        found = checksum(file.href) if there.size == file.size else None
        if there.size != file.size or found not in {None, file.sha256}:
            outcomes.found("dataset-files", "size or SHA-256 are not those of the manifest", [file.href])
        elif found is None:
            unknown += 1
    if unknown:
        outcomes.cannot("dataset-files", f"of {unknown} objects S3 states no SHA-256: their sizes were compared")


class Chips:
    """Takes the chips of scene files that are compacted, and those of the compact files."""

    def __init__(self, seen: Sightings) -> None:
        """Take what keeps hashes of identifiers and vectors."""
        self._seen = seen
        self._names: list[str] = []

    def add(self, rows: Rows, name: str, *, compact: bool) -> None:
        """Take some rows of a file, of one side or the other."""
        if rows.ids is None or rows.vectors is None:
            return
        if not self._names or self._names[-1] != name:
            self._names.append(name)
        what = hashes([(text or "").encode() for text in rows.ids])
        which = hashes([vector.tobytes() for vector in rows.vectors])
        self._seen.add(what, which, np.full(rows.count, 2 * (len(self._names) - 1) + compact))

    def end(self, outcomes: Outcomes) -> None:
        """Tell what is lost, added, twice or changed. Raises OSError."""
        for where, same in self._seen.groups():
            scenes, compact = [at for at in where if not at % 2], [at for at in where if at % 2]
            problem = None
            if len(compact) > 1:
                problem = "an identifier stands more than once in compact files"
            elif not compact:
                problem = "a chip of a compacted scene is in no compact file"
            elif not scenes:
                problem = "a chip of a compact file is in no newest scene file"
            elif not same:
                problem = "the vector is not that of the scene's file"
            if problem:
                outcomes.found("dataset-chips", problem, [self._names[(compact or scenes)[0] // 2]])


def not_looked_at(reasons: Iterable[str], outcomes: Outcomes) -> None:
    """Say why nothing is said of a dataset."""
    for reason in reasons:
        outcomes.cannot_any(CHECKS, reason)
