"""Names of the ground: a chip's ``cell`` is the same text for the same ground at every date.

Specified in docs/uci.md.
"""

from hashlib import sha256

from clayline.chips.lattice import Lattice
from clayline.identity import utm
from clayline.identity.utm import UPS_ZONE


def grid_family(crs: str, epsg: int | None) -> tuple[str, float]:
    """Name the lattices of a CRS, and give the northing that they count from, in its units.

    A UTM zone is one family: its southern system counts the equator as 10,000,000 m. UPS has two codes a pole. ``crs``
    stands for a CRS without a code, by its digest.
    """
    if epsg is None:
        return f"crs{sha256(crs.encode()).hexdigest()[:12]}", 0.0
    position = utm.from_epsg(epsg, 0.0, 0.0)
    if position is None:
        return f"epsg{epsg}", 0.0
    if position.zone == UPS_ZONE:
        return "upsn" if position.north else "upss", 0.0
    return f"utm{position.zone:02d}", 0.0 if position.north else utm.EQUATOR_SOUTH


def cell_name(lattice: Lattice, *, row: int, col: int) -> str:
    """Name the cell of the chip at ``row`` and ``col`` of the chip grid, counted from the upper left."""
    return numbered_cell(lattice_name(lattice), north=lattice.north - row, east=lattice.east + col)


def numbered_cell(lattice: str, *, north: int, east: int) -> str:
    """Name the cell of these numbers on the lattice of that name."""
    return f"{lattice}-{'n' if north >= 0 else 's'}{abs(north)}{'e' if east >= 0 else 'w'}{abs(east)}"


def lattice_name(lattice: Lattice) -> str:
    """Name the lattice: family, chip size in pixels, pixel size in units (width and height where they differ)."""
    x, y = lattice.pixel_x, lattice.pixel_y
    pixel = f"{x}" if x == y else f"{x}x{y}"
    return f"{lattice.family}-c{lattice.size}p{pixel}"
