"""Points of a GeoParquet file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from clayline.dataset.asking import moment
from clayline.dataset.points import MOMENTS, NAMES, Point, some
from clayline.errors import DatasetError, in_a_line
from clayline.outputs.region import lonlat_of

_IN_DEGREES: Final = {("OGC", "CRS84"), ("EPSG", "4326")}


def read_points(path: Path) -> list[Point]:
    """Read the geometry, and ``id`` and ``datetime`` if there are such columns; in longitude and latitude.

    Raises DatasetError naming the file.
    """
    try:
        with pq.ParquetFile(path) as file:
            geo = json.loads((file.metadata.metadata or {})[b"geo"])
            primary = geo["primary_column"]
            described = geo["columns"][primary]
            names = file.schema_arrow.names
            name = next((each for each in NAMES if each in names), None)
            when = next((each for each in MOMENTS if each in names), None)
            table = file.read(columns=[each for each in (primary, name, when) if each])
            _refuse_other_places(described)
            lonlat = lonlat_of(table.column(primary).to_pylist())
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        msg = f"{path} is no GeoParquet of points, written as WKB ({in_a_line(error)})"
        raise DatasetError(msg) from error
    nothing = [None] * table.num_rows
    called = table.column(name).to_pylist() if name else nothing
    moments = table.column(when).to_pylist() if when else nothing
    points = [
        Point(name=str(number) if own is None else str(own), lon=lon, lat=lat, when=_moment(path, at))
        for number, ((lon, lat), own, at) in enumerate(zip(lonlat.tolist(), called, moments, strict=True))
    ]
    return some(points, source=str(path))


def _refuse_other_places(described: dict[str, Any]) -> None:
    if described["encoding"] != "WKB":
        msg = f"its geometry is {described['encoding']}"
        raise ValueError(msg)
    crs = described.get("crs", {"id": {"authority": "OGC", "code": "CRS84"}})
    said = (crs or {}).get("id", {})
    if (said.get("authority"), str(said.get("code"))) not in _IN_DEGREES:
        msg = f"its CRS is {(crs or {}).get('name', 'not known')}; bring it to OGC:CRS84 (geopandas: to_crs)"
        raise ValueError(msg)


def _moment(path: Path, value: Any) -> datetime | None:  # noqa: ANN401 - whatever a file has
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return moment(value)
    except TypeError as error:
        msg = f"{path}: {value!r} is no moment"
        raise DatasetError(msg) from error
