"""Where an identifier says that a chip is: a window of a product's MGRS tile, or the MGRS cell of its centre.

Specified in docs/uci.md.
"""

from dataclasses import dataclass

from clayline.errors import InvalidIdentifierError
from clayline.identity import mgrs, utm
from clayline.identity.mgrs import Cell
from clayline.identity.utm import Utm

_MAX_GSD_MM = 100_000_000
_MAX_SIZE = 99_999
_MAX_PIXEL = 99_999
_TILE_SIDE_MM = mgrs.TILE_SIDE * 1000
_CENTIMETRE = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A chip's place in a product that is cut to the MGRS tile grid (Sentinel-2, HLS).

    The footprint follows from it.
    """

    tile: str
    """MGRS tile of the product, e.g. ``32UQD``: never derived from the chip's centre."""
    row: int
    """Upper-left pixel row in the tile, 0 to 99999."""
    col: int
    """Upper-left pixel column in the tile, 0 to 99999."""
    size: int
    """Side of the chip, pixels."""
    gsd_mm: int
    """Side of a pixel, millimetres."""

    def __post_init__(self) -> None:
        """Refuse what no identifier may say. Raises InvalidIdentifierError."""
        mgrs.tile_origin(self.tile)
        _check_side(self.size, self.gsd_mm)
        for name, pixel in (("row", self.row), ("column", self.col)):
            if not 0 <= pixel <= _MAX_PIXEL or pixel * self.gsd_mm >= _TILE_SIDE_MM:
                msg = (
                    f"{name} {pixel} of tile {self.tile} at {self.gsd_mm} mm does not exist: a tile is"
                    f" {mgrs.TILE_SIDE:,} m wide. Check the pixel window and the GSD (millimetres)"
                )
                raise InvalidIdentifierError(msg)

    def __str__(self) -> str:
        """Write the identifier's first field."""
        return f"{self.tile}-r{self.row:05d}c{self.col:05d}s{self.size}g{self.gsd_mm}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A chip's place in any other product: the MGRS cell, no larger than a pixel, that its centre lies in."""

    reference: str
    """MGRS reference of the centre in its standard zone, with ``point_digits(gsd_mm)`` digits for each coordinate."""
    size: int
    """Side of the chip, pixels."""
    gsd_mm: int
    """Side of a pixel, millimetres."""

    def __post_init__(self) -> None:
        """Refuse what no identifier may say. Raises InvalidIdentifierError."""
        _check_side(self.size, self.gsd_mm)
        place = mgrs.parse(self.reference)
        digits = point_digits(self.gsd_mm)
        if place.digits != digits:
            msg = (
                f"MGRS reference {self.reference} has {place.digits} digits for each coordinate: at a GSD of"
                f" {self.gsd_mm} mm it has {digits}, so that its cell is the largest one no larger than a pixel"
            )
            raise InvalidIdentifierError(msg)
        if not _in_standard_zone(place):
            msg = (
                f"MGRS reference {self.reference} names a place of another zone: write it in the zone that its"
                " longitude and latitude give"
            )
            raise InvalidIdentifierError(msg)

    def __str__(self) -> str:
        """Write the identifier's first field."""
        return f"{self.reference}-s{self.size}g{self.gsd_mm}"


def point_digits(gsd_mm: int) -> int:
    """Digits for each coordinate at this GSD: the largest MGRS cell no larger than a pixel.

    30 m: 4 (10 m); 75 mm: 7 (10 mm).
    """
    _check_side(1, gsd_mm)
    return len(str(_MAX_GSD_MM)) - len(str(gsd_mm))


def point_from_utm(position: Utm, *, size: int, gsd_mm: int) -> Point:
    """Name a chip by its centre, given in its scene's own UTM or UPS system: snapped to 1 mm and truncated there.

    A centre of another zone (a scene that reaches over its zone's border) is projected to the standard zone of its
    place first. Raises InvalidIdentifierError.
    """
    return Point(reference=mgrs.from_utm(position, point_digits(gsd_mm)), size=size, gsd_mm=gsd_mm)


def point_from_lonlat(lon: float, lat: float, *, size: int, gsd_mm: int) -> Point:
    """Name a chip by its centre in WGS 84 degrees, for scenes in any other CRS. Raises InvalidIdentifierError."""
    return Point(reference=mgrs.from_lonlat(lon, lat, point_digits(gsd_mm)), size=size, gsd_mm=gsd_mm)


def fits_tile(tile: str, *, epsg: int, origin_x: float, origin_y: float, gsd: float) -> bool:
    """Say whether a north-up raster lies on the grid of an MGRS tile.

    Same system, same origin, and a GSD that the identifier can hold.

    ``origin_x`` and ``origin_y`` are the upper-left corner in metres, ``gsd`` the side of its square pixels in metres.
    Everything agrees to 1 cm, the far edge of the tile included. In the southern hemisphere a northern zone with
    negative northings (HLS, Landsat) is the same system. Raises InvalidIdentifierError for a text that is no tile.
    """
    origin = mgrs.tile_origin(tile)
    position = utm.from_epsg(epsg, origin_x, origin_y)
    if position is None or position.zone != origin.zone:
        return False
    false = (
        utm.EQUATOR_SOUTH
        if position.north and not origin.north
        else -utm.EQUATOR_SOUTH
        if origin.north and not position.north
        else 0.0
    )
    gsd_mm = round(gsd * 1000)
    if not 1 <= gsd_mm <= _TILE_SIDE_MM:
        return False
    drift = abs(gsd - gsd_mm / 1000) * mgrs.TILE_SIDE / gsd
    return max(abs(origin_x - origin.easting), abs(origin_y + false - origin.northing), drift) <= _CENTIMETRE


def _check_side(size: int, gsd_mm: int) -> None:
    if not 1 <= size <= _MAX_SIZE:
        msg = f"chip size {size} px cannot be written: 1 to {_MAX_SIZE} are possible"
        raise InvalidIdentifierError(msg)
    if not 1 <= gsd_mm <= _MAX_GSD_MM:
        msg = (
            f"GSD {gsd_mm} mm cannot be written: 1 mm to {_MAX_GSD_MM // 1_000_000} km are possible. Give it in"
            " millimetres"
        )
        raise InvalidIdentifierError(msg)


def _in_standard_zone(place: Cell) -> bool:
    """Whether part of a cell lies in the zone it is written in.

    Looked at on the corners of a cell a quarter larger: zone borders cross cells at a small angle, so that a cell whose
    edge is just over a corner of a zone has one of those in it.
    """
    middle = place.corner.easting + place.size / 2, place.corner.northing + place.size / 2
    reach = 0.75 * place.size + 0.001
    corners = (
        Utm(zone=place.zone, north=place.north, easting=middle[0] + x * reach, northing=middle[1] + y * reach)
        for x in (-1, 1)
        for y in (-1, 1)
    )
    return any(utm.standard_zone(*utm.inverse(corner)) == place.zone for corner in corners)
