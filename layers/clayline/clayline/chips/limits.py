"""Limits that are asked of a chip's fractions and loss, compared as files have these: float32.

0.9 is no float32: of a chip that is valid to nine tenths the file says 0.89999998, which as float64 is less than 0.9.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def reaches(values: ArrayLike, least: float) -> NDArray[np.bool_]:
    """Say which values are at least this much; what is unknown, NaN, is not."""
    return np.asarray(_kept(values) >= _kept(least))


def exceeds(values: ArrayLike, most: float) -> NDArray[np.bool_]:
    """Say which values are more than this; what is unknown, NaN, is not."""
    return np.asarray(_kept(values) > _kept(most))


def _kept(values: ArrayLike) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite there, on both sides
        return np.asarray(values, np.float64).astype(np.float32)
