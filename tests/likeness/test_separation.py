"""The linear separation of examples."""

import numpy as np
import pytest
from numpy.typing import NDArray

from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.separation import RIDGE, normal

RANDOM = np.random.default_rng(7)


def units(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1)[:, None])


def test_it_is_the_weighted_ridge_regression_solved_in_full() -> None:
    like, unlike = units(RANDOM.standard_normal((5, 9))), units(RANDOM.standard_normal((11, 9)))
    rows = np.concatenate([like, unlike])
    wanted = np.array([1.0] * 5 + [-1.0] * 11)
    weights = np.diag([0.1] * 5 + [0.5 / 11] * 11)
    ahead = np.hstack([rows, np.ones((16, 1))])
    penalty = RIDGE * np.diag([1.0] * 9 + [0.0])  # the offset costs nothing
    whole = np.linalg.solve(ahead.T @ weights @ ahead + penalty, ahead.T @ weights @ wanted)[:9]
    assert normal(like, unlike) == pytest.approx(whole / np.linalg.norm(whole), abs=1e-9)


def test_it_tells_apart_what_the_means_do_not() -> None:
    """Both kinds vary most along one axis, in which the examples at hand happen to differ too."""
    along = RANDOM.standard_normal((40, 6)) * np.array([3, 0.1, 0.1, 0.1, 0.1, 0.1])
    like, unlike = along[:20] + np.eye(6)[1] + np.eye(6)[0], along[20:] - np.eye(6)[1] - np.eye(6)[0]
    centre = Centre(values=np.zeros(6, np.float32), by="card")
    model = {"token": "starter-v1.0-rgb", "digest": "sha256:" + "1" * 64, "centre": centre}
    means, separation = (
        make(like, unlike, **model)  # type: ignore[arg-type]  # a dict of what both take
        for make in (Probe.of_examples, Probe.of_separation)
    )

    def overlapping(probe: Probe) -> int:
        return int((probe.scores(like) <= probe.scores(unlike).max()).sum())

    assert overlapping(separation) < overlapping(means)
    assert np.linalg.norm(separation.direction) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("positive", "negative"), [(1, 5), (5, 1), (5, 0)])
def test_too_few_examples_are_refused(positive: int, negative: int) -> None:
    rows = units(RANDOM.standard_normal((10, 4)))
    with pytest.raises(DatasetError, match="at least 2 examples"):
        normal(rows[:positive], rows[5 : 5 + negative])


def test_examples_that_are_the_same_are_refused() -> None:
    rows = units(RANDOM.standard_normal((3, 4)))
    with pytest.raises(DatasetError, match="nothing tells"):
        normal(rows, rows)
