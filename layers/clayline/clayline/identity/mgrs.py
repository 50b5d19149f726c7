"""References of the Military Grid Reference System (MGRS), UTM and UPS, and the tiles of products that are cut to it.

Lettering after DMA TM 8358.1 (1990), chapters 2 and 3. Positions are snapped to a millimetre and then truncated, so
that a reference names the south-west corner of the cell the position lies in; beyond five digits the same rule goes on
below a metre, as GeographicLib does it (https://geographiclib.sourceforge.io/C++/doc/classGeographicLib_1_1MGRS.html).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

from clayline.errors import InvalidIdentifierError
from clayline.identity import utm
from clayline.identity.squares import SQUARE, limits, read_ups, read_utm, ups_letters, utm_letters
from clayline.identity.utm import UPS_ZONE, Utm

MAX_DIGITS = 11
"""Digits per coordinate of the finest reference: cells of one micrometre."""
TILE_SIDE = 109_800
"""Side of a Sentinel-2 or HLS tile, metres: its square and what it overlaps of the next ones."""

_MILLIMETRES = 1000
_SQUARE_MM = SQUARE * _MILLIMETRES
_EQUATOR_MM = round(utm.EQUATOR_SOUTH) * _MILLIMETRES
# A reference is made from a position within half a millimetre of its cell; a centimetre of latitude forgives that and
# no more.
_LATITUDE_SLACK = 1e-7
_PATTERN = re.compile(r"(?P<zone>[0-9]{2})?(?P<band>[A-Z])(?P<column>[A-Z])(?P<row>[A-Z])(?P<digits>[0-9]*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """The square that a reference names."""

    zone: int
    """UTM zone, or 0 for UPS."""
    north: bool
    """Hemisphere of the system that the coordinates are in."""
    easting: float
    """Of the south-west corner (in UPS the corner of least easting and northing), metres."""
    northing: float
    """Of the same corner, metres, with the hemisphere's false northing."""
    size: float
    """Side, metres."""
    digits: int
    """Digits of the reference for each coordinate."""

    @property
    def corner(self) -> Utm:
        """The corner of least easting and northing."""
        return Utm(zone=self.zone, north=self.north, easting=self.easting, northing=self.northing)

    @property
    def ring(self) -> tuple[Utm, Utm, Utm, Utm]:
        """The four corners in the cell's system, counter-clockwise from ``corner``."""
        east, top = self.easting + self.size, self.northing + self.size
        return (self.corner, self._at(east, self.northing), self._at(east, top), self._at(self.easting, top))

    def _at(self, easting: float, northing: float) -> Utm:
        return Utm(zone=self.zone, north=self.north, easting=easting, northing=northing)


def format(position: Utm, digits: int, *, latitude: float | None = None) -> str:  # noqa: A001 - called as mgrs.format
    """Write the reference of ``position`` in its own zone, with ``digits`` (0 to 11) for each coordinate.

    ``latitude`` (degrees) decides the band letter where it is known better than from the snapped position: on a band's
    border. Raises InvalidIdentifierError where MGRS has no letters for the position.
    """
    if not 0 <= digits <= MAX_DIGITS:
        msg = f"an MGRS reference has 0 to {MAX_DIGITS} digits for each coordinate, not {digits}"
        raise InvalidIdentifierError(msg)
    snapped = snap(position)
    easting, northing = round(snapped.easting * _MILLIMETRES), round(snapped.northing * _MILLIMETRES)
    column, row = easting // _SQUARE_MM, northing // _SQUARE_MM
    if snapped.zone == UPS_ZONE:
        letters = ups_letters(snapped, column, row)
    else:
        letters = utm_letters(snapped, column, row, utm.inverse(snapped)[1] if latitude is None else latitude)
    return letters + "".join(_digits(value, digits) for value in (easting, northing))


def from_lonlat(lon: float, lat: float, digits: int) -> str:
    """Write the reference of a place (degrees) in its standard zone.

    Raises InvalidIdentifierError for what is no place.
    """
    return format(utm.forward(lon, lat), digits, latitude=lat)


def from_utm(position: Utm, digits: int) -> str:
    """Write the reference of a position in the standard zone of its place, which need not be the zone it is given in.

    In its own zone the position is only snapped, never projected: a way over longitude and latitude can end on the
    other side of a cell's border. Raises InvalidIdentifierError where the position cannot be.
    """
    snapped = snap(position)
    lon, lat = utm.inverse(snapped)
    if utm.standard_zone(lon, lat) == snapped.zone:
        return format(snapped, digits, latitude=lat)
    return from_lonlat(lon, lat, digits)


def parse(reference: str) -> Cell:
    """Read a reference as its cell.

    Raises InvalidIdentifierError for a text that is none, letters that do not exist in the zone, and a band that the
    cell does not touch.
    """
    match = _PATTERN.fullmatch(reference)
    if match is None:
        msg = (
            f"{reference!r} is no MGRS reference: a two-digit zone (none at the poles), three capital letters, digits,"
            " as in 32UQD45126789"
        )
        raise InvalidIdentifierError(msg)
    digits = match["digits"]
    if len(digits) % 2 or len(digits) > 2 * MAX_DIGITS:
        msg = (
            f"MGRS reference {reference!r} has {len(digits)} digits: an even number up to {2 * MAX_DIGITS} is needed,"
            " half a coordinate"
        )
        raise InvalidIdentifierError(msg)
    if match["zone"] is None:
        zone, north, column, row = read_ups(reference, match)
    else:
        zone, north, column, row = read_utm(reference, match)
    half = len(digits) // 2
    unit = 10 ** (MAX_DIGITS - half)
    east, top = int(digits[:half] or "0") * unit, int(digits[half:] or "0") * unit
    micrometres = SQUARE * 1_000_000
    cell = Cell(
        zone=zone,
        north=north,
        easting=(column * micrometres + east) / 1_000_000,
        northing=(row * micrometres + top) / 1_000_000,
        size=unit / 1_000_000,
        digits=half,
    )
    if zone != UPS_ZONE and not _touches(cell, match["band"]):
        msg = (
            f"MGRS reference {reference!r} names a cell outside latitude band {match['band']}: one of its letters or"
            " digits is wrong"
        )
        raise InvalidIdentifierError(msg)
    return cell


def square_of(lon: float, lat: float) -> str:
    """Name the 100 km square of a place (degrees), e.g. ``32UQD``.

    Raises InvalidIdentifierError for what is no place.
    """
    return from_lonlat(lon, lat, 0)


@lru_cache(maxsize=256)
def tile_origin(tile: str) -> Utm:
    """Upper-left corner of the product tile named after a 100 km square.

    The square's west edge floored and its north edge ceiled to 60 m.

    The northing is rounded as counted from the equator in both hemispheres, and given in the hemisphere of the band
    with its false northing. Raises InvalidIdentifierError for what is no UTM square.
    """
    cell = parse(tile)
    if cell.zone == UPS_ZONE or cell.size != SQUARE:
        msg = f"{tile!r} is no product tile: a zone, a band and two letters are needed, as in 32UQD"
        raise InvalidIdentifierError(msg)
    false = 0.0 if cell.north else utm.EQUATOR_SOUTH
    return Utm(
        zone=cell.zone,
        north=cell.north,
        easting=60.0 * floor(cell.easting / 60),
        northing=60.0 * ceil((cell.northing + SQUARE - false) / 60) + false,
    )


def snap(position: Utm) -> Utm:
    """Round a position to a millimetre and put it into its own hemisphere's system (the equator counts as north)."""
    utm.check(position)
    easting, northing = round(position.easting * _MILLIMETRES), round(position.northing * _MILLIMETRES)
    north = position.north
    if position.zone != UPS_ZONE:
        from_equator = northing - (0 if north else _EQUATOR_MM)
        north = from_equator >= 0
        northing = from_equator + (0 if north else _EQUATOR_MM)
    return Utm(zone=position.zone, north=north, easting=easting / _MILLIMETRES, northing=northing / _MILLIMETRES)


def _digits(value: int, digits: int) -> str:
    if digits == 0:
        return ""
    micrometres = value % _SQUARE_MM * 1000
    return f"{micrometres // 10 ** (MAX_DIGITS - digits):0{digits}d}"


def _touches(cell: Cell, band: str) -> bool:
    """Whether a cell reaches into a band, which is higher than the cell.

    Then a corner does, for no cell crosses its central meridian.
    """
    if cell.northing < 0 if cell.north else cell.northing >= utm.EQUATOR_SOUTH:
        return False
    low, high = limits(band)
    return any(low - _LATITUDE_SLACK <= utm.inverse(corner)[1] <= high + _LATITUDE_SLACK for corner in cell.ring)
