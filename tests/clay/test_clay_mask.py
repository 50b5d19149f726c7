"""The mask under which losses are measured never changes: a loss of one year must compare with that of another."""

import numpy as np
import pytest

from clay.mask import Mask


@pytest.mark.parametrize("patches", [4, 64, 256, 1024])
@pytest.mark.parametrize("ratio", [0.5, 0.75, 0.9])
def test_every_patch_is_either_hidden_or_seen(patches: int, ratio: float) -> None:
    hidden, seen = Mask(ratio=ratio).split(patches)
    assert sorted([*hidden, *seen]) == list(range(patches))
    assert len(hidden) == int(ratio * patches)
    for part in (hidden, seen):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


def test_the_usual_mask_of_a_256_pixel_chip_is_this_one() -> None:
    hidden, seen = Mask().split(1024)
    assert len(hidden) == 768
    assert seen[:8].tolist() == [1, 5, 11, 13, 16, 22, 30, 32]
    assert hidden[:8].tolist() == [0, 2, 3, 4, 6, 7, 8, 9]
    assert int((seen * np.arange(256)).sum()) == 21172556


def test_another_seed_hides_others_and_is_another_metric() -> None:
    usual, other = Mask(), Mask(seed=1)
    common = np.intersect1d(usual.split(1024)[1], other.split(1024)[1])
    assert 30 < len(common) < 100  # 64 are expected of two independent draws of a quarter
    assert (usual.metric, other.metric) == ("masked-l1-m0.75-k1-s0", "masked-l1-m0.75-k1-s1")


def test_what_is_seen_is_spread_over_the_chip() -> None:
    seen = Mask().split(1024)[1]
    quadrants = np.bincount((seen // 32 // 16) * 2 + seen % 32 // 16, minlength=4)
    assert (quadrants > 40).all()
