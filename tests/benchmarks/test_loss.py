"""benchmarks/loss.py: its measures against arithmetic by hand."""

import statistics

import numpy as np
import pytest

from benchmarks import loss

GRID = {"chip_size": 64, "stride": 64, "start": [-16, 8], "cols": 3}


def test_ranks_share_what_equals_have() -> None:
    assert loss.ranks(np.array([0.3, 0.1, 0.3, 0.9])).tolist() == [2.5, 1, 2.5, 4]


def test_spearman_is_the_standard_librarys() -> None:
    generator = np.random.default_rng(1)
    one = generator.normal(size=40).round(1)
    other = one**3 + generator.normal(size=40).round(1)
    expected = statistics.correlation(one.tolist(), other.tolist(), method="ranked")
    assert loss.spearman(one, other) == pytest.approx(expected, abs=0.006)
    known = np.where(np.arange(40) < 5, np.nan, other)
    assert loss.spearman(one, known) == loss.spearman(one[5:], other[5:])
    assert loss.spearman(one, np.full(40, np.nan)) is None
    assert loss.spearman(one, np.ones(40)) is None


def test_a_partial_correlation_takes_a_common_cause_away() -> None:
    generator = np.random.default_rng(2)
    cause = generator.normal(size=2000)
    one, other = (cause + 0.3 * generator.normal(size=2000) for _ in range(2))
    assert (loss.spearman(one, other) or 0) > 0.85
    assert abs(loss.spearman(one, other, cause) or 0) < 0.1


def test_the_chance_that_cloud_has_the_higher_loss() -> None:
    cloud = np.array([0.9] * 10 + [0.0] * 10 + [0.3, np.nan])
    values = np.array([*range(10, 20), *range(10), 99, 99], dtype=np.float64)
    assert loss.ranks_cloud(values, cloud) == 1
    assert loss.ranks_cloud(-values, cloud) == 0
    assert loss.ranks_cloud(np.ones(22), cloud) == 0.5
    assert loss.ranks_cloud(values[1:], cloud[1:]) is None, "nine cloudy chips are too few"


def test_texture_is_of_neighbours_and_unevenness_of_blocks() -> None:
    fine = np.where(
        np.indices((64, 64)).sum(axis=0) % 2, 3.0, 1.0
    )  # 1 and 3 in turn: every step is 2, every block the same
    assert loss.describe(fine) == {"texture": 2, "uneven": 0, "bright": 2}
    halves = np.ones((64, 64))
    halves[:, 32:] = 5
    said = loss.describe(halves)
    assert said["uneven"] == 2
    assert said["texture"] == pytest.approx(4 * 64 / (2 * 64 * 63))
    halves[:, 32:] = 0  # nodata is neither a step nor a block
    assert loss.describe(halves) == {"texture": 0, "uneven": 0, "bright": 1}
    assert all(np.isnan(value) for value in loss.describe(np.zeros((64, 64))).values())


def test_a_chip_is_found_by_its_number() -> None:
    pixels = np.ones((200, 220))
    pixels[48:112, 72:136] = 7  # row 1 (from -16 + 64), column 1 (from 8 + 64): number 4
    found = loss.look(pixels, GRID, np.array([0, 4, 5]))
    assert found["bright"].tolist() == [1, 7, 1]
    assert found["texture"].tolist() == [0, 0, 0]


def test_a_scenes_line_leaves_chips_mostly_outside_out() -> None:
    generator = np.random.default_rng(5)
    uneven = generator.uniform(1, 2, 60)
    valid = np.where(np.arange(60) < 20, 0.4, 1.0)
    columns = {
        "loss": np.where(valid < 0.9, 9 - uneven, uneven),
        "valid": valid,
        "cloud": np.full(60, np.nan),
        "texture": generator.uniform(size=60),
        "uneven": uneven,
        "bright": np.ones(60),
    }
    columns["loss"][50] = 99
    said = loss.against(loss.Measured(scene="s", token="t", columns=columns))
    assert (said["chips"], said["mostly_outside"], said["outliers_high"], said["outliers_low"]) == (40, 20, 1, 0)
    assert said["uneven"] > 0.85
    assert said["valid"] < -0.5
    assert said["bright"] is said["cloud"] is said["of_them_cloudy"] is None
