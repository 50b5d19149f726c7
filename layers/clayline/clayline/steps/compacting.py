"""Compact: fragments become parts, and scenes' chips the files of their squares (docs/dataset.md, Compacting).

A pass writes only what nobody names yet, then swaps the manifest. Killed anywhere, it changed nothing that is seen.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from clayline.dataset.compaction import Held, Rewrite, absorb, alike, mark, next_rewrite, put_together
from clayline.dataset.extents import extent_of
from clayline.dataset.manifest import (
    FILES,
    FRAGMENTS,
    HISTORY,
    MANIFEST,
    PARTS,
    TIERS,
    CompactFile,
    Extent,
    Manifest,
    Part,
    Retired,
    Revised,
    StoredFile,
)
from clayline.dataset.ports import Root, WritableRoot
from clayline.dataset.scene_row import Partition, SceneRow
from clayline.dataset.snapshot import not_taken_in
from clayline.errors import TransientError
from clayline.ports import Clock, ObjectMissingError
from clayline.steps.tiering import Tiering, without_tiers

GRACE: Final = timedelta(days=1)
MOST_FRAGMENTS: Final = 2_000
"""Taken in by a pass."""
SPOOL_BYTES: Final = 4 * 1024**3
_TRIES: Final = 5


class NewFile(Protocol):
    """A compact file in the scratch folder: ``clayline.table.compact_files.WrittenFile``."""

    @property
    def path(self) -> Path:
        """Where it lies until the next one is asked for."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        ...

    @property
    def rows(self) -> int:
        """Chips."""
        ...

    @property
    def extent(self) -> Extent:
        """Of its chips."""
        ...


class Tables(Protocol):
    """Parquet, as a pass needs it: ``clayline.table.dataset_tables.DatasetTables``."""

    def manifest(self, root: Root) -> tuple[Manifest, str | None]:
        """Give the manifest and its ETag."""
        ...

    def rows(self, root: Root, keys: Sequence[str]) -> list[list[SceneRow]]:
        """Give the rows of each file of the index."""
        ...

    def encode(self, rows: Iterable[SceneRow], metadata: Mapping[str, str]) -> bytes:
        """Give a file of rows."""
        ...

    def files(self, root: Root, rewrite: Rewrite, *, scratch: Path, stamp: str) -> Iterator[NewFile]:
        """Give the files of a square and year."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """What a pass did."""

    taken_in: int = 0
    """Fragments."""
    rewritten: Partition | None = None
    chips: int = 0
    """In the files of ``rewritten``."""
    tiered: bool = False
    """Whether a file got its tiers."""
    deleted: int = 0
    """Objects that no longer counted."""

    @property
    def changed(self) -> bool:
        """Whether another pass may find more to do."""
        return bool(self.taken_in or self.rewritten or self.tiered)


class _LostError(TransientError):
    """Another compactor was faster."""


@dataclass(frozen=True, kw_only=True)
class Compacting:
    """Ports of compact."""

    root: WritableRoot
    tables: Tables
    clock: Clock
    stamp: Callable[[], str]
    """Gives a text that it never gave before. It stands in each object of a pass, so that none is ever written twice:
    what one pass left behind and a sweep is about to delete, no other pass can come to name."""
    scratch: Path
    tiering: Tiering | None = None
    """None: files get no tiers."""
    grace: timedelta = GRACE
    most_fragments: int = MOST_FRAGMENTS
    spool_bytes: int = SPOOL_BYTES

    def compact(self, *, tiers: bool = True) -> Pass:
        """Make one pass: delete what is over, take fragments in, make one square's files again, ``tiers`` of one file.

        Raises DatasetError for what makes no dataset, TransientError.
        """
        deleted = self._swept()
        taken_in = self._until_first(self._take_in)
        rewritten = self._until_first(self._rewrite)
        tiered = tiers and self._until_first(self._tiered)
        return Pass(
            tiered=tiered,
            taken_in=taken_in,
            rewritten=rewritten.partition if rewritten else None,
            chips=sum(row.rows for row in rewritten.scenes) if rewritten else 0,
            deleted=deleted,
        )

    def forget_tiers(self, token: str) -> None:
        """Take a model's tiers away, so that passes make them again by a new codebook. Raises TransientError."""
        begun = self.clock()
        manifest, etag = self.tables.manifest(self.root)
        self._swap(manifest, without_tiers(manifest, token), etag=etag, begun=begun)

    def _until_first[T](self, work: Callable[[], T]) -> T:
        """Do work that ends in a swap, again from what is there where another was faster.

        Another was, too, where an object is gone and the manifest is another one by now: the grace period passed.
        """
        tries = 0
        while True:
            _, etag = self.tables.manifest(self.root)
            try:
                return work()
            except (_LostError, ObjectMissingError) as error:
                tries += 1
                stands_still = self.tables.manifest(self.root)[1] == etag
                if tries == _TRIES or (stands_still and isinstance(error, ObjectMissingError)):
                    raise

    def _swept(self) -> int:
        """Delete what was retired before the grace period, and what a killed pass left. Gives how many.

        The manifest forgets them with the next swap; until then they are deleted again, which does nothing.
        """
        manifest, _ = self.tables.manifest(self.root)
        limit = self.clock() - self.grace
        over = [retired.href for retired in manifest.retired if retired.since < limit]
        known = {*_named(manifest), *(retired.href for retired in manifest.retired)}
        left = [
            stored.key
            for prefix in (PARTS, HISTORY, FILES, TIERS)
            for stored in self.root.list(prefix)
            if stored.key not in known and stored.modified < limit
        ]
        self.root.discard([*over, *left])
        return len(over) + len(left)

    def _take_in(self) -> int:
        """Take fragments in, and put parts of similar size together. Gives how many fragments."""
        begun = self.clock()
        listed = [stored.key for stored in self.root.list(FRAGMENTS)]
        manifest, etag = self.tables.manifest(self.root)
        loose = not_taken_in(listed, manifest)[: self.most_fragments]
        forgotten = {retired.href for retired in manifest.retired if retired.since < begun - self.grace} - set(listed)
        if not loose and not forgotten:
            return 0
        held = self._held(manifest) if loose else None
        rows = [row for found in self.tables.rows(self.root, loose) for row in found]
        absorbed = absorb(held, rows, manifest.newest) if held is not None else None
        stamp = self.stamp()
        changed = manifest.model_copy(
            update={
                "absorbed": tuple(
                    sorted(
                        {*manifest.absorbed, *(key.removeprefix(FRAGMENTS) for key in loose)}
                        - {key.removeprefix(FRAGMENTS) for key in forgotten}
                    )
                ),
                "retired": (
                    *(retired for retired in manifest.retired if retired.href not in forgotten),
                    *(Retired(href=key, since=begun) for key in loose),
                ),
            }
        )
        if absorbed:
            history = self._history(manifest, absorbed.replaced, stamp)
            changed = changed.model_copy(
                update={
                    "history": history,
                    "revised": tuple(
                        Revised(token=key.token, scene=key.scene, revision=revision)
                        for key, revision in sorted(absorbed.revised.items())
                    ),
                }
            )
            changed = self._with_parts(changed, put_together(absorbed.held), stamp)
        self._swap(manifest, changed, etag=etag, begun=begun)
        return len(loose)

    def _rewrite(self) -> Rewrite | None:
        """Make the files again of the square and year with the most to gain; None where none is worth it."""
        begun = self.clock()
        manifest, etag = self.tables.manifest(self.root)
        held = self._held(manifest)
        rewrite = next_rewrite((row for each in held for row in each.rows), manifest.files, most_bytes=self.spool_bytes)
        if rewrite is None:
            return None
        stamp = self.stamp()
        files = tuple(
            self._file(rewrite.partition, written)
            for written in self.tables.files(self.root, rewrite, scratch=self.scratch, stamp=stamp)
        )
        others = tuple(file for file in manifest.files if file.partition != rewrite.partition)
        changed = manifest.model_copy(update={"files": (*others, *files)})
        changed = self._with_parts(changed, mark(held, rewrite), stamp)
        self._swap(manifest, changed, etag=etag, begun=begun)
        return rewrite

    def _tiered(self) -> bool:
        """Make the tiers of the next file that has none. Gives whether there was one."""
        if self.tiering is None:
            return False
        begun = self.clock()
        manifest, etag = self.tables.manifest(self.root)
        changed = self.tiering.add(manifest, stamp=self.stamp())
        if changed is None:
            return False
        self._swap(manifest, changed, etag=etag, begun=begun)
        return True

    def _held(self, manifest: Manifest) -> list[Held]:
        found = self.tables.rows(self.root, [part.file.href for part in manifest.parts])
        return [Held(rows=tuple(rows), part=part) for part, rows in zip(manifest.parts, found, strict=True)]

    def _with_parts(self, manifest: Manifest, held: Sequence[Held], stamp: str) -> Manifest:
        parts = tuple(
            each.part or Part(file=self._rows(PARTS, each.rows, stamp), extent=extent_of(each.rows)) for each in held
        )
        return manifest.model_copy(update={"parts": parts, "scenes": sum(part.file.rows for part in parts)})

    def _history(self, manifest: Manifest, replaced: Sequence[SceneRow], stamp: str) -> tuple[StoredFile, ...]:
        if not replaced:
            return manifest.history
        history = list(manifest.history)
        rows = list(replaced)
        if together := alike([*(file.rows for file in history), len(rows)]):
            old = [history[at].href for at in together if at < len(history)]
            rows += [row for found in self.tables.rows(self.root, old) for row in found]
            history = [file for file in history if file.href not in old]
        return (*history, self._rows(HISTORY, rows, stamp))

    def _rows(self, prefix: str, rows: Sequence[SceneRow], stamp: str) -> StoredFile:
        content = self.tables.encode(rows, {"clayline": json.dumps({"format": "clayline-index/1", "stamp": stamp})})
        digest = hashlib.sha256(content).hexdigest()
        file = StoredFile(href=f"{prefix}{digest[:16]}.parquet", size=len(content), sha256=digest, rows=len(rows))
        self.root.put_new(file.href, content)
        return file

    def _file(self, partition: Partition, written: NewFile) -> CompactFile:
        href = f"{FILES}{partition.path}/{written.sha256[:16]}.parquet"
        self.root.put_new(href, written.path)
        return CompactFile(
            file=StoredFile(href=href, size=written.size, sha256=written.sha256, rows=written.rows),
            extent=written.extent,
            token=partition.token,
            square=partition.square,
            year=partition.year,
        )

    def _swap(self, before: Manifest, after: Manifest, *, etag: str | None, begun: datetime) -> None:
        """Make a manifest the one that counts. Raises _LostError where another did, TransientError.

        What was written for a swap that is lost stays where it is, for a sweep after the grace period: S3 may have
        taken a swap whose answer was lost, and then it counts.
        """
        now = self.clock()
        if now - begun > self.grace / 2:
            msg = f"a pass over {self.root.uri} took {now - begun}, more than half the grace period: it is begun again"
            raise TransientError(msg)
        gone = _named(before) - _named(after)
        retired = (*after.retired, *(Retired(href=href, since=now) for href in sorted(gone)))
        content = after.model_copy(update={"version": before.version + 1, "written": now, "retired": retired})
        if not self.root.replace(MANIFEST, content.model_dump_json().encode(), etag=etag):
            msg = f"another compactor works on {self.root.uri} and was faster {_TRIES} times: run it again later"
            raise _LostError(msg)


def _named(manifest: Manifest) -> set[str]:
    """Give every object that a manifest names as one that counts."""
    tiers = [tier for file in manifest.files for tier in file.tiers.values()]
    return {
        *(part.file.href for part in manifest.parts),
        *(file.href for file in manifest.history),
        *(file.file.href for file in manifest.files),
        *(tier.file.href for tier in tiers),
        *(tier.codebook for tier in tiers),
    }
