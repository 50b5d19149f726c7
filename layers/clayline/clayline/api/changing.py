"""What changed: the same cells at two dates, calibrated by the dataset's own pairs (docs/change.md)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from clayline.api.centres import centre_of, codebook_of
from clayline.api.comparing import (
    MOST_CALIBRATION_CHIPS,
    MOST_CHIPS_OF_ALL,
    Calibration,
    Compared,
    Reader,
    Terms,
    boxes_of_lost,
    centre_of_rows,
    day_of,
    kinds,
)
from clayline.api.explaining import Explanation
from clayline.api.index import Index
from clayline.api.why_absent import Elsewhere, date_number, why_absent
from clayline.dataset.asking import AskedTime, Span
from clayline.dataset.counted import Asked
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import Box, SceneRow, flat_boxes
from clayline.errors import DatasetError
from clayline.identity.regions import Bounds, zone_of
from clayline.likeness.calibrating import LEAST_PAIRS, Kind, Reference, distances, season_name
from clayline.likeness.centring import Centre, CentredBy
from clayline.likeness.neighbouring import Places, medians, neighbours
from clayline.likeness.pairing import Ints, Pairs, Reason, in_turn, of_dates
from clayline.model.statistics import FolderStatistics
from clayline.outputs.region import Region
from clayline.table.changes import Columns, change_table
from clayline.table.chips import ChipTable
from clayline.table.gathering import Lost, Scratch

_MICROSECONDS_A_DAY: Final = 86_400_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """The answer."""

    table: ChipTable
    """docs/change.md, Columns: what was compared first, the greatest distances of each pair of dates before the others;
    then what was not."""
    token: str | None
    """The model; None: no scene lies there then."""
    digest: str | None
    centred_by: CentredBy | None
    """Whose centre was taken off the vectors; None: nothing was compared."""
    dates: tuple[tuple[str, str], ...]
    """The two of each pair of dates, as they were asked for; none where each cell has its own."""
    compared: int
    uncalibrated: int
    """Of those, pairs without a percentile."""
    reasons: Mapping[str, int]
    """Why chips, cells and files were not compared."""
    lost: tuple[Lost, ...]
    """Files that could not be read: what they hold is no part of the answer."""
    asked: Asked | None = None
    """What reading took; None where nobody counted."""
    explanation: Explanation | None = None
    """Where it was asked for."""


def spans_of(dates: Sequence[AskedTime] | None) -> tuple[Span, ...]:
    """Take two dates or more: each a day, a moment, or A/B; in a text they have commas between. Raises DatasetError
    unless each begins after the end of the one before.
    """
    if dates is None:
        return ()
    if not isinstance(dates, Iterable) or isinstance(dates, bytes | Mapping):
        msg = f"dates {dates!r} are none: give a list of two or more, or nothing (None) for each cell's own."
        raise DatasetError(msg)
    listed = [dates] if isinstance(dates, str) else list(dates)
    if None in listed:
        msg = "a date is None: give a day, a moment, or from/until."
        raise DatasetError(msg)
    found = tuple(each for asked in listed for each in Span.of(asked).each)
    if len(found) < 2:  # noqa: PLR2004 - a change has two
        msg = "one date says of no change: give two or more, such as 2020-05-18 and 2020-06-03 (`--from`, `--to`)."
        raise DatasetError(msg)
    for before, after in pairwise(found):
        if before.end >= after.start:
            msg = (
                f"the date {before.said} does not end before {after.said} begins. Give dates in their order, without"
                " a moment in common."
            )
            raise DatasetError(msg)
    return found


def span_over(dates: tuple[Span, ...]) -> Span:
    """Give all of them as one; of none, every time."""
    return replace(dates[0], others=dates[1:]) if dates else Span()


class Change:
    """One question of what changed."""

    def __init__(self, root: Root, index: Index, *, terms: Terms, statistics: FolderStatistics | None) -> None:
        """Take the dataset; ``statistics`` are the model folder's, where they are at hand."""
        self._root = root
        self._index = index
        self._terms = terms
        self._statistics = statistics

    def answer(self, region: Region | None, dates: tuple[Span, ...], model: str | None) -> Changed:
        """Compare. ``dates`` may be empty: then each cell's dates are compared, each with the next.

        Raises DatasetError for several models of which none is named, too few chips to centre by, dates out of order;
        TransientError, OSError.
        """
        span = span_over(dates)
        chosen = self._index.choose(region, span, model=model, every_revision=False, lossy=True)
        unread = self._index.unread(None, Span(), model=model)  # also where it would only calibrate
        lost = [Lost(key=each.key, message=each.message) for each in unread]
        there = {each.key: each.box for each in self._index.unread(region, span, model=model)}
        if not chosen.newest:
            return _nothing(dates, lost, there)
        scene = chosen.newest[0]
        with Scratch() as scratch:
            reader = Reader(self._root, self._index, scene, scratch, self._terms)
            numbers = {(row.scene, row.revision): date_number(row, dates) for row in chosen.newest}
            date_of = (lambda said: said.by_scene(numbers)) if dates else day_of
            chips = reader.chosen(chosen, region, span, date_of)
            pairs = of_dates(chips.observed, len(dates)) if dates else in_turn(chips.observed)
            boxes = {**boxes_of_lost(reader.lost, self._index, chosen.newest), **there}
            everywhere = self._index.choose(
                region, Span(), model=None, every_revision=False, mixed=True, lossy=True
            ).newest
            pairs = why_absent(pairs, chips, dates, Elsewhere.of(everywhere, scene, boxes))
            centre, of_pairs = self._compare(reader, chips, pairs)
            lost += reader.lost
            return _told(change_table(of_pairs, _placed(lost, boxes)), scene, centre, dates, tuple(lost))

    def _compare(self, reader: Reader, chips: Compared, pairs: Pairs) -> tuple[Centre | None, Columns]:
        at = pairs.compared
        columns = Columns.of(chips.said.table, pairs.earlier, pairs.later, pairs.reason, pairs.step)
        if not len(at):
            return None, columns
        earlier, later = pairs.earlier[at], pairs.later[at]
        squares = kinds(chips, earlier, later, self._terms, lambda square: square)
        zones = [kind._replace(region=zone_of(kind.region)) if kind.region else kind for kind in squares]
        calibrations = self._calibrations(reader, set(squares))
        counted = Counter(kind for each in calibrations for kind in each.kinds)
        too_few = {
            zone for square, zone in zip(squares, zones, strict=True) if square.region and counted[square] < LEAST_PAIRS
        }
        calibrations += self._calibrations(reader, too_few)
        centre = self._centre(reader, [chips, *(each.chips for each in calibrations)])
        reference = _reference(centre, calibrations)
        found = distances(centre, chips.gathered.vectors, earlier, later)
        columns.distance[at] = found
        columns.days[at] = (chips.moments[later] - chips.moments[earlier]) / _MICROSECONDS_A_DAY
        columns.instruments[at] = [kind.instruments for kind in squares]
        columns.season[at] = [season_name(kind.season) for kind in squares]
        _calibrate(columns, at, squares, zones, reference)
        _look_around(columns, at, chips, pairs)
        return centre, columns

    def _calibrations(self, reader: Reader, wanted: set[Kind]) -> list[Calibration]:
        by_region: dict[str, set[Kind]] = {}
        for kind in wanted:
            if kind.region:
                by_region.setdefault(kind.region, set()).add(kind)
        most = min(MOST_CALIBRATION_CHIPS, MOST_CHIPS_OF_ALL // max(len(by_region), 1))
        return [reader.calibration(region, by_region[region], most=most) for region in sorted(by_region)]

    def _centre(self, reader: Reader, chips: Sequence[Compared]) -> Centre:
        scene, root = reader.model, self._root
        return centre_of(
            scene.token,
            scene.digest,
            statistics=self._statistics,
            codebook=lambda: codebook_of(root, self._index.manifest, token=scene.token, digest=scene.digest),
            rows=lambda: centre_of_rows(chips, root.uri),
        )


def _reference(centre: Centre, calibrations: Sequence[Calibration]) -> Reference:
    found = Reference()
    for each in calibrations:
        values = distances(centre, each.chips.gathered.vectors, each.earlier, each.later)
        by_kind: dict[Kind, list[float]] = {}
        for kind, value in zip(each.kinds, values.tolist(), strict=True):
            by_kind.setdefault(kind, []).append(value)
        found.add(by_kind)
    return found


def _calibrate(columns: Columns, at: Ints, squares: list[Kind], zones: list[Kind], reference: Reference) -> None:
    """Give each pair its percentile: in its square, else in its zone, else none."""
    of_kind: dict[tuple[Kind, Kind], list[int]] = {}
    for number, both in enumerate(zip(squares, zones, strict=True)):
        of_kind.setdefault(both, []).append(number)
    for (square, zone), numbers in of_kind.items():
        rows = at[numbers]
        is_square = reference.pairs(square) >= LEAST_PAIRS
        kind = square if is_square else zone
        is_enough = reference.pairs(kind) >= LEAST_PAIRS
        columns.calibrated[rows] = ("square" if is_square else "zone") if is_enough else "uncalibrated"
        columns.calibration_pairs[rows] = reference.pairs(kind)
        columns.region[rows] = kind.region or None
        columns.percentile[rows] = reference.percentiles(kind, columns.distance[rows])


def _look_around(columns: Columns, at: Ints, chips: Compared, pairs: Pairs) -> None:
    earlier, later = pairs.earlier[at], pairs.later[at]
    cells = chips.said.cells(earlier)
    observed = chips.observed
    same = np.stack([observed.date[earlier], observed.date[later], observed.instrument[earlier]])
    _, group = np.unique(same, axis=1, return_inverse=True)
    around = neighbours(Places.of(cells), group.ravel())
    columns.neighbours[at] = (around >= 0).sum(axis=1)
    columns.neighbours_distance[at] = medians(around, columns.distance[at])
    columns.neighbours_percentile[at] = medians(around, columns.percentile[at])


def _told(
    table: ChipTable, scene: SceneRow, centre: Centre | None, dates: tuple[Span, ...], lost: tuple[Lost, ...]
) -> Changed:
    reasons = Counter(each for each in table.column("reason").to_pylist() if each is not None)
    compared = table.num_rows - sum(reasons.values())
    uncalibrated = sum(each == "uncalibrated" for each in table.column("calibrated").to_pylist())
    return Changed(
        table=table,
        token=scene.token,
        digest=scene.digest,
        centred_by=None if centre is None else centre.by,
        dates=_named(dates),
        compared=compared,
        uncalibrated=uncalibrated,
        reasons=dict(sorted(reasons.items())),
        lost=lost,
    )


def _placed(lost: Sequence[Lost], boxes: Mapping[str, Box]) -> list[tuple[str, str, list[Bounds]]]:
    """Give the files that lie where it was asked, and their boxes."""
    return [(each.key, each.message, flat_boxes(boxes[each.key])) for each in lost if each.key in boxes]


def _nothing(dates: tuple[Span, ...], lost: Sequence[Lost], boxes: Mapping[str, Box]) -> Changed:
    there = _placed(lost, boxes)
    return Changed(
        table=change_table(None, there),
        token=None,
        digest=None,
        centred_by=None,
        dates=_named(dates),
        compared=0,
        uncalibrated=0,
        reasons={Reason.UNREADABLE.value: len(there)} if there else {},
        lost=tuple(lost),
    )


def _named(dates: tuple[Span, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((before.said, after.said) for before, after in pairwise(dates))
