"""Places on the globe as places on a line: near on the line is near on the ground."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_BITS: Final = 20
"""Of each axis: 38 m at the equator."""


def hilbert(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give the distance along a Hilbert curve over -180 to 180 and -90 to 90 degrees of points [n]: [n], 0 to 2^40."""
    side = 1 << _BITS
    x = np.clip(((longitude + 180.0) / 360.0 * side).astype(np.int64), 0, side - 1)
    y = np.clip(((latitude + 90.0) / 180.0 * side).astype(np.int64), 0, side - 1)
    found = np.zeros(x.shape, dtype=np.int64)
    step = side >> 1
    while step:
        right, upper = (x & step) > 0, (y & step) > 0
        found += step * step * ((3 * right) ^ upper)
        # Each quarter is the curve again, turned so that it begins where the one before it ends.
        turned = ~upper
        flipped = turned & right
        x, y = np.where(flipped, side - 1 - x, x), np.where(flipped, side - 1 - y, y)
        x, y = np.where(turned, y, x), np.where(turned, x, y)
        step >>= 1
    return found
