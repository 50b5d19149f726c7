"""The same ground at two dates: which chips are compared, and why others are not (docs/change.md).

Everything is a number here: of N chips, cells, instruments, dates and texts by their place in a list.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.chips.limits import exceeds, reaches
from clayline.dataset.terms import check_flag, check_number
from clayline.likeness.taking_part import VALID_LEAST

type Ints = NDArray[np.int64]
type Texts = NDArray[np.str_]

CLOUD_MOST: Final = 0.2
"""Of a chip whose cloud is known. Above it a chip is no judge of the ground, as a scene's picture holds it too."""
_UNKNOWN_CLOUD: Final = 2.0
"""Sorts behind every cloud that is known."""


class Reason(StrEnum):
    """Why a chip, or a cell, was not compared."""

    OWN_GRID = "own-grid"
    """It has no cell: nothing can be joined to it."""
    BROKEN = "not-finite"
    """Its vector has a component that is no finite number."""
    OUTSIDE = "mostly-outside"
    """Less of it is valid than was asked for."""
    CLOUD = "cloud"
    """More of it is cloudy than was asked for."""
    CLOUD_UNKNOWN = "cloud-unknown"
    """Nobody says how cloudy it is, and that was asked for."""
    SEVERAL_DATES = "several-dates"
    """Its scene's time, a day or more, meets several of the dates: nobody knows which of them it shows."""
    OTHER_INSTRUMENT = "other-instrument"
    """The other date has the cell by another instrument alone."""
    ONE_DATE = "one-date"
    """No other date has the cell."""
    OTHER_MODEL = "other-model"
    """At the other date, scenes of other models alone lie there."""
    NO_SCENE = "no-scene"
    """At the other date, no scene lies there."""
    NO_CHIP = "no-chip"
    """A scene of the other date reaches there, and has no such chip: it was skipped or failed, or lies beside it."""
    UNREADABLE = "unreadable"
    """A file that may have it could not be read."""


ABSENT: Final = "absent"
"""Until it is known why the other date has no chip."""
SEVERAL: Final = int(np.iinfo(np.int64).min)
"""Instead of the number of a date: it is of more than one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a chip has to be, to be compared."""

    valid_least: float = VALID_LEAST
    cloud_most: float | None = CLOUD_MOST
    """None: however cloudy."""
    cloud_known: bool = False
    """Whether a chip of unknown cloud is left out."""

    def __post_init__(self) -> None:
        """Refuse what no chip could be held against, or every chip. Raises DatasetError."""
        check_number(self.valid_least, name="valid_least", least=0, most=1)
        check_number(self.cloud_most, name="cloud_most", least=0, most=1, optional=True)
        check_flag(self.cloud_known, name="cloud_known")

    def judge(self, valid: NDArray[Any], cloud: NDArray[Any], broken: NDArray[np.bool_]) -> Texts:
        """Give why each of N chips cannot be compared, the first that holds; empty where it can."""
        unknown = np.isnan(cloud)
        over = np.zeros(len(cloud), np.bool_) if self.cloud_most is None else exceeds(cloud, self.cloud_most)
        return np.select(
            [broken, ~reaches(valid, self.valid_least), over, unknown & self.cloud_known],
            [Reason.BROKEN.value, Reason.OUTSIDE.value, Reason.CLOUD.value, Reason.CLOUD_UNKNOWN.value],
            default="",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """N chips of one model."""

    cell: Ints
    """[N], -1 for none."""
    instrument: Ints
    """[N] its family's number; all alike where instruments are compared with each other."""
    date: Ints
    """[N] which date it is of: dates are ascending in time; ``SEVERAL`` for more than one."""
    rank: Ints
    """[N] place of its identifier among all, ascending."""
    valid: NDArray[Any]
    cloud: NDArray[Any]
    """NaN is unknown."""
    wrong: Texts
    """Why it cannot be compared, or nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """M pairs of chips of one cell, those that are compared and those that are not."""

    earlier: Ints
    """[M] number of the chip, -1 for none."""
    later: Ints
    reason: Texts
    """Empty where the two are compared."""
    step: Ints
    """[M] which two dates: dates ``step`` and the next; -1 where each cell has its own, and for ``several-dates``."""

    @property
    def compared(self) -> Ints:
        """Numbers of the pairs that are."""
        return np.flatnonzero(self.reason == "").astype(np.int64)


def best(chips: Observed) -> Ints:
    """Give one chip of each cell, instrument and date, by cell, instrument and date.

    Where scenes of one date overlap, a cell has several chips. That is taken which can be compared; of several the one
    with the most valid, then the least cloud (unknown last), then the first identifier.
    """
    has_cell = np.flatnonzero((chips.cell >= 0) & (chips.date != SEVERAL))
    cloud = np.where(np.isnan(chips.cloud), _UNKNOWN_CLOUD, chips.cloud)
    keys = (chips.rank, cloud, -chips.valid, chips.wrong != "", chips.date, chips.instrument, chips.cell)
    order = has_cell[np.lexsort([key[has_cell] for key in keys])]
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for key in (chips.cell, chips.instrument, chips.date):
        same &= key[order][1:] == key[order][:-1]
    first = np.concatenate([np.ones(min(len(order), 1), np.bool_), ~same])
    found: Ints = order[first]
    return found


def of_dates(chips: Observed, dates: int) -> Pairs:
    """Pair each date, 0 to ``dates`` - 1, with the next, by cell and instrument. A cell has one row of each two dates,
    or one an instrument that has it at both.
    """
    chosen = best(chips)
    steps = np.where(chips.date == SEVERAL, -1, np.minimum(chips.date, dates - 2))
    parts = [_by_itself(chips, steps, chips.date == dates - 1)]
    for step in range(dates - 1):
        here, there = (chosen[chips.date[chosen] == date] for date in (step, step + 1))
        units_here, units_there = _units(chips, here), _units(chips, there)
        _, at_here, at_there = np.intersect1d(units_here, units_there, assume_unique=True, return_indices=True)
        both = (here[at_here], there[at_there])
        wrong = np.where(chips.wrong[both[0]] != "", chips.wrong[both[0]], chips.wrong[both[1]])
        parts.append(_pairs(*both, wrong, step))
        # A cell that an instrument has at both dates is told by that: the others add nothing.
        done = chips.cell[both[0]]
        alone_here, alone_there = (_one_a_cell(chips, found, done) for found in (here, there))
        _, at_here, at_there = np.intersect1d(
            chips.cell[alone_here], chips.cell[alone_there], assume_unique=True, return_indices=True
        )
        others = (alone_here[at_here], alone_there[at_there])
        parts.append(_pairs(*others, np.full(len(at_here), Reason.OTHER_INSTRUMENT.value), step))
        here, there = np.delete(alone_here, at_here), np.delete(alone_there, at_there)
        parts.append(_pairs(here, np.full(len(here), -1), np.full(len(here), ABSENT), step))
        parts.append(_pairs(np.full(len(there), -1), there, np.full(len(there), ABSENT), step))
    return _joined(parts)


def in_turn(chips: Observed) -> Pairs:
    """Pair each chip that can be compared with its cell's and instrument's next one; a chip that is in no pair stands
    alone, as the earlier one.
    """
    chosen = best(chips)
    wrong = chips.wrong[chosen]
    bad, good = chosen[wrong != ""], chosen[wrong == ""]
    units = _units(chips, good)
    follows = units[1:] == units[:-1]
    pairs = _pairs(good[:-1][follows], good[1:][follows], np.full(int(follows.sum()), ""), -1)
    paired = np.zeros(len(good), np.bool_)
    paired[:-1] |= follows
    paired[1:] |= follows
    single = good[~paired]
    cells, counts = np.unique(chips.cell[good], return_counts=True)
    several = counts[np.searchsorted(cells, chips.cell[single])] > 1
    reasons = np.where(several, Reason.OTHER_INSTRUMENT.value, Reason.ONE_DATE.value)
    return _joined(
        [
            _by_itself(chips, np.full(len(chips.date), -1), np.zeros(len(chips.date), np.bool_)),
            pairs,
            _pairs(bad, np.full(len(bad), -1), chips.wrong[bad], -1),
            _pairs(single, np.full(len(single), -1), reasons, -1),
        ]
    )


def _units(chips: Observed, found: Ints) -> Ints:
    """Number cell and instrument together."""
    width = int(chips.instrument.max(initial=0)) + 1
    return chips.cell[found] * width + chips.instrument[found]


def _one_a_cell(chips: Observed, found: Ints, done: Ints) -> Ints:
    """Give of each cell that is not done its first instrument's chip."""
    left = found[~np.isin(chips.cell[found], done)]
    _, first = np.unique(chips.cell[left], return_index=True)
    return left[first]


def _by_itself(chips: Observed, steps: Ints, is_later: NDArray[np.bool_]) -> Pairs:
    """Give the chips that nothing can be joined to."""
    found = np.flatnonzero((chips.cell < 0) | (chips.date == SEVERAL))
    later = is_later[found]
    return Pairs(
        earlier=np.where(later, -1, found),
        later=np.where(later, found, -1),
        reason=np.where(chips.cell[found] < 0, Reason.OWN_GRID.value, Reason.SEVERAL_DATES.value),
        step=steps[found],
    )


def _pairs(earlier: Ints, later: Ints, reason: Texts, step: int) -> Pairs:
    return Pairs(earlier=earlier, later=later, reason=reason, step=np.full(len(earlier), step))


def _joined(parts: list[Pairs]) -> Pairs:
    return Pairs(
        earlier=np.concatenate([part.earlier for part in parts]).astype(np.int64),
        later=np.concatenate([part.later for part in parts]).astype(np.int64),
        reason=np.concatenate([part.reason for part in parts]).astype(np.str_),
        step=np.concatenate([part.step for part in parts]).astype(np.int64),
    )
