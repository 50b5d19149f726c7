"""Filters."""

import numpy as np

from clayline.likeness.taking_part import Filters, Traits

TRAITS = Traits(
    valid=np.array([1.0, 0.9, 0.89, np.nan, 1.0, 1.0]),
    cloud=np.array([0.0, 0.5, 0.9, 0.0, np.nan, 0.2]),
    loss=np.array([0.1, 0.2, 0.3, 0.4, 0.5, np.nan]),
)


def test_by_default_chips_that_are_mostly_outside_are_left_out() -> None:
    taken, left_out = Filters().judge(TRAITS)
    assert taken.tolist() == [True, True, False, False, True, True]
    assert left_out == {"valid": 2}


def test_what_is_unknown_does_not_pass_a_filter_that_asks_for_it() -> None:
    taken, left_out = Filters(valid_least=0, cloud_most=0.4, loss_most=0.45).judge(TRAITS)
    assert taken.tolist() == [True, False, False, False, False, False]
    assert left_out == {"valid": 1, "cloud-unknown": 1, "cloud": 2, "loss-unknown": 1}


def test_every_chip_is_taken_or_counted_once() -> None:
    taken, left_out = Filters(cloud_most=0.1, loss_most=0.15).judge(TRAITS)
    assert int(taken.sum()) + sum(left_out.values()) == len(taken)
