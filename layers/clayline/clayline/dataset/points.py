"""Points that are asked about, and how lists of them are read: CSV and GeoJSON."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, Final

from clayline.dataset.asking import moment
from clayline.errors import DatasetError

MOST_POINTS: Final = 1_000_000
MOST_BYTES: Final = 512 * 1024 * 1024
"""Of a list."""
_SHOWN: Final = 60
LONGITUDES: Final = ("lon", "longitude", "lng", "x")
LATITUDES: Final = ("lat", "latitude", "y")
NAMES: Final = ("id", "name", "point")
MOMENTS: Final = ("datetime", "time", "date")
"""Names of columns, in any case; the first that is there counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One of them."""

    name: str
    """As the list has it, else its number from 0."""
    lon: float
    """Degrees, OGC:CRS84; not finite where the list has none."""
    lat: float
    when: datetime | None = None
    """To which a nearest date is wanted."""

    @property
    def on_globe(self) -> bool:
        """Whether there is such a place."""
        return isfinite(self.lon) and isfinite(self.lat) and abs(self.lon) <= 180 and abs(self.lat) <= 90  # noqa: PLR2004


def of_values(found: Iterable[Any]) -> list[Point]:
    """Take points, or pairs of longitude and latitude, or mappings with ``lon``, ``lat`` and perhaps ``id`` and
    ``datetime``.

    Raises DatasetError.
    """
    if isinstance(found, str | bytes | Mapping) or not isinstance(found, Iterable):
        msg = f"points {bounded_text(found)} are none: give a list of (longitude, latitude)."
        raise DatasetError(msg)
    points = [each if isinstance(each, Point) else _of_value(number, each) for number, each in enumerate(found)]
    return bounded(points)


def of_csv(content: bytes, *, source: str) -> list[Point]:
    """Read a table with a header. Raises DatasetError naming ``source`` and the line."""
    try:
        lines = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns = columns_of(lines.fieldnames or [], source=source)
        points = [
            _point(number, _whole(row, lines, source), columns, where=f"{source}, line {lines.line_num}")
            for number, row in enumerate(lines)
        ]
    except UnicodeDecodeError as error:
        msg = f"{source} is no CSV in UTF-8 (byte {error.start}). Save it as UTF-8."
        raise DatasetError(msg) from error
    except csv.Error as error:
        msg = f"{source} is no CSV: after line {lines.line_num}: {error}."
        raise DatasetError(msg) from error
    return some(points, source=source)


def of_geojson(content: bytes, *, source: str) -> list[Point]:
    """Read a FeatureCollection, a Feature or a geometry of points. Raises DatasetError naming ``source``."""
    what = "its JSON"
    points = []
    try:
        found = json.loads(content)
        what = "its outermost object"
        features = found["features"] if found["type"] == "FeatureCollection" else [found]
        for number, feature in enumerate(features):
            what = f"feature {number}"
            points.append(_feature(number, feature, source))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        msg = f"{source} is no GeoJSON of points: {what}: {why}. Give a FeatureCollection of Point features."
        raise DatasetError(msg) from error
    return some(points, source=source)


def columns_of(names: Sequence[str], *, source: str) -> dict[str, str]:
    """Find the columns of longitude, latitude, name and moment. Raises DatasetError if there is no place."""
    there = {name.strip().lower(): name for name in names}
    kinds = {"lon": LONGITUDES, "lat": LATITUDES, "name": NAMES, "when": MOMENTS}
    found = {
        kind: there[next(name for name in known if name in there)]
        for kind, known in kinds.items()
        if any(name in there for name in known)
    }
    if not {"lon", "lat"} <= found.keys():
        msg = (
            f"{source} has no columns of longitude and latitude, but {', '.join(names) or 'none'}. Call them lon and"
            " lat (degrees, WGS 84)."
        )
        raise DatasetError(msg)
    return found


def bounded(points: list[Point]) -> list[Point]:
    """Refuse more than can be answered. Raises DatasetError."""
    if len(points) > MOST_POINTS:
        msg = f"{len(points)} points are more than {MOST_POINTS}. Ask in parts."
        raise DatasetError(msg)
    return points


def some(points: list[Point], *, source: str) -> list[Point]:
    """Refuse a list of none, and more than can be answered. Raises DatasetError."""
    if not points:
        msg = f"{source} has no points, only what stands before them. Give one at least."
        raise DatasetError(msg)
    return bounded(points)


def bounded_text(value: Any) -> str:  # noqa: ANN401 - whatever a user gave
    """Give what was given instead of points, not all of it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _whole(row: dict[str | Any, Any], lines: "csv.DictReader[str]", source: str) -> Mapping[str, Any]:
    """Refuse a line with fields that no column has: a comma that is none of the table's, such as a decimal one."""
    if more := row.get(None):
        there = len(lines.fieldnames or [])
        msg = (
            f"{source}, line {lines.line_num} has {there + len(more)} fields, and the header {there}. Write numbers"
            " with a point, and texts with commas in quotation marks."
        )
        raise DatasetError(msg)
    return row


def _of_value(number: int, value: Any) -> Point:  # noqa: ANN401 - whatever a user gave
    if isinstance(value, Mapping):
        found = {str(name): each for name, each in value.items()}
        return _point(number, found, columns_of(list(found), source=f"point {number}"), where=f"point {number}")
    try:
        lon, lat = value
        return Point(name=str(number), lon=float(lon), lat=float(lat))
    except (TypeError, ValueError) as error:
        msg = f"point {number} is {value!r}: give longitude and latitude"
        raise DatasetError(msg) from error


def _point(number: int, row: Mapping[str, Any], columns: Mapping[str, str], *, where: str) -> Point:
    name, when = row.get(columns.get("name", "")), row.get(columns.get("when", ""))
    return Point(
        name=str(number) if name in {None, ""} else str(name),
        lon=_degrees(row[columns["lon"]], where),
        lat=_degrees(row[columns["lat"]], where),
        when=None if when in {None, ""} else _when(when, where),
    )


def _when(value: Any, where: str) -> datetime:  # noqa: ANN401 - whatever a user gave
    try:
        return moment(value)
    except DatasetError as error:
        msg = f"{where}: {error}"
        raise DatasetError(msg) from error


def _degrees(value: Any, where: str) -> float:  # noqa: ANN401 - whatever a user gave
    if value in {None, ""}:
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        msg = f"{where}: {value!r} is no number of degrees"
        raise DatasetError(msg) from error


def _feature(number: int, feature: Mapping[str, Any], source: str) -> Point:
    geometry = feature["geometry"] if feature["type"] == "Feature" else feature
    properties = feature.get("properties") or {}
    if geometry is None:
        lon, lat = float("nan"), float("nan")
    elif geometry["type"] == "Point":
        lon, lat = _position(geometry["coordinates"])
    else:
        msg = f"{source}: feature {number} is a {geometry['type']}. Give points, such as its centre."
        raise DatasetError(msg)
    own = feature.get("id", next((properties[name] for name in NAMES if name in properties), None))
    when = next((properties[name] for name in MOMENTS if properties.get(name)), None)
    return Point(
        name=str(number) if own is None else str(own),
        lon=lon,
        lat=lat,
        when=None if when is None else _when(when, f"{source}, feature {number}"),
    )


def _position(coordinates: Any) -> tuple[float, float]:  # noqa: ANN401 - whatever stands there
    """Raises ValueError, TypeError."""
    if not isinstance(coordinates, list) or len(coordinates) < 2:  # noqa: PLR2004 - longitude and latitude
        msg = f"coordinates {bounded_text(coordinates)} are no longitude and latitude"
        raise ValueError(msg)
    return float(coordinates[0]), float(coordinates[1])
