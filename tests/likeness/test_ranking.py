"""One pass over vectors has what float64 has, but for rounding."""

import numpy as np
import pytest

from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.ranking import ROUNDING, exact_scores, quick_scores

RANDOM = np.random.default_rng(4)
VECTORS = (RANDOM.standard_normal((5000, 48)) + 400).astype(np.float32)
CENTRE = Centre(values=VECTORS.mean(axis=0), by="rows")
PROBE = Probe.of_examples(VECTORS[9:10], token="starter-v1.0-rgb", digest="sha256:" + "1" * 64, centre=CENTRE)


@pytest.mark.parametrize("rows", [1, 511, 512, 513, 5000])  # blocks that end within
@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_it_is_off_by_less_than_is_allowed_for(rows: int, share: float) -> None:
    taken = RANDOM.random(rows) < share
    found = quick_scores(PROBE, VECTORS[:rows], taken)
    assert np.abs(found[taken] - exact_scores(PROBE, VECTORS[:rows][taken])).max(initial=0) < ROUNDING / 4
    assert (found[~taken] == -np.inf).all()


def test_no_likeness_is_beyond_one() -> None:
    """Of a direction in float32 nor of rounding: who takes its arc cosine finds one."""
    for row in range(200):
        probe = Probe.of_examples(VECTORS[row : row + 1], token=PROBE.token, digest=PROBE.digest, centre=CENTRE)
        [itself, opposite] = exact_scores(probe, np.stack([VECTORS[row], 2 * CENTRE.values - VECTORS[row]]))
        assert 1 - 1e-12 < itself <= 1
        assert -1 <= opposite < -1 + 1e-6


def test_what_is_not_finite_is_told_from_what_float32_cannot_square() -> None:
    vectors = VECTORS[:300].copy()
    vectors[[0, 1]] = np.array([np.nan, -np.inf], np.float32)[:, None]
    vectors[2, 5] = np.nan
    vectors[3] = 1e30
    vectors[4] = CENTRE.values
    found = quick_scores(PROBE, vectors, np.ones(300, np.bool_))
    assert np.isnan(found).nonzero()[0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(found[3:], exact_scores(PROBE, vectors[3:]), atol=ROUNDING / 4)
    assert found[4] == 0


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"48 dimensions, these vectors have the shape \(5000, 47\)"):
        quick_scores(PROBE, VECTORS[:, 1:], np.ones(5000, np.bool_))
