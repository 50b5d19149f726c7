"""Sheet: the chips that a watch told of, drawn as they look (docs/watches.md, The sheet)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from clayline.chips.cog import CogSource
from clayline.dataset.ports import WritableRoot
from clayline.errors import ClaylineError, DatasetError
from clayline.likeness.imagery import SceneImagery
from clayline.likeness.rehearsal import threshold_text
from clayline.likeness.sheet import Shown, sheet
from clayline.likeness.watch_receipt import MOST_RECEIPT_BYTES, WatchReceipt, is_receipt, sheet_key
from clayline.likeness.watch_told import Told
from clayline.ports import ObjectHead, ObjectMissingError, Objects
from clayline.run.keys import WorkObjects, parse_s3_uri
from clayline.run.plan import Plan
from clayline.run.stored_plan import load_plan

_REASONS_TOLD: Final = 3
"""In the sheet's title; each tile has its own."""
_MOST_NAME: Final = 128
"""Letters of an identifier, of which the place is shown: time and model are the scene's."""
_MOST_LINE: Final = 300
"""Letters of a line of the title: what a receipt calls things may be anything."""


class ReadChips(Protocol):
    """The reader: ``clayline.raster.chip_pictures.read_chips`` with its settings."""

    def __call__(
        self, imagery: SceneImagery, indexes: Sequence[int], *, locate: Callable[[str], CogSource]
    ) -> Sequence[NDArray[np.float32] | ClaylineError]:
        """Give [C, SIDE, SIDE] of each chip, or why it cannot be read. Raises TransientError."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """What one event came to."""

    chips: int = 0
    """On the sheet."""
    lacking: dict[str, int] = field(default_factory=dict)
    """Of them those of which no pixel could be shown, by why."""
    repeated: bool = False
    """The sheet was there."""
    elsewhere: bool = False
    """The event is about no receipt of this root; nothing could ever cure it."""
    gone: bool = False
    """The receipt was taken away since."""


@dataclass(frozen=True, kw_only=True)
class Sheeting:
    """Ports of sheet."""

    root: WritableRoot
    objects: Objects
    source: Callable[[ObjectHead], CogSource]
    """Where the reader finds an object. Raises SceneError."""
    read: ReadChips
    png: Callable[[NDArray[np.uint8]], bytes]
    work_bucket: str
    buckets: frozenset[str]
    """That imagery may be read from."""
    root_name: str = ""
    """What names of the root's objects begin with, in events and receipts."""

    def draw(self, told: Told) -> Drawn:
        """Draw the sheet of one event beside its receipt, unless it is there.

        What can never be read stands on the sheet with the reason in its place. Raises DatasetError for a receipt that
        is none or another's, TransientError.
        """
        key = told.receipt.removeprefix(self.root_name)
        if told.receipt != f"{self.root_name}{key}" or not is_receipt(key):
            return Drawn(elsewhere=True)
        where = sheet_key(key)
        if self._is_there(where):
            return Drawn(repeated=True)
        try:
            content, _ = self.root.get(key, most=MOST_RECEIPT_BYTES)
        except ObjectMissingError:
            return Drawn(gone=True)
        receipt = WatchReceipt.parse(content, uri=f"{self.root.uri}/{key}")
        if receipt.receipt != told.receipt or receipt.key != key or not receipt.top:
            msg = f"{self.root.uri}/{key} says that it is {receipt.receipt}, with {len(receipt.top)} matches told."
            raise DatasetError(f"{msg} Move it to where it belongs.")
        shown = self._shown(receipt)
        lacking = lacking_of(shown)
        body = self.png(sheet(shown, title=_title(receipt, lacking)))
        if not self.root.put_new(where, body):
            return Drawn(repeated=True)  # another delivery was first: both drew the same
        return Drawn(chips=len(shown), lacking=lacking)

    def _shown(self, receipt: WatchReceipt) -> list[Shown]:
        found = self._pixels(receipt)
        tiles = []
        for rank, (match, pixels) in enumerate(zip(receipt.top, found, strict=True), start=1):
            lines = (f"{rank}  {match.score:.3f}", match.uci[:_MOST_NAME].partition("_")[0])
            if isinstance(pixels, str):
                tiles.append(Shown(pixels=None, why=pixels, scene=receipt.run, lines=lines))
            elif not np.isfinite(pixels).all(axis=0).any():
                why = "no pixel of it has a value"
                tiles.append(Shown(pixels=None, why=why, scene=receipt.run, lines=lines))
            else:
                tiles.append(Shown(pixels=pixels, why="", scene=receipt.run, lines=lines))
        return tiles

    def _pixels(self, receipt: WatchReceipt) -> Sequence[NDArray[np.float32] | str]:
        """Give pixels of each match, or why there are none."""
        work = WorkObjects(bucket=self.work_bucket, run=receipt.run)
        try:
            plan = load_plan(self.objects, work)
        except ObjectMissingError:
            return [f"the plan of run {receipt.run} is gone; plans are kept for 30 days"] * len(receipt.top)
        # By the folder: of a run that was planned anew the same chips lie in another revision's file.
        folder = plan.outputs.parquet.rpartition("/")[0].removeprefix(f"{self.root.uri}/")
        if f"{self.root_name}{folder}" != receipt.embeddings.rpartition("/")[0]:
            msg = f"{receipt.receipt} tells of {receipt.embeddings}, and run {receipt.run} is of another scene."
            raise DatasetError(f"{msg} Delete the receipt; the scene is scored again when it is announced again.")
        imagery, located = SceneImagery.planned(plan), Located(plan=plan, sheeting=self)
        found = self.read(imagery, [match.index for match in receipt.top], locate=located)
        try:
            for band in imagery.bands:  # what was read is what was embedded, or nothing is shown
                located(band.uri)
        except DatasetError as error:
            return [str(error)] * len(receipt.top)
        return [str(each) if isinstance(each, ClaylineError) else each for each in found]

    def _is_there(self, key: str) -> bool:
        try:
            self.root.head(key)
        except ObjectMissingError:
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class Located:
    """Where a plan's imagery is, as long as it is what was embedded."""

    plan: Plan
    sheeting: Sheeting

    def __call__(self, uri: str) -> CogSource:
        """Raises DatasetError for what may not be read, is gone or was replaced; TransientError."""
        called = self.plan.names.of(uri)
        bucket, _ = parse_s3_uri(uri)
        if bucket not in self.sheeting.buckets:
            msg = f"bucket {bucket} is none of those that may be read (any more)"
            raise DatasetError(msg)
        try:
            head = self.sheeting.objects.head(uri)
        except ObjectMissingError as error:
            msg = f"{called} is gone"
            raise DatasetError(msg) from error
        if head.etag != self.plan.sources()[uri].etag:
            msg = f"{called} was replaced since it was embedded"
            raise DatasetError(msg)
        return self.sheeting.source(head)


def lacking_of(shown: Sequence[Shown]) -> dict[str, int]:
    """Count chips that could not be shown, by why."""
    why = [each.why for each in shown if each.pixels is None]
    return {each: why.count(each) for each in dict.fromkeys(why)}


def _when(acquired: datetime) -> str:
    """Say when a scene was acquired: one that tells its day alone, or its days, begins at midnight."""
    return f"{acquired:%Y-%m-%d}" if acquired.time() == time() else f"{acquired:%Y-%m-%d %H:%M} UTC"


def _title(receipt: WatchReceipt, lacking: Mapping[str, int]) -> list[str]:
    """Say what was watched for, in which scene, and what is not shown."""
    best = f", the best {len(receipt.top)} are shown" if len(receipt.top) < receipt.matched else ""
    reached = f"{receipt.matched:,} of {receipt.scored:,} chips reach {threshold_text(receipt.threshold)}"
    said = [
        f"{receipt.watch} v{receipt.version:03d}: {reached}{best}",
        f"{receipt.scene}, {_when(receipt.acquired)}, {receipt.instrument}, {receipt.token}",
    ]
    reasons = list(lacking.items())
    said += [f"{count} not shown: {why}" for why, count in reasons[:_REASONS_TOLD]]
    if rest := sum(count for _, count in reasons[_REASONS_TOLD:]):
        said.append(f"{rest} not shown, for other reasons")
    return [line[:_MOST_LINE] for line in said]
