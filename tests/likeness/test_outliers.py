"""Which losses stand out, and where nothing can be said."""

import re
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clayline.likeness.outliers import FAR, LEAST_CHIPS, standing

PAGE = Path(__file__).resolve().parents[2] / "docs" / "loss.md"
WHOLE = np.ones(40)
LOSSES = np.random.default_rng(3).permutation(np.linspace(0.03, 0.07, 40))


def test_deviations_are_the_robust_ones() -> None:
    found = standing(LOSSES, WHOLE).deviations
    median = statistics.median(LOSSES.tolist())
    spread = statistics.median(abs(loss - median) for loss in LOSSES.tolist())
    assert found == pytest.approx([(loss - median) / (1.4826 * spread) for loss in LOSSES.tolist()])


def test_what_stands_out_is_marked_on_its_side_and_nothing_else() -> None:
    losses = LOSSES.copy()
    losses[7], losses[9] = 0.2, -0.1
    found = standing(losses, WHOLE)
    assert np.flatnonzero(found.high).tolist() == [7]
    assert np.flatnonzero(found.low).tolist() == [9]
    assert not standing(LOSSES, WHOLE).high.any()


def test_many_outliers_do_not_hide_each_other() -> None:
    """A mean and a standard deviation would call none of these far."""
    losses = np.concatenate([LOSSES, np.full(15, 0.5)])
    assert np.abs((losses - losses.mean()) / losses.std()).max() < FAR
    assert np.flatnonzero(standing(losses, np.ones(55)).high).tolist() == list(range(40, 55))


def test_chips_mostly_outside_and_those_without_a_loss_take_no_part() -> None:
    losses, valid = LOSSES.copy(), WHOLE.copy()
    losses[0], losses[1] = 9.0, np.nan
    valid[0] = 0.89
    found = standing(losses, valid)
    assert np.isnan(found.deviations).nonzero()[0].tolist() == [0, 1]
    assert not found.high[:2].any()
    assert found.deviations[2:] == pytest.approx(standing(losses[2:], valid[2:]).deviations)


def test_float32_as_files_hold_them() -> None:
    assert standing(LOSSES.astype(np.float32), WHOLE.astype(np.float32)).deviations == pytest.approx(
        standing(LOSSES, WHOLE).deviations, rel=1e-3, abs=1e-3
    )


@pytest.mark.parametrize(
    ("losses", "valid"),
    [
        (LOSSES[: LEAST_CHIPS - 1], WHOLE[: LEAST_CHIPS - 1]),
        (LOSSES, np.full(40, 0.5)),
        (np.full(40, 0.1), WHOLE),
        (np.full(40, np.nan), WHOLE),
        (np.zeros(0), np.zeros(0)),
    ],
    ids=["few", "outside", "all alike", "no loss", "none"],
)
def test_where_nothing_can_be_said_nothing_stands_out(losses: NDArray[np.float64], valid: NDArray[np.float64]) -> None:
    found = standing(losses, valid)
    assert np.isnan(found.deviations).all()
    assert not found.high.any()
    assert not found.low.any()


def test_the_pages_example_prints_what_it_says() -> None:
    [(program, printed)] = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == printed
