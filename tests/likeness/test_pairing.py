"""Which chips are paired, and why others are not."""

from typing import Any

import numpy as np
import pytest

from clayline.likeness.pairing import ABSENT, Limits, Observed, Pairs, best, in_turn, of_dates

NAN = float("nan")


def chips(*rows: tuple[Any, ...], limits: Limits | None = None) -> Observed:
    """Take (cell, instrument, date, valid, cloud) of each, and perhaps its rank."""
    valid, cloud = (np.array([row[at] for row in rows], np.float32) for at in (3, 4))
    return Observed(
        cell=np.array([row[0] for row in rows], np.int64),
        instrument=np.array([row[1] for row in rows], np.int64),
        date=np.array([row[2] for row in rows], np.int64),
        rank=np.array([row[5] if len(row) > 5 else at for at, row in enumerate(rows)], np.int64),
        valid=valid,
        cloud=cloud,
        wrong=(limits or Limits()).judge(valid, cloud, np.zeros(len(rows), np.bool_)),
    )


def told(pairs: Pairs) -> set[tuple[int, int, str, int]]:
    columns = (pairs.earlier, pairs.later, pairs.reason, pairs.step)
    return set(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), ["", "", "mostly-outside", "mostly-outside", "", "cloud", "not-finite"]),
        (
            Limits(cloud_known=True, valid_least=0.5),
            ["", "", "", "mostly-outside", "cloud-unknown", "cloud", "not-finite"],
        ),
        (Limits(cloud_most=None, valid_least=0), ["", "", "", "mostly-outside", "", "", "not-finite"]),
    ],
)
def test_the_first_reason_that_holds_is_told(limits: Limits, expected: list[str]) -> None:
    valid = np.array([1.0, 0.9, 0.6, NAN, 1.0, 1.0, 1.0], np.float64)
    cloud = np.array([0.0, 0.2, 0.9, 0.0, NAN, 0.21, 0.9], np.float64)
    cloud[2] = 0.1
    broken = np.array([False] * 6 + [True])
    assert limits.judge(valid, cloud, broken).tolist() == expected


def test_of_overlapping_scenes_that_chip_counts_which_can_be_compared_then_the_most_valid_then_the_clearest() -> None:
    one_cell = chips(
        (0, 0, 0, 1.0, 0.9),  # the most valid, and too cloudy
        (0, 0, 0, 0.95, 0.1),
        (0, 0, 0, 0.96, 0.15),
        (0, 0, 0, 0.96, NAN),
        (0, 0, 0, 0.96, 0.15, -1),  # the same as two before, but its identifier is the first
        (0, 1, 0, 0.91, 0.0),  # another instrument
        (-1, 0, 0, 1.0, 0.0),  # no cell
    )
    assert best(one_cell).tolist() == [4, 5]
    order = [6, 5, 4, 3, 2, 1, 0]
    turned = Observed(**{name: getattr(one_cell, name)[order] for name in Observed.__slots__})
    assert [order[at] for at in best(turned)] == [4, 5]


def test_two_dates_are_paired_by_cell_and_instrument_and_every_other_chip_has_a_reason() -> None:
    found = of_dates(
        chips(
            (0, 0, 0, 1.0, 0.0), (0, 0, 1, 1.0, 0.0),  # compared
            (1, 0, 0, 1.0, 0.5), (1, 0, 1, 1.0, 0.0),  # cloudy before
            (2, 0, 0, 1.0, 0.0), (2, 0, 1, 0.5, 0.0),  # mostly outside after
            (3, 0, 0, 1.0, 0.0),  # nothing after
            (4, 0, 1, 1.0, 0.0),  # nothing before
            (5, 0, 0, 1.0, 0.0), (5, 1, 1, 1.0, 0.0),  # another instrument after
            (-1, 0, 0, 1.0, 0.0), (-1, 0, 1, 1.0, 0.0),  # on grids of their own
            (6, 0, 0, 1.0, 0.0), (6, 0, 1, 1.0, 0.0), (6, 1, 0, 1.0, 0.0),  # another instrument as well, before
        ),
        2,
    )  # fmt: skip
    assert told(found) == {
        (0, 1, "", 0),
        (2, 3, "cloud", 0),
        (4, 5, "mostly-outside", 0),
        (6, -1, ABSENT, 0),
        (-1, 7, ABSENT, 0),
        (8, 9, "other-instrument", 0),
        (10, -1, "own-grid", 0),
        (-1, 11, "own-grid", 0),
        (12, 13, "", 0),
    }
    assert found.compared.tolist() == [number for number, reason in enumerate(found.reason) if not reason]


def test_of_three_dates_each_is_compared_with_the_next() -> None:
    found = of_dates(chips((0, 0, 0, 1.0, 0.0), (0, 0, 1, 1.0, 0.0), (0, 0, 2, 1.0, 0.0), (1, 0, 1, 1.0, 0.0)), 3)
    assert told(found) == {(0, 1, "", 0), (1, 2, "", 1), (-1, 3, ABSENT, 0), (3, -1, ABSENT, 1)}


def test_in_turn_each_chip_that_can_be_compared_meets_the_next_one_and_the_others_stand_alone() -> None:
    found = in_turn(
        chips(
            (0, 0, 100, 1.0, 0.0), (0, 0, 105, 1.0, 0.9), (0, 0, 110, 1.0, 0.0), (0, 0, 400, 1.0, 0.0),
            (1, 0, 100, 1.0, 0.0),  # once
            (2, 0, 100, 1.0, 0.0), (2, 1, 110, 1.0, 0.0),  # by two instruments
            (-1, 0, 100, 1.0, 0.0),
        )
    )  # fmt: skip
    assert told(found) == {
        (0, 2, "", -1),
        (2, 3, "", -1),
        (1, -1, "cloud", -1),
        (4, -1, "one-date", -1),
        (5, -1, "other-instrument", -1),
        (6, -1, "other-instrument", -1),
        (7, -1, "own-grid", -1),
    }


def test_no_chips_are_no_pairs() -> None:
    none = Observed(
        **{name: np.empty(0, np.int64) for name in ("cell", "instrument", "date", "rank")},
        valid=np.empty(0),
        cloud=np.empty(0),
        wrong=np.empty(0, np.str_),
    )
    assert told(of_dates(none, 2)) == told(in_turn(none)) == set()
