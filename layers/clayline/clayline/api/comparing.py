"""Chips of a dataset that are to be compared: read as far as they can be, with what a comparison looks at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from clayline.api.index import Index
from clayline.api.planning import sources
from clayline.dataset.asking import Span
from clayline.dataset.choosing import Chosen
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import Box, SceneRow
from clayline.dataset.terms import check_flag, check_kind
from clayline.identity.regions import bounds_of, square_of
from clayline.likeness.calibrating import Kind, quarter, quarters_of, reference_pairs, seasons
from clayline.likeness.centring import Centre
from clayline.likeness.pairing import Ints, Limits, Observed
from clayline.outputs.region import Region
from clayline.scene.instrument_family import family_of, named_by
from clayline.table.gathering import ChipsSaid, Gathered, Lost, Scratch, gather, open_each

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CALIBRATION_CHIPS: Final = 20_000
"""Of a square or zone, of which pairs are made to calibrate by: 80 MB at 1,024 dimensions."""
MOST_CHIPS_OF_ALL: Final = 200_000
"""Of all squares together."""
_WINDOWS: Final = 8
"""A side: where a region has more, so many windows over it are read."""
_BLOCK: Final = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What makes chips comparable."""

    limits: Limits
    across_instruments: bool

    def __post_init__(self) -> None:
        """Refuse other kinds of things. Raises DatasetError."""
        check_kind(self.limits, Limits, name="limits")
        check_flag(self.across_instruments, name="across_instruments")

    def pair_of_families(self, first: str, second: str) -> str:
        """Name them, whichever is the earlier."""
        return "+".join(sorted({first, second}))


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Chips of one model that were read."""

    gathered: Gathered
    said: ChipsSaid
    observed: Observed
    moments: Ints
    """[N] microseconds since 1970."""
    families: list[str]
    """[N] of instruments."""
    regions: list[str]
    """[N] squares; empty where an identifier has none."""


def observe(gathered: Gathered, terms: Terms, date_of: Callable[[ChipsSaid], Ints]) -> Compared:
    """Number what was read; ``date_of`` gives the date of each chip."""
    said = gathered.chips
    moments = said.moments
    families = [family_of((uci.split("_") + [""] * 3)[2]) for uci in said.ucis]
    names = {name: number for number, name in enumerate(sorted(set(families)))}
    valid, cloud = said.fractions("valid_fraction"), said.fractions("cloud_fraction")
    observed = Observed(
        cell=said.cell_numbers,
        instrument=np.array([0 if terms.across_instruments else names[each] for each in families], np.int64),
        date=date_of(said),
        rank=said.ranks,
        valid=valid,
        cloud=cloud,
        wrong=terms.limits.judge(valid, cloud, gathered.broken),
    )
    return Compared(
        gathered=gathered,
        said=said,
        observed=observed,
        moments=moments,
        families=families,
        regions=[square_of(uci) or "" for uci in said.ucis],
    )


def kinds(chips: Compared, earlier: Ints, later: Ints, terms: Terms, widen: Callable[[str], str]) -> list[Kind]:
    """Give the kind of each pair; ``widen`` makes its square the region."""
    of_season = seasons(chips.moments[earlier], chips.moments[later]).tolist()
    return [
        Kind(
            terms.pair_of_families(chips.families[first], chips.families[second]),
            widen(chips.regions[first]),
            season,
        )
        for first, second, season in zip(earlier.tolist(), later.tolist(), of_season, strict=True)
    ]


def day_of(said: ChipsSaid) -> Ints:
    """Number the days on which chips' scenes began, UTC."""
    return said.moments // 86_400_000_000


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Pairs of a region, before their distances are known."""

    chips: Compared
    earlier: Ints
    later: Ints
    kinds: list[Kind]


class Reader:
    """Reads chips of one model of a dataset for a comparison."""

    def __init__(self, root: Root, index: Index, model: SceneRow, scratch: Scratch, terms: Terms) -> None:
        """Take a scene of the model; ``scratch`` keeps vectors."""
        self._root = root
        self._index = index
        self.model = model
        self._scratch = scratch
        self._terms = terms
        self.lost: list[Lost] = []

    def chosen(
        self, chosen: Chosen, region: Region | None, span: Span, date_of: Callable[[ChipsSaid], Ints]
    ) -> Compared:
        """Read the chips of scenes that were asked for, with their footprints. Raises TransientError, OSError."""
        wanted = sources(self._index.manifest, chosen, region, span)
        gathered = self._scratch.gathered(self.model.dimensions)
        for _ in gather(self._root, open_each(self._root, wanted, geometry=True), gathered, geometry=True):
            pass
        self.lost += gathered.lost
        return observe(gathered, self._terms, date_of)

    def calibration(self, region: str, wanted: set[Kind], *, most: int) -> Calibration:
        """Read pairs of the kinds that are wanted in a square or zone, of at most about ``most`` chips.

        Of more, windows evenly over the region are read. Raises TransientError, OSError.
        """
        families = {name for kind in wanted for name in kind.instruments.split("+")}
        quarters = set().union(*(quarters_of(kind.season) for kind in wanted))
        boxes = bounds_of(region)
        place = Region.of_boxes(boxes)
        chosen = self._scenes(place, named_by(families), quarters)
        opened = open_each(self._root, sources(self._index.manifest, chosen, place, Span()), geometry=False)
        if opened.rows > most:
            place = Region.of_boxes(_windows(boxes, most / opened.rows))
            opened = open_each(self._root, sources(self._index.manifest, chosen, place, Span()), geometry=False)
        gathered = self._scratch.gathered(self.model.dimensions)
        count = 0
        for rows in gather(self._root, opened, gathered, geometry=False):
            count += rows
            if count > 2 * most:
                break
        known = {lost.key for lost in self.lost}
        self.lost += [lost for lost in gathered.lost if lost.key not in known]
        chips = observe(gathered, self._terms, day_of)
        inside = np.array([each.startswith(region) for each in chips.regions], np.bool_)
        observed = replace(chips.observed, cell=np.where(inside, chips.observed.cell, -1))
        earlier, later = reference_pairs(observed, chips.moments, {kind.season for kind in wanted})
        found = kinds(chips, earlier, later, self._terms, lambda _: region)
        return Calibration(chips=chips, earlier=earlier, later=later, kinds=found)

    def _scenes(self, place: Region, instruments: frozenset[str], quarters: set[int]) -> Chosen:
        model = f"{self.model.token}@{self.model.digest}"
        chosen = self._index.choose(place, Span(), model=model, every_revision=False, lossy=True)
        days = np.array([np.datetime64(row.start.replace(tzinfo=None), "us") for row in chosen.newest], "M8[us]")
        fits = np.isin(quarter(days.astype(np.int64)), sorted(quarters)).tolist()
        newest = [
            row for row, is_then in zip(chosen.newest, fits, strict=True) if is_then and row.instrument in instruments
        ]
        return replace(chosen, newest=tuple(newest))


def centre_of_rows(found: Sequence[Compared], name: str) -> Centre:
    """Give the mean of all chips that can be compared, each once. Raises DatasetError for fewer than 256."""
    total: NDArray[np.float64] = np.zeros(1)
    seen: set[str] = set()
    for chips in found:
        vectors = chips.gathered.vectors
        fit = (chips.observed.wrong == "").tolist()
        rows = []
        for number, (uci, is_fit) in enumerate(zip(chips.said.ucis, fit, strict=True)):
            if is_fit and uci not in seen:
                seen.add(uci)
                rows.append(number)
        for start in range(0, len(rows), _BLOCK):
            total = total + vectors[rows[start : start + _BLOCK]].sum(axis=0, dtype=np.float64)
    return Centre.of_rows(total, len(seen), name=name)


def boxes_of_lost(lost: Sequence[Lost], index: Index, scenes: Sequence[SceneRow]) -> Mapping[str, Box]:
    """Give where the chips of files lie that could not be read, by key."""
    places = {file.file.href: file.extent.box for file in index.manifest.files}
    places |= {row.href: row.box for row in scenes}
    return {each.key: places[each.key] for each in lost if each.key in places}


def _windows(boxes: Sequence[tuple[float, float, float, float]], share: float) -> list[list[float]]:
    """Give windows evenly over boxes, which have together that share of their area."""
    side = share**0.5
    found = []
    for west, south, east, north in boxes:
        wide, high = (east - west) / _WINDOWS, (north - south) / _WINDOWS
        for row in range(_WINDOWS):
            for col in range(_WINDOWS):
                x, y = west + (col + 0.5) * wide, south + (row + 0.5) * high
                found.append([
                    x - side * wide / 2, y - side * high / 2, x + side * wide / 2, y + side * high / 2
                ])  # fmt: skip
    return found
