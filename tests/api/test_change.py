"""What changed, against the plainest way to compute it; and every reason why something was not compared."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.api.grounds import DIMENSIONS, JULY, JUNE, MAY, NORTH, OTHER_DIGEST, SIDE, WEST, Chips, Ground

from clayline.api import Dataset, comparing
from clayline.api.changing import Changed
from clayline.errors import DatasetError, TransientError
from clayline.likeness.pairing import Limits
from clayline.model.statistics import FolderStatistics, VectorStatistics

DATES = ["2020-05-18", "2020-06-18"]
WIDE, HIGH = 20, 16
BLOCK = [row * WIDE + col for row in range(5, 8) for col in range(9, 13)]
"""Cells that change."""


def vectors(seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((WIDE * HIGH, DIMENSIONS), np.float32) + 2


def drifted() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Give the vectors of a month later: all a little other, a block another ground."""
    later = vectors() + 0.1 * np.random.default_rng(2).standard_normal((WIDE * HIGH, DIMENSIONS), np.float32)
    later[BLOCK] = 2 - (vectors()[BLOCK] - 2)
    return later.astype(np.float32)


def rows(found: Changed) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = found.table.to_pylist()
    return told


def cell(number: int, wide: int = WIDE) -> str:
    return f"utm21-c64p30000-s{1500 + number // wide}e{number % wide}"


def reasons(ground: Ground, **asked: Any) -> dict[str, int]:
    return dict(Dataset(ground.root).change(dates=DATES, **asked).reasons)


@pytest.fixture(scope="module")
def changed() -> Ground:
    ground = Ground()
    ground.land(1, MAY, Chips(wide=WIDE, high=HIGH, vectors=vectors(), cloud=0.1))
    ground.land(2, JUNE, Chips(wide=WIDE, high=HIGH, vectors=drifted()))
    return ground


def test_distances_percentiles_and_neighbours_are_those_of_numpy(changed: Ground) -> None:
    found = Dataset(changed.root).change(dates=DATES)
    assert (found.compared, found.uncalibrated, found.reasons, found.lost) == (WIDE * HIGH, 0, {}, ())
    assert (found.centred_by, found.dates) == ("rows", ((DATES[0], DATES[1]),))
    both = [vectors().astype(np.float64), drifted().astype(np.float64)]
    centre = np.concatenate(both).mean(axis=0)
    units = [(each - centre) / np.linalg.norm(each - centre, axis=1, keepdims=True) for each in both]
    expected = 1 - (units[0] * units[1]).sum(axis=1)
    by_cell = {row["cell"]: row for row in rows(found)}
    distances = np.array([by_cell[cell(number)]["distance"] for number in range(WIDE * HIGH)])
    assert distances == pytest.approx(expected, abs=1e-5)
    for number in range(WIDE * HIGH):
        row = by_cell[cell(number)]
        assert row["percentile"] == 100 * (distances < distances[number]).sum() / (WIDE * HIGH)
        col, line = number % WIDE, number // WIDE
        around = [
            other
            for other in range(WIDE * HIGH)
            if other != number and abs(other % WIDE - col) <= 1 and abs(other // WIDE - line) <= 1
        ]
        assert row["neighbours"] == len(around)
        assert row["neighbours_distance"] == pytest.approx(np.median(distances[around]))
        percentiles = [by_cell[cell(other)]["percentile"] for other in around]
        assert row["neighbours_percentile"] == pytest.approx(np.median(percentiles))


def test_the_changed_block_comes_first_with_its_evidence(changed: Ground) -> None:
    told = rows(Dataset(changed.root).change(dates=DATES))
    assert {row["cell"] for row in told[: len(BLOCK)]} == {cell(number) for number in BLOCK}
    first = told[0]
    assert (first["compared"], first["reason"], first["calibrated"]) == (True, None, "square")
    assert (first["region"], first["season"]) == ("21JYM", "MAM-JJA, within a year")
    assert (first["calibration_pairs"], first["instruments"]) == (WIDE * HIGH, "landsat-oli-l1")
    assert (first["days"], first["from_cloud"], first["to_cloud"]) == (31.0, pytest.approx(0.1), None)
    assert first["from_uci"] != first["to_uci"]
    assert first["from_uci"].split("_")[0] == first["to_uci"].split("_")[0]
    line, col = map(int, first["cell"].removeprefix("utm21-c64p30000-s").split("e"))
    assert first["lon"] == pytest.approx(WEST + (col + 0.5) * SIDE)
    assert first["lat"] == pytest.approx(NORTH - (line - 1500 + 0.5) * SIDE)


def test_a_box_is_calibrated_by_its_whole_square(changed: Ground) -> None:
    whole = {row["cell"]: row for row in rows(Dataset(changed.root).change(dates=DATES))}
    box = (WEST + 8.5 * SIDE, NORTH - 7.5 * SIDE, WEST + 10.5 * SIDE, NORTH - 6.5 * SIDE)
    found = Dataset(changed.root).change(dates=DATES, box=box)
    assert found.compared == 6
    for row in rows(found):
        assert row["percentile"] == pytest.approx(whole[row["cell"]]["percentile"], abs=0.7)
        assert row["calibration_pairs"] == WIDE * HIGH


def test_the_same_pixels_have_distance_0_and_percentile_0() -> None:
    ground = Ground()
    for number, when in ((1, MAY), (2, JUNE)):
        ground.land(number, when, Chips(wide=WIDE, high=HIGH, vectors=vectors()))
    told = rows(Dataset(ground.root).change(dates=DATES))
    assert {(row["distance"], row["percentile"]) for row in told} == {(0.0, 0.0)}


def test_compacted_scenes_give_the_same_answer(changed: Ground) -> None:
    ground = Ground()
    ground.land(1, MAY, Chips(wide=WIDE, high=HIGH, vectors=vectors(), cloud=0.1))
    ground.land(2, JUNE, Chips(wide=WIDE, high=HIGH, vectors=drifted()))
    ground.compact()
    loose, compact = (Dataset(each.root).change(dates=DATES).table for each in (changed, ground))
    assert compact.sort_by("cell").equals(loose.sort_by("cell"))


LINE = 50
"""Chips a row of ``few``."""


def few(count: int, *, without: tuple[int, ...] = (), **more: Any) -> Chips:
    """Give chips row by row, of the same ground whatever else."""
    high = -(-count // LINE)
    more.setdefault("vectors", vectors()[: LINE * high])
    return Chips(wide=LINE, high=high, without=[*without, *range(count, LINE * high)], **more)


def statistics(digest: str) -> FolderStatistics:
    measured = VectorStatistics.measure([vectors()], digest=digest, scenes=["a"])
    return FolderStatistics(entries={"starter-v1.0-rgb": measured})


def test_under_200_pairs_the_answer_is_uncalibrated_and_has_distances_alone() -> None:
    ground = Ground()
    first = ground.land(1, MAY, few(199))
    ground.land(2, JUNE, few(199, cloud=0.1))
    found = Dataset(ground.root).change(dates=DATES, statistics=statistics(first.digest))
    assert (found.compared, found.uncalibrated, found.centred_by) == (199, 199, "card")
    for row in rows(found):
        assert (row["calibrated"], row["percentile"], row["calibration_pairs"]) == ("uncalibrated", None, 199)
        assert row["neighbours_percentile"] is None
        assert row["distance"] == row["neighbours_distance"] == 0.0


def test_a_square_with_too_few_pairs_is_calibrated_by_its_zone() -> None:
    ground = Ground()
    for number, when in ((1, MAY), (2, JUNE)):
        ground.land(number, when, Chips(wide=20, high=16, seed=number), square="21JYM")
        ground.land(number + 2, when, Chips(wide=5, high=4, south=20, seed=number + 2), square="21JYN")
    found = Dataset(ground.root).change(dates=DATES)
    by_region = {(row["region"], row["calibrated"]) for row in rows(found)}
    assert by_region == {("21JYM", "square"), ("21J", "zone")}
    assert {row["calibration_pairs"] for row in rows(found) if row["region"] == "21J"} == {340}


def test_other_seasons_do_not_calibrate() -> None:
    ground = Ground()
    for number, when in enumerate((MAY, JUNE, JULY)):
        ground.land(number, when, Chips(wide=WIDE, high=HIGH, seed=number))
    june_to_july = Dataset(ground.root).change(dates=["2020-06-18", "2020-07-18"])
    assert {(row["season"], row["calibration_pairs"]) for row in rows(june_to_july)} == {
        ("JJA-JJA, within a year", WIDE * HIGH)
    }
    may_to_june = Dataset(ground.root).change(dates=DATES)
    assert {row["calibration_pairs"] for row in rows(may_to_june)} == {2 * WIDE * HIGH}, "May to June, and to July"


def test_of_more_dates_each_is_compared_with_the_next_and_a_period_is_a_date() -> None:
    ground = Ground()
    for number, when in enumerate((MAY, JUNE, JULY)):
        ground.land(number, when, Chips(wide=WIDE, high=HIGH, seed=number))
    found = Dataset(ground.root).change(dates=["2020-05-01/2020-05-31", "2020-06-18", "2020-07-01/.."])
    assert found.compared == 2 * WIDE * HIGH
    assert [row["pair"] for row in rows(found)] == [0] * WIDE * HIGH + [1] * WIDE * HIGH
    own = Dataset(ground.root).change()
    assert (own.compared, own.dates, own.reasons) == (2 * WIDE * HIGH, (), {})
    keys = ("from_uci", "to_uci", "distance", "percentile", "neighbours_percentile")
    assert {tuple(row[key] for key in keys) for row in rows(own)} == {
        tuple(row[key] for key in keys) for row in rows(found)
    }


def test_the_newest_revision_is_compared_and_the_older_one_never() -> None:
    ground = Ground()
    ground.land(1, MAY, Chips(wide=WIDE, high=HIGH, seed=1))
    ground.land(2, JUNE, Chips(wide=WIDE, high=HIGH, seed=9))
    ground.land(2, JUNE, Chips(wide=WIDE, high=HIGH, seed=1), revision=2)
    found = Dataset(ground.root).change(dates=DATES)
    assert {(row["distance"], row["to_revision"]) for row in rows(found)} == {(0.0, 2)}
    assert found.compared == WIDE * HIGH


def test_of_two_overlapping_scenes_of_one_date_the_more_valid_chip_is_compared() -> None:
    ground = Ground()
    ground.land(1, MAY, Chips(wide=WIDE, high=HIGH, seed=1))
    half = np.where(np.arange(WIDE * HIGH) % 2 == 0, 0.93, 0.97).astype(np.float32)
    ground.land(2, JUNE, Chips(wide=WIDE, high=HIGH, seed=1, valid=half))
    ground.land(3, JUNE, Chips(wide=WIDE, high=HIGH, seed=9, valid=0.95), square="21JYN")
    told = rows(Dataset(ground.root).change(dates=DATES))
    assert len(told) == WIDE * HIGH
    for row in told:
        odd = int(row["cell"].split("e")[-1]) % 2
        assert row["to_scene"] == (f"{2:012x}" if odd else f"{3:012x}")
        assert (row["distance"] == 0.0) == bool(odd)


def test_what_cannot_be_compared_is_listed_with_its_reason() -> None:
    """Of 300 chips each kind of trouble once or a few times, the others are compared."""
    ground = Ground()
    fraction = np.ones(300, np.float32)
    valid, cloud = fraction.copy(), 0 * fraction
    valid[3], cloud[4], cloud[5] = 0.5, 0.9, np.nan
    broken = vectors()[:300].copy()
    broken[6, 2] = np.nan
    ground.land(1, MAY, few(300))
    later = few(300, vectors=broken, valid=valid, cloud=cloud, without=(0, 1))
    ground.land(2, JUNE, later)
    found = Dataset(ground.root).change(dates=DATES)
    assert found.reasons == {"cloud": 1, "mostly-outside": 1, "no-chip": 2, "not-finite": 1}
    assert found.compared == 295
    by_cell = {row["cell"]: row for row in rows(found)}
    assert [by_cell[cell(at, LINE)]["reason"] for at in range(8)] == [
        "no-chip", "no-chip", None, "mostly-outside", "cloud", None, "not-finite", None,
    ]  # fmt: skip
    for at in (0, 3, 4, 6):
        row = by_cell[cell(at, LINE)]
        assert (row["compared"], row["distance"], row["percentile"], row["calibrated"]) == (False, None, None, None)
    assert by_cell[cell(4, LINE)]["to_cloud"] == pytest.approx(0.9)
    known = reasons(ground, limits=Limits(cloud_known=True, cloud_most=None, valid_least=0.0))
    assert known == {"cloud-unknown": 298, "no-chip": 2}, "the earlier chip's reason comes first"


def half_june(**more: Any) -> Callable[[Ground], object]:
    return lambda ground: ground.land(2, JUNE, few(300), **more)


@pytest.mark.parametrize(
    ("june", "asked", "expected"),
    [
        (lambda _: None, {}, {"no-scene": 300}),
        (half_june(instrument="landsat9-oli2-l1"), {}, {"other-instrument": 300}),
        (half_june(instrument="landsat9-oli2-l1"), {"across_instruments": True}, {}),
        (half_june(token="clay-v1.5-cls"), {"model": "starter-v1.0-rgb"}, {"other-model": 300}),
        (half_june(digest=OTHER_DIGEST), {"model": "starter-v1.0-rgb@0000"}, {"other-model": 300}),
        (lambda ground: ground.land(2, JUNE, few(300, cells=False)), {}, {"no-chip": 300, "own-grid": 300}),
    ],
)
def test_what_the_other_date_lacks_is_told(
    june: Callable[[Ground], object], asked: dict[str, Any], expected: dict[str, int]
) -> None:
    ground = Ground()
    ground.land(1, MAY, few(300))
    june(ground)
    found = Dataset(ground.root).change(dates=DATES, **asked)
    assert found.reasons == expected
    assert found.compared == (0 if expected else 300)
    assert expected or {row["instruments"] for row in rows(found)} == {"landsat-oli-l1+landsat9-oli2-l1"}
    assert all(row["compared"] == (row["distance"] is not None) for row in rows(found))


def test_the_satellites_of_a_product_are_compared_and_calibrate_each_other() -> None:
    ground = Ground()
    flown = ("landsat8-oli-l1", "landsat9-oli-l1", "landsat8-oli-l1")
    for number, (when, instrument) in enumerate(zip((MAY, JUNE, JULY), flown, strict=True), start=1):
        later = vectors()[:300] + number * np.random.default_rng(number).standard_normal((300, DIMENSIONS), np.float32)
        ground.land(number, when, few(300, vectors=later), instrument=instrument)
    for dates in (DATES, None):
        found = Dataset(ground.root).change(dates=dates)
        assert found.reasons == {}
        assert found.compared == (300 if dates else 600)
        told = rows(found)
        # May to June and to July, by whichever satellite: of a cell in the quarters MAM and JJA two pairs.
        spring = [row for row in told if row["season"] == "MAM-JJA, within a year"]
        assert len(spring) == 300
        assert {(row["instruments"], row["calibration_pairs"], row["calibrated"]) for row in spring} == {
            ("landsat-oli-l1", 600, "square")
        }
        assert {row["from_uci"].split("_")[2] + row["to_uci"].split("_")[2] for row in spring} == {
            "landsat8-oli-l1landsat9-oli-l1"
        }


def test_models_are_never_mixed() -> None:
    ground = Ground()
    ground.land(1, MAY, few(300))
    ground.land(2, JUNE, few(300), token="clay-v1.5-cls")
    with pytest.raises(DatasetError, match=r"models are never mixed: clay-v1\.5-cls, starter"):
        Dataset(ground.root).change(dates=DATES)


def test_of_its_own_dates_a_cell_that_was_seen_once_is_told_so() -> None:
    ground = Ground()
    ground.land(1, MAY, few(300))
    ground.land(2, JUNE, few(290, cloud=0.0))
    found = Dataset(ground.root).change()
    assert (found.compared, found.reasons) == (290, {"one-date": 10})


@pytest.mark.parametrize("harm", ["lost", "cut", "other"])
def test_a_file_that_cannot_be_read_is_told_and_its_ground_is_never_unchanged(harm: str) -> None:
    ground = Ground()
    ground.land(1, MAY, few(300))
    june = ground.land(2, JUNE, few(300))
    body = ground.root.objects[june.href]
    if harm == "lost":
        del ground.root.objects[june.href]
    else:
        ground.root.objects[june.href] = body[:-200] + bytes(200) if harm == "cut" else body.replace(b"PAR1", b"PAR2")
    for dates in (DATES, None):
        found = Dataset(ground.root).change(dates=dates)
        assert (found.compared, found.reasons) == (0, {"unreadable": 301})
        assert [lost.key for lost in found.lost] == [june.href]
        last = rows(found)[-1]
        assert (last["cell"], last["reason"], last["compared"]) == (None, "unreadable", False)
        assert june.href in last["detail"]
        assert last["lon"] == pytest.approx(WEST + LINE / 2 * SIDE)


def test_row_groups_that_came_before_the_damage_are_compared_and_the_rest_is_unreadable() -> None:
    ground = Ground()
    chips = Chips(wide=60, high=50, seed=1)
    ground.land(1, MAY, chips)
    june = ground.land(2, JUNE, chips)
    body = bytearray(ground.root.objects[june.href])
    half = len(body) * 5 // 6  # in the second of its two row groups
    body[half : half + 2000] = bytes(2000)
    ground.root.objects[june.href] = bytes(body)
    found = Dataset(ground.root).change(dates=DATES)
    assert found.compared == 2048
    assert found.reasons == {"unreadable": 3000 - 2048 + 1}


def test_what_a_retry_may_cure_is_an_error_and_no_answer(changed: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise TransientError("throttled")

    dataset = Dataset(changed.root)
    dataset.scenes()
    monkeypatch.setattr(changed.root, "get_range", refuse)
    with pytest.raises(TransientError):
        dataset.change(dates=DATES)


def test_where_nothing_is_nothing_is_said(changed: Ground) -> None:
    found = Dataset(changed.root).change(dates=DATES, box=(10, 10, 11, 11))
    assert (found.token, found.compared, found.table.num_rows) == (None, 0, 0)


def test_a_square_with_many_chips_calibrates_by_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ground = Ground()
    for number, when in ((1, MAY), (2, JUNE)):
        ground.land(number, when, Chips(wide=70, high=65, seed=number))
    monkeypatch.setattr(comparing, "MOST_CALIBRATION_CHIPS", 2000)
    monkeypatch.setattr("clayline.api.changing.MOST_CALIBRATION_CHIPS", 2000)
    whole = 70 * 65
    told = rows(Dataset(ground.root).change(dates=DATES))
    [pairs] = {row["calibration_pairs"] for row in told}
    assert 200 <= pairs <= 2000
    distances = np.array([row["distance"] for row in told])
    exact = np.array([100 * (distances < each).mean() for each in distances])
    assert len(told) == whole
    assert np.abs(exact - [row["percentile"] for row in told]).max() < 8


@pytest.mark.parametrize(
    ("dates", "what"),
    [
        (["2020-05-18"], "one date says of no change"),
        (["2020-06-18", "2020-05-18"], "Give dates in their order"),
        (["2020-05-01/2020-06-30", "2020-06-18"], "without a moment in common"),
        (["yesterday", "today"], "yesterday"),
    ],
)
def test_dates_that_are_none_are_told(changed: Ground, dates: list[str], what: str) -> None:
    with pytest.raises(DatasetError, match=what):
        Dataset(changed.root).change(dates=dates)


def test_too_few_chips_to_centre_by_are_an_error_that_says_what_to_do() -> None:
    ground = Ground()
    ground.land(1, MAY, few(100))
    ground.land(2, JUNE, few(100))
    with pytest.raises(DatasetError, match="Name the model folder"):
        Dataset(ground.root).change(dates=DATES)


def test_ten_thousand_cells_are_compared() -> None:
    ground = Ground()
    for number, when in ((1, MAY), (2, JUNE)):
        ground.land(number, when, Chips(wide=125, high=80, seed=number))
    found = Dataset(ground.root).change(dates=DATES)
    assert found.compared == 10_000
    assert found.asked is not None
    assert found.asked.size > 10_000 * DIMENSIONS * 4
