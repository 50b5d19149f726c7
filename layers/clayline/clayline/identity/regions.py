"""Squares and zones of MGRS as regions: of an identifier, and as boxes in longitude and latitude."""

import re
from typing import Final

from clayline.identity import mgrs, utm
from clayline.identity.squares import limits

type Bounds = tuple[float, float, float, float]
"""West, south, east, north, degrees."""

_SQUARE: Final = re.compile(r"(?P<zone>\d{2}[C-HJ-NP-X]|[ABYZ])[A-Z]{2}")
_PADDING: Final = 0.1
"""Degrees: edges of a square are no straight lines in longitude and latitude."""
_ZONE: Final = 6.0
_WIDE_BANDS: Final = "VX"
"""In which zones have other widths, off Norway and over Svalbard."""
_CAP: Final = {"A": (-90.0, -79.0), "B": (-90.0, -79.0), "Y": (83.0, 90.0), "Z": (83.0, 90.0)}
_HALF: Final = 180.0
_TURN: Final = 360.0


def square_of(uci: str) -> str | None:
    """Give the 100 km square in which an identifier lies, e.g. ``32UQD``: its tile, or the beginning of its point.

    None for a text that begins with none.
    """
    match = _SQUARE.match(uci)
    return match[0] if match else None


def zone_of(square: str) -> str:
    """Give a square's zone, e.g. ``32U``; a letter in UPS."""
    return square[:-2]


def bounds_of(region: str) -> list[Bounds]:
    """Give boxes, none over the antimeridian, that hold a square or a zone whole, and some ground beside it.

    Raises InvalidIdentifierError for letters that MGRS has not.
    """
    if region[0] in _CAP:
        south, north = _CAP[region[0]]
        return [(-_HALF, south, _HALF, north)]
    if len(region) == len("32U"):
        number, band = int(region[:2]), region[2]
        south, north = limits(band)
        beside = _ZONE if band in _WIDE_BANDS else 0.0
        west = (number - 1) * _ZONE - _HALF
        return _flat(west - beside, south, west + _ZONE + beside, north)
    corners = [utm.inverse(corner) for corner in mgrs.parse(region).ring]
    first = corners[0][0]
    lons = [first + (lon - first + _HALF) % _TURN - _HALF for lon, _ in corners]
    lats = [lat for _, lat in corners]
    return _flat(min(lons), min(lats), max(lons), max(lats))


def _flat(west: float, south: float, east: float, north: float) -> list[Bounds]:
    """Pad, and cut at the antimeridian."""
    south, north = max(south - _PADDING, -90.0), min(north + _PADDING, 90.0)
    west, east = west - _PADDING, east + _PADDING
    found = []
    for shift in (-_TURN, 0.0, _TURN):
        low, high = max(west + shift, -_HALF), min(east + shift, _HALF)
        if low < high:
            found.append((low, south, high, north))
    return found
