"""Compact: fragments become parts, and scenes' chips the files of their squares (docs/dataset.md, Compacting).

A pass writes only what nobody names yet, then swaps the manifest. Killed anywhere, it changed nothing that is seen.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clayline.dataset.compaction import NOTHING, LeftOut, Rewrite, absorb, forget, mark, next_rewrite, put_together
from clayline.dataset.manifest import (
    FILES,
    FRAGMENTS,
    HISTORY,
    PARTS,
    TIERS,
    CompactFile,
    Retired,
    Revised,
    StoredFile,
)
from clayline.dataset.scene_row import Partition, SceneKey, SceneRow
from clayline.dataset.snapshot import not_taken_in
from clayline.errors import DatasetError, SceneFilesError
from clayline.ports import ObjectMissingError
from clayline.steps.compacting_ports import NewFile, Pass
from clayline.steps.index_writing import IndexWriting, named_in
from clayline.steps.tiering import Tiering, without_tiers

MOST_FRAGMENTS: Final = 2_000
"""Taken in by a pass."""
SPOOL_BYTES: Final = 4 * 1024**3
_AGAIN: Final = (
    "Files under dataset/ are copies: move `dataset/` away and make it again with `clayline index` and `clayline"
    " compact`."
)


@dataclass(frozen=True, kw_only=True)
class Compacting(IndexWriting):
    """Ports of compact."""

    scratch: Path
    tiering: Tiering | None = None
    """None: files get no tiers."""
    most_fragments: int = MOST_FRAGMENTS
    spool_bytes: int = SPOOL_BYTES

    def compact(self, *, tiers: bool = True, without: LeftOut = NOTHING) -> Pass:
        """Make one pass: delete what is over, take fragments in, make one square's files again, ``tiers`` of one file.

        A scene whose file is lost or damaged, or that has another's identifiers, stays outside and is told with its
        reason; the others go on. ``without`` is what a pass before left out. Raises DatasetError for what makes no
        dataset, TransientError.
        """
        deleted = self._swept()
        taken_in = self._until_first(self._take_in)
        rewritten, left_out = self._until_first(lambda: self._rewrite(without))
        tiered = tiers and self._until_first(self._tiered)
        return Pass(
            tiered=tiered,
            taken_in=taken_in,
            rewritten=rewritten.partition if rewritten else None,
            chips=sum(row.rows for row in rewritten.scenes) if rewritten else 0,
            deleted=deleted,
            left_out=left_out,
        )

    def forget(self, lost: Collection[SceneRow]) -> None:
        """Take rows out of the index, of scenes whose files are lost. Of a scene's other revisions the highest counts
        again. Raises DatasetError, TransientError.
        """
        while self._until_first(self._take_in):
            pass
        self._until_first(lambda: self._forgotten(lost))

    def forget_tiers(self, token: str) -> None:
        """Take a model's tiers away, so that passes make them again by a new codebook. Raises TransientError."""
        begun = self.clock()
        manifest, etag = self.tables.manifest(self.root)
        self._swap(manifest, without_tiers(manifest, token), etag=etag, begun=begun)

    def _swept(self) -> int:
        """Delete what was retired before the grace period, and what a killed pass left. Gives how many.

        The manifest forgets them with the next swap; until then they are deleted again, which does nothing.
        """
        manifest, _ = self.tables.manifest(self.root)
        limit = self.clock() - self.grace
        over = [retired.href for retired in manifest.retired if retired.since < limit]
        known = {*named_in(manifest), *(retired.href for retired in manifest.retired)}
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
                    "revised": _revised(absorbed.revised),
                }
            )
            changed = self._with_parts(changed, put_together(absorbed.held), stamp)
        self._swap(manifest, changed, etag=etag, begun=begun)
        return len(loose)

    def _forgotten(self, lost: Collection[SceneRow]) -> None:
        begun = self.clock()
        manifest, etag = self.tables.manifest(self.root)
        older = self.tables.rows(self.root, [file.href for file in manifest.history])
        gone = {(row.key, row.revision) for row in lost}
        left = forget(self._held(manifest), [row for rows in older for row in rows], gone, manifest.newest)
        # Its fragment goes before the manifest forgets it: were it there, it would be taken in again.
        fragments = {row.fragment for row in lost}
        self.root.discard([FRAGMENTS + name for name in sorted(fragments)])
        stamp = self.stamp()
        changed = manifest.model_copy(
            update={
                "absorbed": tuple(name for name in manifest.absorbed if name not in fragments),
                "retired": tuple(
                    each for each in manifest.retired if each.href.removeprefix(FRAGMENTS) not in fragments
                ),
                "history": (self._rows(HISTORY, left.replaced, stamp),) if left.replaced else (),
                "revised": _revised(left.revised),
            }
        )
        self._swap(manifest, self._with_parts(changed, left.held, stamp), etag=etag, begun=begun)

    def _rewrite(self, without: LeftOut) -> tuple[Rewrite | None, LeftOut]:
        """Make the files again of the square and year with the most to gain; None where none is worth it.

        What stands in the way of one is left out, and the next one chosen.
        """
        while True:
            begun = self.clock()
            manifest, etag = self.tables.manifest(self.root)
            held = self._held(manifest)
            rows = (row for each in held for row in each.rows)
            rewrite = next_rewrite(rows, manifest.files, most_bytes=self.spool_bytes, without=without)
            if rewrite is None:
                return None, without
            stamp = self.stamp()
            try:
                files = tuple(
                    self._file(rewrite.partition, written)
                    for written in self.tables.files(self.root, rewrite, scratch=self.scratch, stamp=stamp)
                )
            except SceneFilesError as error:
                without = without.and_scenes(error.scenes)
            except (DatasetError, ObjectMissingError) as error:
                if isinstance(error, ObjectMissingError) and self.tables.manifest(self.root)[1] != etag:
                    raise  # another compactor was faster: its files are others
                without = without.and_square(rewrite.partition, f"{error}. {_AGAIN}")
            else:
                others = tuple(file for file in manifest.files if file.partition != rewrite.partition)
                changed = manifest.model_copy(update={"files": (*others, *files)})
                changed = self._with_parts(changed, mark(held, rewrite), stamp)
                self._swap(manifest, changed, etag=etag, begun=begun)
                return rewrite, without

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


def _revised(highest: Mapping[SceneKey, int]) -> tuple[Revised, ...]:
    return tuple(
        Revised(token=key.token, scene=key.scene, revision=revision) for key, revision in sorted(highest.items())
    )
