"""Upkeep: passes of the compactor while there is time, then what describes the dataset; nothing where nothing came.

Nothing of it is needed to read right: readers see fragments at once (docs/dataset.md).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from clayline.dataset.compaction import NOTHING, LeftOut
from clayline.dataset.manifest import FRAGMENTS
from clayline.dataset.scene_row import SceneRow
from clayline.dataset.snapshot import not_taken_in
from clayline.errors import DatasetError
from clayline.ports import ObjectMissingError
from clayline.steps.compacting import Compacting
from clayline.steps.compacting_ports import Pass
from clayline.steps.describing import describe

COMPACTED: Final = "dataset/compacted.json"
LEAST: Final = timedelta(seconds=45)
"""Of a call's time that is kept for describing, and for a pass that takes longer than those before it."""
_MOST_MARK: Final = 4096


class Mark(BaseModel):
    """Which manifest has nothing left to gain. Derived: without it the index is read, and the same is found."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["clayline-compacted/1"] = "clayline-compacted/1"
    manifest: str
    """Its ETag."""
    tiers: bool
    """Whether its files have their tiers, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What a call did."""

    passes: tuple[Pass, ...] = ()
    finished: bool
    """False: the time was up, and the next call goes on."""
    described: tuple[str, ...] = ()
    """Keys of Collections and cards that were written."""
    undescribed: str | None = None
    """Why they could not be: they are derived, and what readers see is whole without."""

    @property
    def left_out(self) -> LeftOut:
        """What could not be compacted, and why: somebody has to look."""
        return self.passes[-1].left_out if self.passes else NOTHING


def passes(compacting: Compacting) -> Iterator[Pass]:
    """Make passes until nothing is left to gain. Raises what a pass raises.

    Tiers come last: a model's codebook is made from all its files that are there then.
    """
    tiers, left, left_out = compacting.tiering is None, True, NOTHING
    while left:
        done = compacting.compact(tiers=tiers, without=left_out)
        yield done
        left_out = done.left_out
        left, tiers = done.changed or not tiers, tiers or not done.changed


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """Ports of the function compact."""

    compacting: Compacting
    rows: Callable[[], Sequence[SceneRow]]
    """Gives the newest row of each scene."""

    def keep(self, left: Callable[[], timedelta]) -> Kept:
        """Make passes while there is time; ``left`` gives what the call has. Raises DatasetError, TransientError.

        Another pass begins while twice the longest one so far is left. What a pass that is killed leaves behind nobody
        sees, and a later pass deletes.
        """
        if self.is_idle():
            return Kept(finished=True)
        done: list[Pass] = []
        longest, before = timedelta(), left()
        seen, etag = None, self._etag()
        for each in passes(self.compacting):
            done.append(each)
            now, seen, etag = left(), etag, self._etag()
            longest, before = max(longest, before - now), now
            if each.changed and now < 2 * longest + LEAST:
                return self._described(done, finished=False)
        kept = self._described(done, finished=True)
        # The last pass saw all there is, and nobody else is at work. What was left out is tried again at every call.
        if seen == etag and etag is not None and not kept.left_out.told:
            self._mark(etag)
        return kept

    def is_idle(self) -> bool:
        """Whether nothing came since a call that finished, and nothing is to be deleted.

        One listing and two reads, however large the dataset is. Raises DatasetError, TransientError.
        """
        root, compacting = self.compacting.root, self.compacting
        listed = [stored.key for stored in root.list(FRAGMENTS)]
        manifest, etag = compacting.tables.manifest(root)
        limit = compacting.clock() - compacting.grace
        if not_taken_in(listed, manifest) or any(retired.since < limit for retired in manifest.retired):
            return False
        if etag is None:
            return True
        mark, _ = self._there()
        return mark is not None and mark.manifest == etag and (mark.tiers or compacting.tiering is None)

    def _described(self, done: Sequence[Pass], *, finished: bool) -> Kept:
        try:
            written = describe(self.compacting.root, self.rows())
        except DatasetError as error:
            return Kept(passes=tuple(done), finished=finished, undescribed=str(error))
        return Kept(passes=tuple(done), finished=finished, described=tuple(written))

    def _etag(self) -> str | None:
        return self.compacting.tables.manifest(self.compacting.root)[1]

    def _there(self) -> tuple[Mark | None, str | None]:
        """Give the mark, and the ETag of its object; None for what is no mark, or not there."""
        try:
            content, etag = self.compacting.root.get(COMPACTED, most=_MOST_MARK)
        except ObjectMissingError:
            return None, None
        try:
            return Mark.model_validate_json(content), etag
        except ValidationError:  # of another version
            return None, etag

    def _mark(self, manifest: str) -> None:
        """Note that nothing is left to gain; another call's note, written meanwhile, may stand."""
        mark = Mark(manifest=manifest, tiers=self.compacting.tiering is not None)
        _, etag = self._there()
        self.compacting.root.replace(COMPACTED, mark.model_dump_json().encode(), etag=etag)
