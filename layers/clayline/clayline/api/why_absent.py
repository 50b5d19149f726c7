"""Why another date has no chip of a cell: by the index, and by the files that could not be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clayline.api.comparing import Compared
from clayline.dataset.asking import Span
from clayline.dataset.scene_row import Box, SceneRow, flat_boxes
from clayline.likeness.pairing import ABSENT, SEVERAL, Pairs, Reason
from clayline.outputs.region import centres_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Elsewhere:
    """What lies there beside the chips that were read."""

    own: tuple[SceneRow, ...]
    """Scenes of the model."""
    others: tuple[SceneRow, ...]
    """Scenes of other models, and of other weights of this one."""
    unread: tuple[Box, ...]
    """Where files reach that could not be read."""

    @classmethod
    def of(cls, scenes: Sequence[SceneRow], model: SceneRow, unread: Mapping[str, Box]) -> Self:
        """Sort scenes by whose they are."""
        own = [row for row in scenes if (row.token, row.digest) == (model.token, model.digest)]
        others = [row for row in scenes if (row.token, row.digest) != (model.token, model.digest)]
        return cls(own=tuple(own), others=tuple(others), unread=tuple(unread.values()))


def date_number(row: SceneRow, dates: tuple[Span, ...]) -> int:
    """Say which of some dates a scene is of, that meets one at least: ``SEVERAL`` for more than one; 0 of none."""
    met = [number for number, date in enumerate(dates) if date.meets(row.start, row.end)]
    return SEVERAL if len(met) > 1 else next(iter(met), 0)


def why_absent(pairs: Pairs, chips: Compared, dates: tuple[Span, ...], elsewhere: Elsewhere) -> Pairs:
    """Give the pairs with the reason of each that lacks a date. Without ``dates`` that stays ``one-date``, but where a
    file could not be read.
    """
    reason = pairs.reason.copy()
    for is_later in (False, True):
        there, other = (pairs.later, pairs.earlier) if is_later else (pairs.earlier, pairs.later)
        alone = (other < 0) & np.isin(reason, [ABSENT, Reason.ONE_DATE.value])
        for step in np.unique(pairs.step[alone]).tolist():
            rows = np.flatnonzero(alone & (pairs.step == step))
            places = centres_of(chips.said.footprints(there[rows]))
            date = None if step < 0 else step + (0 if is_later else 1)
            reason[rows] = _reasons(places, date, dates, elsewhere)
    return replace(pairs, reason=reason)


def _reasons(
    places: NDArray[np.float64], date: int | None, dates: tuple[Span, ...], elsewhere: Elsewhere
) -> NDArray[np.str_]:
    unread = _in_boxes(places, elsewhere.unread)
    if date is None:
        return np.where(unread, Reason.UNREADABLE.value, Reason.ONE_DATE.value)
    then = [row for row in elsewhere.own if dates[date].meets(row.start, row.end)]
    own = _in_boxes(places, [row.box for row in then if date_number(row, dates) != SEVERAL])
    several = _in_boxes(places, [row.box for row in then if date_number(row, dates) == SEVERAL])
    others = _in_boxes(places, [row.box for row in elsewhere.others if dates[date].meets(row.start, row.end)])
    return np.select(
        [unread, own, several, others],
        [Reason.UNREADABLE.value, Reason.NO_CHIP.value, Reason.SEVERAL_DATES.value, Reason.OTHER_MODEL.value],
        default=Reason.NO_SCENE.value,
    )


def _in_boxes(places: NDArray[np.float64], boxes: Sequence[Box]) -> NDArray[np.bool_]:
    found = np.zeros(len(places), np.bool_)
    for box in boxes:
        for west, south, east, north in flat_boxes(box):
            found |= (places[:, 0] >= west) & (places[:, 0] <= east) & (places[:, 1] >= south) & (places[:, 1] <= north)
    return found
