"""The letters of the Military Grid Reference System: latitude bands, and squares of 100 km by column and row.

After DMA TM 8358.1 (1990), chapters 2 and 3.
"""

import re
from math import floor

from clayline.errors import InvalidIdentifierError
from clayline.identity import utm
from clayline.identity.utm import UPS_ZONE, Utm

SQUARE = 100_000
"""Side of a square that two letters name, metres."""
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
_EQUATOR_ROW = round(utm.EQUATOR_SOUTH) // SQUARE
_METRES_PER_DEGREE = 111_133.0


def utm_letters(position: Utm, column: int, row: int, latitude: float) -> str:
    """Give zone, band and square of a position in a UTM zone, in the square's column and row, counted from the zone's
    origin, at a latitude (degrees). Raises InvalidIdentifierError where there are none.
    """
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


def ups_letters(position: Utm, column: int, row: int) -> str:
    """Give band and square of a position at a pole, in the square's column and row. Raises InvalidIdentifierError where
    there are none.
    """
    first_row, rows = _UPS_ROWS[position.north]
    band = ("YZ" if position.north else "AB")[column >= _UPS_COLUMNS["Z"][0]]
    first_column, columns = _UPS_COLUMNS[band]
    if not (0 <= column - first_column < len(columns) and 0 <= row - first_row < len(rows)):
        msg = f"{position} has no MGRS reference: it is outside the polar cap that UPS covers"
        raise InvalidIdentifierError(msg)
    return f"{band}{columns[column - first_column]}{rows[row - first_row]}"


def read_utm(reference: str, match: re.Match[str]) -> tuple[int, bool, int, int]:
    """Give zone, hemisphere (whether north), column and row of a reference that was taken apart.

    Raises InvalidIdentifierError for letters that its zone has not.
    """
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
    low, high = limits(band)
    middle = (low + high) / 2 * _METRES_PER_DEGREE / SQUARE - 0.5
    letter = (_UTM_ROWS.index(match["row"]) - (_EVEN_ZONE_SHIFT if zone % 2 == 0 else 0)) % len(_UTM_ROWS)
    row = letter + len(_UTM_ROWS) * round((middle - letter) / len(_UTM_ROWS))
    return zone, north, _UTM_FIRST_COLUMN + columns.index(match["column"]), row + (0 if north else _EQUATOR_ROW)


def read_ups(reference: str, match: re.Match[str]) -> tuple[int, bool, int, int]:
    """Give the same of a reference without a zone. Raises InvalidIdentifierError for letters that its pole has not."""
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


def limits(band: str) -> tuple[float, float]:
    """Give the latitudes (degrees) between which a band lies."""
    low = _SOUTH_EDGE + _BAND_HEIGHT * _BANDS.index(band)
    return low, _NORTH_EDGE if band == _BANDS[-1] else low + _BAND_HEIGHT


def _shifted(zone: int, row: int) -> int:
    return (row + (_EVEN_ZONE_SHIFT if zone % 2 == 0 else 0)) % len(_UTM_ROWS)
