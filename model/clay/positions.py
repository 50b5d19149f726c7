"""Where a patch lies, as sines and cosines.

Claymodel 1.5.0's formulas, odd as they are, because the weights know no other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_TEMPERATURE = 10000.0


def grid_positions(side: int, dim: int, *, gsd: float) -> npt.NDArray[np.float32]:
    """[side * side, dim] of a square grid of patches, row by row (``posemb_sincos_2d_with_gsd``); ``gsd`` in metres.

    Upstream computes in float32 and so do we, step by step: at 500 m the angles reach 15,500, where one unit in the
    last place is a thousandth. Powers and sines are rounded from float64, so that every machine gives the same bytes.
    Of the frequencies that the four sizes use, two (one of 22, one of 126) then differ from torch's CPU build, by one
    unit in the last place.
    """
    frequencies = grid_frequencies(dim, gsd=gsd)
    rows, columns = (each.reshape(-1, 1).astype(np.float32) * frequencies for each in np.mgrid[0:side, 0:side])
    return np.concatenate([_sin(columns), _cos(columns), _sin(rows), _cos(rows)], axis=1)


def grid_frequencies(dim: int, *, gsd: float) -> npt.NDArray[np.float32]:
    """[dim / 4] by which a patch's row and column are multiplied before sine and cosine."""
    count = dim // 4
    steps = np.arange(count).astype(np.float32) / np.float32(count - 1)
    exponents = np.float32(2) * steps / np.float32(dim)
    return (np.float32(1) / _power(exponents)) * np.float32(gsd)


def wave_frequencies(dim: int) -> npt.NDArray[np.float32]:
    """[dim / 2] by which a wavelength in micrometres is multiplied before sine and cosine (``posemb_sincos_1d``)."""
    count = dim // 2
    return np.float32(1) / _power(np.arange(count).astype(np.float32) / np.float32(count - 1))


def _power(exponents: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.power(_TEMPERATURE, exponents.astype(np.float64)).astype(np.float32)


def _sin(angles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.sin(angles.astype(np.float64)).astype(np.float32)


def _cos(angles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.cos(angles.astype(np.float64)).astype(np.float32)
