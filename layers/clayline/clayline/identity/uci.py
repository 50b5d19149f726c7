"""The Universally Class Identifier (UCI) of a chip's embedding: place, time, instrument and model in one text.

Specified in docs/uci.md.

``32UQD-r00000c00256s256g10000_20240601T103031_s2a-msi-l2a_clay-v1.5-cls``
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self

from clayline.errors import InvalidIdentifierError
from clayline.identity import mgrs
from clayline.identity.footprint import Footprint, quadrilateral
from clayline.identity.location import Point, Window, fits_tile, point_digits, point_from_lonlat, point_from_utm

__all__ = [
    "MAX_LENGTH", "Footprint", "Instant", "Interval", "ModelParts", "Point", "Uci", "Window", "cell",
    "fits_tile", "footprint", "format", "model_parts", "parse", "parse_location", "parse_time",
    "point_digits", "point_from_lonlat", "point_from_utm", "window_footprint",
]  # fmt: skip

MAX_LENGTH = 128
"""Longest identifier, characters."""

# Digits are spelled [0-9] and every pattern is used with fullmatch: \d would take other scripts' digits, $ a trailing
# newline.
_CHARACTERS = re.compile(r"[A-Za-z0-9._-]+")
_SIDE = r"s(?P<size>[1-9][0-9]{0,4})g(?P<gsd>[1-9][0-9]{0,8})"
_WINDOW = re.compile(rf"(?P<tile>[A-Z0-9]+)-r(?P<row>[0-9]{{5}})c(?P<col>[0-9]{{5}}){_SIDE}")
_POINT = re.compile(rf"(?P<reference>[A-Z0-9]+)-{_SIDE}")
_INSTANT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})")
_INTERVAL = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})-([0-9]{4})([0-9]{2})([0-9]{2})")
_INSTRUMENT = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MODEL = re.compile(
    r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*?)-v(?P<version>[0-9]+(?:\.[0-9]+)*)-(?P<variant>[a-z0-9]+(?:-[a-z0-9]+)*)"
)
_FIELDS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Instant:
    """When the scene was acquired, to the second."""

    moment: datetime
    """Aware, in UTC, without a fraction of a second: ``Instant.of`` makes it so."""

    def __post_init__(self) -> None:
        """Refuse another zone and a fraction, which the identifier would lose. Raises InvalidIdentifierError."""
        if self.moment.tzinfo is None or self.moment.utcoffset() or self.moment.microsecond:
            msg = (
                f"acquisition time {self.moment.isoformat()} is not in UTC to the whole second: make it with Instant.of"
            )
            raise InvalidIdentifierError(msg)

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """Take an aware datetime of any zone, dropping the fraction of a second.

        Raises InvalidIdentifierError for a naive one.
        """
        if moment.tzinfo is None:
            msg = (
                f"acquisition time {moment.isoformat()} has no time zone: say which it is in, UTC for satellite"
                " products"
            )
            raise InvalidIdentifierError(msg)
        return cls(moment=moment.astimezone(UTC).replace(microsecond=0))

    def __str__(self) -> str:
        """Write the identifier's second field."""
        return f"{_compact(self.moment)}T{self.moment.hour:02d}{self.moment.minute:02d}{self.moment.second:02d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """The days a composite covers, or the one day of a scene whose time of day nobody tells. UTC."""

    start: date
    """First day."""
    end: date
    """Last day, included."""

    def __post_init__(self) -> None:
        """Refuse an interval that runs backwards. Raises InvalidIdentifierError."""
        if isinstance(self.start, datetime) or isinstance(self.end, datetime):
            msg = f"interval {self.start} to {self.end} has times of day: it takes dates"
            raise InvalidIdentifierError(msg)
        if self.end < self.start:
            msg = (
                f"interval {_compact(self.start)}-{_compact(self.end)} ends before it starts: the first day comes first"
            )
            raise InvalidIdentifierError(msg)

    def __str__(self) -> str:
        """Write the identifier's second field."""
        return f"{_compact(self.start)}-{_compact(self.end)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Uci:
    """What an identifier says."""

    location: Window | Point
    """Where the chip is."""
    time: Instant | Interval
    """When it was acquired."""
    instrument: str
    """Platform, instrument and product in lower case, e.g. ``s2a-msi-l2a``."""
    model: str
    """Model token: name, ``-v`` and version, variant, e.g. ``clay-v1.5-cls``. Unique for one set of weights and
    options."""

    def __post_init__(self) -> None:
        """Refuse tokens that are none and an identifier that is too long. Raises InvalidIdentifierError."""
        if not _INSTRUMENT.fullmatch(self.instrument):
            msg = (
                f"instrument {self.instrument!r} is no token: lower-case letters and digits in words joined by '-', as"
                " in s2a-msi-l2a"
            )
            raise InvalidIdentifierError(msg)
        model_parts(self.model)
        if len(format(self)) > MAX_LENGTH:
            msg = (
                f"identifier {format(self)} has {len(format(self))} characters, {MAX_LENGTH} are allowed: shorten"
                " instrument or model"
            )
            raise InvalidIdentifierError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelParts:
    """What a model token says."""

    name: str
    """E.g. ``clay``."""
    version: str
    """Without the ``v``, e.g. ``1.5``."""
    variant: str
    """E.g. ``cls``; may hold ``-``."""


def format(uci: Uci) -> str:  # noqa: A001 - called as uci.format
    """Write an identifier. The parts were checked when they were made."""
    return f"{uci.location}_{uci.time}_{uci.instrument}_{uci.model}"


def parse(text: str) -> Uci:
    """Read an identifier. Raises InvalidIdentifierError, saying what is wrong and what to do."""
    if len(text) > MAX_LENGTH:
        msg = f"identifier {text[:40]!r}... has {len(text)} characters, {MAX_LENGTH} are allowed: this is no UCI"
        raise InvalidIdentifierError(msg)
    if not _CHARACTERS.fullmatch(text):
        strange = "".join(sorted({character for character in text if not _CHARACTERS.fullmatch(character)}))
        msg = f"identifier {text!r} is empty or holds {strange!r}: only A-Z a-z 0-9 . _ - are allowed"
        raise InvalidIdentifierError(msg)
    fields = text.split("_")
    if len(fields) != _FIELDS:
        msg = f"identifier {text} has {len(fields)} fields: location_time_instrument_model are needed"
        raise InvalidIdentifierError(msg)
    location, time, instrument, model = fields
    try:
        return Uci(location=parse_location(location), time=parse_time(time), instrument=instrument, model=model)
    except InvalidIdentifierError as error:
        msg = f"identifier {text}: {error}"
        raise InvalidIdentifierError(msg) from error


def parse_location(field: str) -> Window | Point:
    """Read an identifier's first field. Raises InvalidIdentifierError."""
    if match := _WINDOW.fullmatch(field):
        row, col, size, gsd_mm = (int(match[name]) for name in ("row", "col", "size", "gsd"))
        return Window(tile=match["tile"], row=row, col=col, size=size, gsd_mm=gsd_mm)
    if match := _POINT.fullmatch(field):
        return Point(reference=match["reference"], size=int(match["size"]), gsd_mm=int(match["gsd"]))
    msg = (
        f"location {field!r} is neither a window (32UQD-r00000c00256s256g10000) nor a point (13SFR45126789-s64g30000):"
        " capital letters, row and column of five digits, size (pixels) and GSD (millimetres) without leading zeros"
    )
    raise InvalidIdentifierError(msg)


def parse_time(field: str) -> Instant | Interval:
    """Read an identifier's second field. Raises InvalidIdentifierError."""
    try:
        if match := _INSTANT.fullmatch(field):
            year, month, day, hour, minute, second = (int(part) for part in match.groups())
            return Instant(moment=datetime(year, month, day, hour, minute, second, tzinfo=UTC))
        if match := _INTERVAL.fullmatch(field):
            parts = [int(part) for part in match.groups()]
            return Interval(start=date(*parts[:3]), end=date(*parts[3:]))
    except ValueError as error:
        msg = f"time {field} does not exist ({error}): correct the date or the time of day"
        raise InvalidIdentifierError(msg) from error
    msg = f"time {field!r} is neither an instant (20240601T103031, UTC) nor an interval (20240601-20240630)"
    raise InvalidIdentifierError(msg)


def model_parts(token: str) -> ModelParts:
    """Split a model token at its first ``-v`` and number. Raises InvalidIdentifierError for what is no model token."""
    match = _MODEL.fullmatch(token)
    if match is None:
        msg = (
            f"model {token!r} is no token: name, '-v' and version, '-' and variant in lower case are needed, as in"
            " clay-v1.5-cls"
        )
        raise InvalidIdentifierError(msg)
    return ModelParts(name=match["name"], version=match["version"], variant=match["variant"])


def footprint(uci: Uci | str) -> Footprint:
    """Give the ground that a ``window`` identifier's chip covers, nodata that pads it included.

    It follows from the identifier alone.

    Raises InvalidIdentifierError for a ``point``, which says where the chip's centre is and not how its pixels lie.
    """
    uci = parse(uci) if isinstance(uci, str) else uci
    window = uci.location
    if isinstance(window, Point):
        msg = (
            f"identifier {format(uci)} has no footprint: a point tells the cell of the chip's centre (see cell), not"
            " its CRS. The polygon is in the row's geometry, and follows from the file's transform and the row's index"
        )
        raise InvalidIdentifierError(msg)
    return window_footprint(window)


def window_footprint(window: Window) -> Footprint:
    """Give the ground that a window covers, which is that of its cell too."""
    origin = mgrs.tile_origin(window.tile)
    side = window.size * window.gsd_mm
    west = origin.easting + window.col * window.gsd_mm / 1000
    top = origin.northing - window.row * window.gsd_mm / 1000
    east, bottom = (
        origin.easting + (window.col * window.gsd_mm + side) / 1000,
        origin.northing - (window.row * window.gsd_mm + side) / 1000,
    )
    return quadrilateral(origin, west=west, bottom=bottom, east=east, top=top)


def cell(uci: Uci | str) -> Footprint:
    """Give the MGRS cell that the centre of a ``point`` identifier's chip lies in, to the millimetre that the centre
    was snapped to.

    Raises InvalidIdentifierError for a ``window``, whose ground is known exactly: see footprint.
    """
    uci = parse(uci) if isinstance(uci, str) else uci
    if isinstance(uci.location, Window):
        msg = f"identifier {format(uci)} names a window, not a cell: use footprint"
        raise InvalidIdentifierError(msg)
    place = mgrs.parse(uci.location.reference)
    return quadrilateral(
        place.corner,
        west=place.easting,
        bottom=place.northing,
        east=place.easting + place.size,
        top=place.northing + place.size,
    )


def _compact(day: date) -> str:
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"
