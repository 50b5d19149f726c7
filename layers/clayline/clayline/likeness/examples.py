"""What is given as an example: an identifier, a cell, a place, or a chip of imagery (docs/search.md, Examples)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.errors import DatasetError, InvalidIdentifierError
from clayline.identity import uci, utm
from clayline.identity.uci import Instant, Uci, Window
from clayline.identity.utm import Utm

_LATTICE: Final = re.compile(
    r"utm(?P<zone>[0-9]{2})-c(?P<size>[0-9]+)p(?P<x>[0-9]+)(?:x(?P<y>[0-9]+))?"
    r"-(?P<ns>[ns])(?P<north>[0-9]+)(?P<ew>[ew])(?P<east>[0-9]+)"
)
_CELL: Final = re.compile(r"[a-z0-9]+-c[0-9]+p[0-9]+(?:x[0-9]+)?-[ns][0-9]+[ew][0-9]+")
_NUMBER: Final = r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"
_PLACE: Final = re.compile(rf"\s*({_NUMBER})\s*,\s*({_NUMBER})\s*")
_ROUND: Final = 1e-5
"""Degrees, a metre: an identifier's place is rounded."""
type Rectangle = tuple[float, float, float, float]
"""west, south, east, north, degrees; west is greater over the antimeridian."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ByIdentifier:
    """One chip, by its UCI."""

    text: str
    parts: Uci

    @property
    def around(self) -> Rectangle:
        """Where it lies, and a little more."""
        where = uci.footprint(self.parts) if isinstance(self.parts.location, Window) else uci.cell(self.parts)
        return _around(where.lonlat)

    @property
    def days(self) -> tuple[datetime, datetime]:
        """Between which it was acquired."""
        if isinstance(self.parts.time, Instant):
            day = self.parts.time.moment.date()
            return datetime.combine(day, time(), UTC), datetime.combine(day, time.max, UTC)
        return (
            datetime.combine(self.parts.time.start, time(), UTC),
            datetime.combine(self.parts.time.end, time.max, UTC),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ByCell:
    """A piece of ground: its newest chip that takes part."""

    text: str

    @property
    def around(self) -> Rectangle | None:
        """Where it lies, and a little more; None for a cell of a lattice whose CRS its name does not give."""
        if found := _LATTICE.fullmatch(self.text):
            return _lattice_cell(found)
        try:
            where = uci.parse_location(self.text)
        except InvalidIdentifierError:
            return None
        return _around(uci.window_footprint(where).lonlat) if isinstance(where, Window) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ByPlace:
    """A point: of the newest chips on it that take part that whose centre is nearest."""

    text: str
    lon: float
    lat: float
    """Degrees, OGC:CRS84."""

    @property
    def around(self) -> Rectangle:
        """The point."""
        return (self.lon, self.lat, self.lon, self.lat)


@dataclass(frozen=True, kw_only=True, slots=True)
class OfImagery:
    """A chip of the user's own imagery, not embedded yet: that of its grid on which a point lies."""

    text: str
    target: str
    """A GeoTIFF or a STAC Item, as ``clayline embed`` takes it."""
    lon: float
    lat: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What filters and a box look at, of one chip; None is unknown."""

    valid: float
    """Fraction."""
    cloud: float | None
    """Fraction."""
    loss: float | None
    """In the model's own measure."""
    footprint: bytes
    """Well-known binary, degrees."""


@dataclass(frozen=True, kw_only=True)
class Computed:
    """A vector that the model just gave, of a chip that no dataset need have."""

    text: str
    token: str
    digest: str
    """Of the model's entry."""
    instrument: str
    vector: NDArray[Any]
    """[D]."""
    facts: Facts | None = None
    """None where nobody says."""


type Example = ByIdentifier | ByCell | ByPlace | OfImagery
type Given = ByIdentifier | ByCell | ByPlace | Computed
"""What a dataset can be asked about: imagery has become a vector by then."""


def example_of(text: str) -> Example:
    """Read an example: ``UCI``, ``CELL``, ``LON,LAT``, or ``FILE@LON,LAT``. Raises DatasetError."""
    target, at, place = text.rpartition("@")
    if at and (found := _PLACE.fullmatch(place)):
        if not target:
            msg = f"example {text!r} names no file before the @: give FILE@LON,LAT."
            raise DatasetError(msg)
        return OfImagery(text=text, target=target, **_lonlat(text, *found.groups()))
    if found := _PLACE.fullmatch(text):
        return ByPlace(text=text, **_lonlat(text, *found.groups()))
    if _CELL.fullmatch(text) or _is_window(text):
        return ByCell(text=text)
    try:
        return ByIdentifier(text=text, parts=uci.parse(text))
    except InvalidIdentifierError as error:
        msg = (
            f"example {text!r} is no identifier, cell, LON,LAT or FILE@LON,LAT ({error}). Take one from the column uci"
            " or cell of a file, or give a place in degrees."
        )
        raise DatasetError(msg) from error


def _is_window(text: str) -> bool:
    try:
        return isinstance(uci.parse_location(text), Window)
    except InvalidIdentifierError:
        return False


def _lonlat(text: str, lon: str, lat: str) -> dict[str, float]:
    place = {"lon": float(lon), "lat": float(lat)}
    if not all(map(isfinite, place.values())) or abs(place["lon"]) > 180 or abs(place["lat"]) > 90:  # noqa: PLR2004
        msg = f"example {text!r}: there is no such place. Longitude comes first, -180 to 180, then latitude."
        raise DatasetError(msg)
    return place


def _lattice_cell(found: re.Match[str]) -> Rectangle | None:
    size, x = int(found["size"]), int(found["x"])
    y = int(found["y"] or x)
    north = int(found["north"]) * (1 if found["ns"] == "n" else -1)
    east = int(found["east"]) * (1 if found["ew"] == "e" else -1)
    corners = []
    try:
        for row, col in ((0, 0), (0, 1), (1, 1), (1, 0)):
            northing = (north + row) * size * y / 1000
            place = Utm(
                zone=int(found["zone"]),
                north=northing >= 0,
                easting=(east + col) * size * x / 1000,
                northing=northing if northing >= 0 else northing + utm.EQUATOR_SOUTH,
            )
            corners.append(utm.inverse(place))
    except InvalidIdentifierError:
        return None
    return _around(corners)


def _around(ring: Any) -> Rectangle:  # noqa: ANN401 - pairs of longitude and latitude
    places = np.array(ring, dtype=np.float64)
    first = places[0, 0]
    lon = (places[:, 0] - first + 180) % 360 - 180 + first
    west, east = float(lon.min()) - _ROUND, float(lon.max()) + _ROUND
    south, north = float(places[:, 1].min()) - _ROUND, float(places[:, 1].max()) + _ROUND
    return (_wrapped(west), max(south, -90.0), _wrapped(east), min(north, 90.0))


def _wrapped(lon: float) -> float:
    return (lon + 180) % 360 - 180 if abs(lon) > 180 else lon  # noqa: PLR2004 - degrees
