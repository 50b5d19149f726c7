"""What a distance is worth: its percentile among the dataset's own pairs of that place and season (docs/change.md)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.centring import Centre
from clayline.likeness.pairing import Ints, Observed, best

LEAST_PAIRS: Final = 200
"""Of one kind, below which no percentile is told. The share that changed less than a distance at the 95th percentile is
then known to 1.5 points (the binomial's standard deviation); of 50 pairs to 3, and each of them would be two points."""
MOST_A_CELL: Final = 4
"""Pairs of one cell and season that count: neighbours in time are alike, and one cell should not speak for a square."""
_MOST_TURNS: Final = 400
"""Dates that lie between two of a pair, in the calibration: a square's daily scenes of a year."""
_MICROSECONDS_A_DAY: Final = 86_400_000_000
_DAYS_A_YEAR: Final = 365.25
_QUARTERS: Final = ("DJF", "MAM", "JJA", "SON")
"""Of months by their first letters."""
_BLOCK: Final = 4096
"""Pairs whose vectors are in memory together."""


class Kind(NamedTuple):
    """Pairs that are compared with each other; the model is one in any case."""

    instruments: str
    """A family of them, or two with + between, in the order of the alphabet."""
    region: str
    """The MGRS square of 100 km, e.g. ``32UQD``, or its zone, e.g. ``32U``."""
    season: int
    """As ``seasons`` has it."""


@dataclass
class Reference:
    """Distances of the dataset's own pairs, by kind."""

    distances: dict[Kind, NDArray[np.float64]] = field(default_factory=dict)
    """[n] each, ascending."""

    def add(self, found: Mapping[Kind, Iterable[float]]) -> None:
        """Take the distances of kinds that it does not have yet."""
        for kind, values in found.items():
            self.distances.setdefault(kind, np.sort(np.fromiter(values, np.float64)))

    def pairs(self, kind: Kind) -> int:
        """How many there are of a kind."""
        return len(self.distances.get(kind, ()))

    def percentiles(self, kind: Kind, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give of how many of a hundred pairs of the kind each distance [n] is the greater one: NaN of too few pairs.

        What is alike to the bit has 0.
        """
        known = self.distances.get(kind)
        if known is None or len(known) < LEAST_PAIRS:
            return np.full(len(distances), np.nan)
        return 100.0 * np.searchsorted(known, distances, side="left") / len(known)


def distances(centre: Centre, vectors: NDArray[np.float32], earlier: Ints, later: Ints) -> NDArray[np.float64]:
    """Give 1 - cosine of centred vectors, 0 to 2, of pairs of rows [n] of [N, D] vectors: [n].

    It is computed as half the squared distance of the two on the unit sphere, which is 0 for equal vectors and has no
    rounding error for near ones. Memory holds some thousand vectors; ``vectors`` may lie on disk.
    """
    found = np.empty(len(earlier))
    for start in range(0, len(earlier), _BLOCK):
        part = slice(start, start + _BLOCK)
        apart = centre.unit(vectors[earlier[part]]) - centre.unit(vectors[later[part]])
        found[part] = 0.5 * np.einsum("ij,ij->i", apart, apart, dtype=np.float64)
    return found


def seasons(earlier: Ints, later: Ints) -> Ints:
    """Number the seasons of pairs by their moments (microseconds since 1970, UTC) [n].

    A season is the two quarters of the year, whichever is first, and whether the two are a year or more apart (rounded
    to whole years).
    """
    quarters = [(_month(moments) + 1) % 12 // 3 for moments in (earlier, later)]
    years = np.rint(np.abs(later - earlier) / (_MICROSECONDS_A_DAY * _DAYS_A_YEAR)) >= 1
    return (np.minimum(*quarters) * 4 + np.maximum(*quarters)) * 2 + years


def season_name(season: int) -> str:
    """Name a season for people."""
    first, second = _QUARTERS[season // 8], _QUARTERS[season // 2 % 4]
    return f"{first}-{second}, {'years apart' if season % 2 else 'within a year'}"


def quarters_of(season: int) -> set[int]:
    """Give the two quarters of a season: 0 is December to February."""
    return {season // 8, season // 2 % 4}


def quarter(moments: Ints) -> Ints:
    """Give the quarters of moments [n]."""
    return (_month(moments) + 1) % 12 // 3


def reference_pairs(chips: Observed, moments: Ints, wanted: Iterable[int]) -> tuple[Ints, Ints]:
    """Give the pairs of chips (numbers, the earlier first) that calibrate some seasons: any two dates of a cell and
    instrument that can be compared.

    Of each cell, instrument and season at most four, evenly from all there are. ``moments`` [N] as ``seasons`` has it.
    """
    chosen = best(chips)
    chosen = chosen[chips.wrong[chosen] == ""]
    keys = [chips.cell[chosen], chips.instrument[chosen]]
    seasons_wanted = np.array(sorted(set(wanted)), np.int64)
    earlier, later, of_season = [], [], []
    for turn in range(1, min(len(chosen), _MOST_TURNS + 1)):
        same = np.logical_and.reduce([key[turn:] == key[:-turn] for key in keys])
        if not same.any():
            break
        first, second = chosen[:-turn][same], chosen[turn:][same]
        season = seasons(moments[first], moments[second])
        meant = np.isin(season, seasons_wanted)
        earlier.append(first[meant])
        later.append(second[meant])
        of_season.append(season[meant])
    if not earlier:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first, second, season = (np.concatenate(each) for each in (earlier, later, of_season))
    order = np.lexsort([moments[second], moments[first], season, chips.instrument[first], chips.cell[first]])
    first, second, season = first[order], second[order], season[order]
    kept = _evenly([chips.cell[first], chips.instrument[first], season])
    return first[kept], second[kept]


def _evenly(keys: list[Ints]) -> NDArray[np.bool_]:
    """Mark at most four of each run of equal keys, evenly."""
    count = len(keys[0])
    if not count:
        return np.empty(0, np.bool_)
    begins = np.ones(count, np.bool_)
    begins[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    starts = np.flatnonzero(begins)
    sizes = np.diff([*starts, count])
    at, size = np.arange(count) - np.repeat(starts, sizes), np.repeat(sizes, sizes)
    return np.asarray((size <= MOST_A_CELL) | (at * MOST_A_CELL // size != (at - 1) * MOST_A_CELL // size))


def _month(moments: Ints) -> Ints:
    """January is 0."""
    return moments.astype("M8[us]").astype("M8[M]").astype(np.int64) % 12
