"""Where chips lie, in numpy and floats: what ``clayline.chips`` computes in whole numbers is held against this."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import DatasetReader


def lattice_windows(dataset: DatasetReader, size: int) -> list[tuple[int, int]]:
    """Find the chips on their lattice, row by row: upper-left pixel of each.

    From each multiple of the step near the scene, the nearest pixel corner; a corner midway goes east and north.
    """
    digits = 9 if dataset.crs.is_geographic else 3
    a, _, c, _, e, f = (round(value, digits) for value in tuple(dataset.transform)[:6])
    if dataset.crs.to_epsg() in range(32701, 32761):
        f -= 10_000_000
    wide, high = size * a, size * -e
    eastings = np.arange(np.floor(c / wide) - 1, np.ceil((c + a * dataset.width) / wide) + 1) * wide
    northings = np.arange(np.ceil(f / high) + 1, np.floor((f + e * dataset.height) / high) - 1, -1) * high
    cols = np.floor(np.round((eastings - c) / a, 6) + 0.5).astype(int)
    rows = np.ceil(np.round((f - northings) / -e, 6) - 0.5).astype(int)
    cols, rows = cols[(cols > -size) & (cols < dataset.width)], rows[(rows > -size) & (rows < dataset.height)]
    return [(row, col) for row in rows.tolist() for col in cols.tolist()]


def tile_windows(dataset: DatasetReader, size: int) -> list[tuple[int, int]]:
    """Find the chips of a scene that is cut to an MGRS tile: the last row and column are shifted back."""
    rows, cols = (
        [max(0, min(at, length - size)) for at in range(0, length, size)] for length in (dataset.height, dataset.width)
    )
    return [(row, col) for row in rows for col in cols]


def chip_of(pixels: NDArray[Any], at: tuple[int, int], size: int) -> NDArray[Any]:
    """Cut the chip at a row and column [..., size, size] out of a scene [..., h, w]; zeros stand over its edges."""
    row, col = at
    around = [(0, 0)] * (pixels.ndim - 2) + [(size, size), (size, size)]
    return np.pad(pixels, around)[..., row + size : row + 2 * size, col + size : col + 2 * size]
