"""Percentiles among the dataset's own pairs, against the plainest way to count them."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from clayline.likeness.calibrating import (
    LEAST_PAIRS,
    MOST_A_CELL,
    Kind,
    Reference,
    distances,
    quarters_of,
    reference_pairs,
    season_name,
    seasons,
)
from clayline.likeness.centring import Centre
from clayline.likeness.pairing import Observed

KIND = Kind("s2a-msi-l2a", "32UQD", 3)
RANDOM = np.random.default_rng(12)


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def test_a_percentile_is_the_share_of_pairs_that_changed_less() -> None:
    known = np.round(RANDOM.random(500), 2)  # with many that are equal
    asked = np.concatenate([known[:50], RANDOM.random(50), [0.0, 2.0]])
    reference = Reference()
    reference.add({KIND: known.tolist()})
    found = reference.percentiles(KIND, asked)
    assert found.tolist() == [100 * sum(each < value for each in known) / 500 for value in asked]
    assert (found[-2], found[-1]) == (0.0, 100.0)


def test_under_the_stated_number_of_pairs_there_is_no_percentile() -> None:
    reference = Reference()
    reference.add({KIND: [0.1] * (LEAST_PAIRS - 1), KIND._replace(season=4): [0.1] * LEAST_PAIRS})
    assert np.isnan(reference.percentiles(KIND, np.array([0.5]))).all()
    assert np.isnan(reference.percentiles(KIND._replace(region="32U"), np.array([0.5]))).all()
    assert reference.percentiles(KIND._replace(season=4), np.array([0.5])).tolist() == [100.0]


def test_a_distance_is_one_less_the_cosine_of_what_is_left_of_the_centre() -> None:
    vectors = RANDOM.standard_normal((40, 24)).astype(np.float32) + 3
    vectors[7] = vectors[8]
    centre = Centre(values=vectors.mean(axis=0), by="rows")
    earlier, later = np.arange(20), np.arange(20) + 1
    found = distances(centre, vectors, earlier, later)
    away = vectors.astype(np.float64) - centre.values
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    assert found == pytest.approx([1 - away[at] @ away[at + 1] for at in range(20)], abs=1e-6)
    assert found[7] == 0.0


def test_vectors_on_disk_are_never_in_memory_together(tmp_path: Path) -> None:
    count, dimensions = 40_000, 256
    vectors = np.memmap(tmp_path / "vectors", np.float32, "w+", shape=(count, dimensions))
    for start in range(0, count, 4_000):
        vectors[start : start + 4_000] = RANDOM.standard_normal((4_000, dimensions), np.float32)
    centre = Centre(values=np.zeros(dimensions, np.float32), by="rows")
    numbers = np.arange(count)
    tracemalloc.start()
    try:
        found = distances(centre, vectors, numbers, numbers[::-1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < vectors.nbytes
    assert found.mean() == pytest.approx(1.0, abs=0.01)


def test_seasons_are_two_quarters_and_whether_years_lie_between() -> None:
    start = datetime(2019, 1, 1, tzinfo=UTC)
    days = RANDOM.integers(0, 2000, (300, 2))
    earlier, later = (
        np.array([microseconds(start + timedelta(days=int(day))) for day in days[:, at]]) for at in (0, 1)
    )
    quarter = {month: month % 12 // 3 for month in range(1, 13)}
    for (first, second), season in zip(days.tolist(), seasons(earlier, later).tolist(), strict=True):
        two = {quarter[(start + timedelta(days=day)).month] for day in (first, second)}
        assert quarters_of(season) == two
        assert season % 2 == (abs(second - first) / 365.25 >= 0.5)
    assert np.array_equal(seasons(earlier, later), seasons(later, earlier))
    may, june = (np.array([microseconds(datetime(2020, month, 18, tzinfo=UTC))]) for month in (5, 6))
    assert season_name(int(seasons(may, june)[0])) == "MAM-JJA, within a year"
    december = np.array([microseconds(datetime(2015, 12, 1, tzinfo=UTC))])
    assert season_name(int(seasons(december, june)[0])) == "DJF-JJA, years apart"


def observed(cells: int, dates: int) -> tuple[Observed, np.ndarray]:
    """Give cells at each of so many dates, thirty days apart, of which a tenth cannot be compared."""
    cell = np.repeat(np.arange(cells), dates)
    date = np.tile(np.arange(dates), cells)
    moments = microseconds(datetime(2019, 1, 15, tzinfo=UTC)) + date * 30 * 86_400_000_000
    wrong = np.where(RANDOM.random(len(cell)) < 0.1, "cloud", "")
    ones = np.ones(len(cell))
    order = RANDOM.permutation(len(cell))
    chips = Observed(
        cell=cell[order],
        instrument=np.zeros(len(cell), np.int64),
        date=date[order],
        rank=np.arange(len(cell)),
        valid=ones,
        cloud=0 * ones,
        wrong=wrong[order],
    )
    return chips, moments[order]


def test_the_calibration_has_any_two_dates_of_a_cell_of_the_wanted_seasons_and_at_most_four_a_season() -> None:
    chips, moments = observed(30, 24)
    every = range(32)
    wanted = {5, 6, 12, 13, 2}
    first, second = reference_pairs(chips, moments, wanted)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    possible: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for cell in range(30):
        fit = [at for at in np.flatnonzero(chips.cell == cell).tolist() if not chips.wrong[at]]
        for one, other in combinations(sorted(fit, key=lambda at: int(moments[at])), 2):
            season = int(seasons(moments[[one]], moments[[other]])[0])
            possible.setdefault((cell, season), set()).add((one, other))
    for (cell, season), there in possible.items():
        taken = {pair for pair in pairs if chips.cell[pair[0]] == cell and pair in there}
        assert len(taken) == (min(len(there), MOST_A_CELL) if season in wanted else 0)
    all_of = reference_pairs(chips, moments, every)
    assert len(all_of[0]) == sum(min(len(there), MOST_A_CELL) for there in possible.values())


def test_of_two_dates_every_pair_calibrates() -> None:
    chips, moments = observed(300, 2)
    first, second = reference_pairs(chips, moments, range(32))
    clear = [cell for cell in range(300) if (chips.wrong[chips.cell == cell] == "").all()]
    assert sorted(chips.cell[first].tolist()) == clear == sorted(chips.cell[second].tolist())
    assert (moments[first] < moments[second]).all()
