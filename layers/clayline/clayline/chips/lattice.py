"""The lattice that chips are laid on, so that the same ground is the same chip at every date.

A lattice belongs to a CRS, a pixel size and a chip size. Its corners are the multiples of the step, chip size x pixel
size, from the CRS's origin, on each axis. A chip starts at the pixel corner nearest to a lattice corner. All is counted
in whole units of length, so that what a file's transform adds in its last digits moves nothing.
"""

from dataclasses import dataclass

from clayline.chips.cog import Affine

METRIC = 1000
"""Units in one unit of a projected CRS: millimetres of a metre."""
GEOGRAPHIC = 1_000_000_000
"""Units in a degree."""
MOST_DRIFT = 0.1
"""Pixels by which a pixel size in whole units may move the scene's far edge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lattice:
    """A scene's chips on their lattice. Chips reach over the scene's edges, on all four sides."""

    family: str
    """Name of the grids that are congruent with this one but for pixel and chip size: of the CRS."""
    size: int
    """Side of a chip, pixels."""
    pixel_x: int
    """Width of a pixel, units."""
    pixel_y: int
    """Height of a pixel, units."""
    row: int
    """First pixel row of the upper chips: 0, or negative by less than ``size``."""
    col: int
    """First pixel column of the left chips, likewise."""
    north: int
    """Number of the upper chips' cells: the cell's south edge lies at this multiple of the step."""
    east: int
    """Number of the left chips' cells: the cell's west edge lies at this multiple of the step."""
    phase_north: float
    """Pixels from a lattice corner north to the chip's, over -1/2 up to 1/2: one number for all chips of the scene."""
    phase_east: float
    """The same eastwards."""


def lay_lattice(
    transform: Affine,
    *,
    height: int,
    width: int,
    size: int,
    units: int,
    family: str,
    false_northing: float = 0.0,
) -> Lattice | None:
    """Lay chips of ``size`` pixels over a north-up scene of ``height`` x ``width`` pixels.

    ``units`` are METRIC or GEOGRAPHIC; ``false_northing`` is taken off the northings first, in units of the CRS. Pixel
    size and corner are rounded to whole units before anything is computed. A lattice corner that lies midway between
    two pixel corners goes to the one in the east, or north. None where pixels in whole units would move the far edge by
    more than MOST_DRIFT pixels.
    """
    pixel_x, pixel_y = round(transform[0] * units), round(-transform[4] * units)
    if min(pixel_x, pixel_y) < 1:
        return None
    drift_x = abs(transform[0] * units / pixel_x - 1) * width
    drift_y = abs(-transform[4] * units / pixel_y - 1) * height
    if max(drift_x, drift_y) > MOST_DRIFT:
        return None
    west, top = round(transform[2] * units), round(transform[5] * units) - round(false_northing * units)
    # Lattice corner 0 lies at column -west / pixel_x and at row top / pixel_y. Corner k of the columns lies k * size
    # further, a whole number of pixels, so that one rounding serves all.
    col_of_zero = (pixel_x - 2 * west) // (2 * pixel_x)
    row_of_zero = -((pixel_y - 2 * top) // (2 * pixel_y))
    col, row = -(-col_of_zero % size), -(-row_of_zero % size)
    return Lattice(
        family=family,
        size=size,
        pixel_x=pixel_x,
        pixel_y=pixel_y,
        row=row,
        col=col,
        north=(row_of_zero - row) // size - 1,
        east=(col - col_of_zero) // size,
        phase_north=(top - row_of_zero * pixel_y) / pixel_y,
        phase_east=(col_of_zero * pixel_x + west) / pixel_x,
    )
