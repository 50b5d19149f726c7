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
from clayline.identity.utm import UPS_ZONE, Utm

MAX_DIGITS = 11
"""Digits per coordinate of the finest reference: cells of one micrometre."""
SQUARE = 100_000
"""Side of a square that two letters name, metres."""
TILE_SIDE = 109_800
"""Side of a Sentinel-2 or HLS tile, metres: its square and what it overlaps of the next ones."""

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_EQUATOR_BAND = _BANDS.index("N")
_BAND_HEIGHT = 8
_SOUTH_EDGE, _NORTH_EDGE = -80, 84
_UTM_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
_UTM_FIRST_COLUMN = 1
_UTM_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_EVEN_ZONE_SHIFT = 5
_UPS_COLUMNS = {"A": (8, "JKLPQRSTUXYZ"), "B": (20, "ABCFGHJKLPQR"), "Y": (13, "RSTUXYZ"), "Z": (20, "ABCFGHJ")}
_UPS_ROWS = {False: (8, "ABCDEFGHJKLMNPQRSTUVWXYZ"), True: (13, "ABCDEFGHJKLMNP")}
_MILLIMETRES = 1000
_SQUARE_MM = SQUARE * _MILLIMETRES
_EQUATOR_MM = round(utm.EQUATOR_SOUTH) * _MILLIMETRES
_EQUATOR_ROW = _EQUATOR_MM // _SQUARE_MM
_METRES_PER_DEGREE = 111_133.0
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
        letters = _ups_letters(snapped, column, row)
    else:
        letters = _utm_letters(snapped, column, row, utm.inverse(snapped)[1] if latitude is None else latitude)
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
        zone, north, column, row = _read_ups(reference, match)
    else:
        zone, north, column, row = _read_utm(reference, match)
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


def _utm_letters(position: Utm, column: int, row: int, latitude: float) -> str:
    columns = _UTM_COLUMNS[position.zone % 3]
    if not 0 <= column - _UTM_FIRST_COLUMN < len(columns):
        msg = (
            f"{position} has no MGRS reference: its easting is not between 100 and 900 km. Give it in the zone of its"
            " place"
        )
        raise InvalidIdentifierError(msg)
    if not _SOUTH_EDGE <= latitude < _NORTH_EDGE:
        msg = f"{position} has no MGRS reference in a UTM zone: latitude {latitude} belongs to UPS"
        raise InvalidIdentifierError(msg)
    band = min((floor(latitude) - _SOUTH_EDGE) // _BAND_HEIGHT, len(_BANDS) - 1)
    # A position within half a millimetre of the equator is snapped onto it, which is in the northern band.
    band = max(band, _EQUATOR_BAND) if position.north else min(band, _EQUATOR_BAND - 1)
    letters = f"{columns[column - _UTM_FIRST_COLUMN]}{_UTM_ROWS[_shifted(position.zone, row)]}"
    return f"{position.zone:02d}{_BANDS[band]}{letters}"


def _ups_letters(position: Utm, column: int, row: int) -> str:
    first_row, rows = _UPS_ROWS[position.north]
    band = ("YZ" if position.north else "AB")[column >= _UPS_COLUMNS["Z"][0]]
    first_column, columns = _UPS_COLUMNS[band]
    if not (0 <= column - first_column < len(columns) and 0 <= row - first_row < len(rows)):
        msg = f"{position} has no MGRS reference: it is outside the polar cap that UPS covers"
        raise InvalidIdentifierError(msg)
    return f"{band}{columns[column - first_column]}{rows[row - first_row]}"


def _read_utm(reference: str, match: re.Match[str]) -> tuple[int, bool, int, int]:
    zone, band = int(match["zone"]), match["band"]
    if not 1 <= zone <= 60:  # noqa: PLR2004 - the zones there are
        msg = f"MGRS reference {reference!r} has zone {match['zone']}: zones are 01 to 60"
        raise InvalidIdentifierError(msg)
    if band not in _BANDS:
        msg = (
            f"MGRS reference {reference!r} has latitude band {band}: bands are {_BANDS[0]} to {_BANDS[-1]} without I"
            " and O"
        )
        raise InvalidIdentifierError(msg)
    columns = _UTM_COLUMNS[zone % 3]
    if match["column"] not in columns or match["row"] not in _UTM_ROWS:
        msg = (
            f"MGRS reference {reference!r} has square {match['column']}{match['row']}: zone {zone} has the columns"
            f" {columns} and the rows {_UTM_ROWS}"
        )
        raise InvalidIdentifierError(msg)
    north = _BANDS.index(band) >= _EQUATOR_BAND
    # Row letters repeat every 2,000 km; a band is less than half of that high, so the row nearest to its middle is the
    # one.
    low, high = _limits(band)
    middle = (low + high) / 2 * _METRES_PER_DEGREE / SQUARE - 0.5
    letter = (_UTM_ROWS.index(match["row"]) - (_EVEN_ZONE_SHIFT if zone % 2 == 0 else 0)) % len(_UTM_ROWS)
    row = letter + len(_UTM_ROWS) * round((middle - letter) / len(_UTM_ROWS))
    return zone, north, _UTM_FIRST_COLUMN + columns.index(match["column"]), row + (0 if north else _EQUATOR_ROW)


def _read_ups(reference: str, match: re.Match[str]) -> tuple[int, bool, int, int]:
    band = match["band"]
    if band not in _UPS_COLUMNS:
        msg = (
            f"MGRS reference {reference!r} has no zone: only the polar bands A, B, Y and Z have none. Write a zone of"
            " two digits, 01 to 60"
        )
        raise InvalidIdentifierError(msg)
    north = band in "YZ"
    (first_column, columns), (first_row, rows) = _UPS_COLUMNS[band], _UPS_ROWS[north]
    if match["column"] not in columns or match["row"] not in rows:
        msg = (
            f"MGRS reference {reference!r} has square {match['column']}{match['row']}: band {band} has columns"
            f" {columns} and rows {rows}"
        )
        raise InvalidIdentifierError(msg)
    return UPS_ZONE, north, first_column + columns.index(match["column"]), first_row + rows.index(match["row"])


def _shifted(zone: int, row: int) -> int:
    return (row + (_EVEN_ZONE_SHIFT if zone % 2 == 0 else 0)) % len(_UTM_ROWS)


def _limits(band: str) -> tuple[float, float]:
    low = _SOUTH_EDGE + _BAND_HEIGHT * _BANDS.index(band)
    return low, _NORTH_EDGE if band == _BANDS[-1] else low + _BAND_HEIGHT


def _touches(cell: Cell, band: str) -> bool:
    """Whether a cell reaches into a band, which is higher than the cell.

    Then a corner does, for no cell crosses its central meridian.
    """
    if cell.northing < 0 if cell.north else cell.northing >= utm.EQUATOR_SOUTH:
        return False
    low, high = _limits(band)
    return any(low - _LATITUDE_SLACK <= utm.inverse(corner)[1] <= high + _LATITUDE_SLACK for corner in cell.ring)
