"""Position encodings against the plain formula in float64.

Against claymodel's own functions they are in test_clay_parity.py.
"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from clay.positions import grid_positions, wave_frequencies

WIDTHS = [each - 8 for each in (192, 384, 768, 1024, 96, 512)]


def plain(side: int, dim: int, gsd: float) -> NDArray[np.float64]:
    """What posemb_sincos_2d_with_gsd means, a number at a time and without float32's rounding."""
    count = dim // 4
    rows = []
    for y in range(side):
        for x in range(side):
            angles = [
                [each * gsd / 10000 ** (2 * (step / (count - 1)) / dim) for step in range(count)] for each in (x, y)
            ]
            (sin_x, cos_x), (sin_y, cos_y) = (
                ([math.sin(a) for a in axis], [math.cos(a) for a in axis]) for axis in angles
            )
            rows.append(sin_x + cos_x + sin_y + cos_y)
    return np.array(rows)


@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("gsd", [0.5, 10.0, 30.0, 500.0])
def test_positions_follow_the_formula_as_far_as_float32_tells(dim: int, gsd: float) -> None:
    ours = grid_positions(8, dim, gsd=gsd)
    assert ours.dtype == np.float32
    # Three roundings (exponent's power, product with gsd, product with the patch's number) of an angle up to 7 gsd.
    np.testing.assert_allclose(ours, plain(8, dim, gsd), rtol=0, atol=3 * 7 * gsd * 2**-24 + 1e-7)


def test_patches_go_row_by_row_and_columns_come_first() -> None:
    ours = grid_positions(4, 184, gsd=1.0)
    first = [0, 46, 92, 138]  # the first frequency is gsd itself: sine and cosine of the column, then of the row
    np.testing.assert_allclose(ours[1, first], [math.sin(1), math.cos(1), 0, 1], atol=1e-7)
    np.testing.assert_allclose(ours[4, first], [0, 1, math.sin(1), math.cos(1)], atol=1e-7)


def test_wave_frequencies_fall_from_one_to_a_ten_thousandth() -> None:
    ours = wave_frequencies(128)
    expected = [10000 ** -(step / 63) for step in range(64)]
    assert ours.dtype == np.float32
    np.testing.assert_allclose(
        ours, expected, rtol=1e-6
    )  # float32 exponents up to 1: ln(10000) * 2**-24, and the power's own rounding
