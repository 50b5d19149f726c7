"""Rows of the dataset's index, as stac-geoparquet (docs/dataset.md, A scene's row)."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.parquet as pq

from clayline.dataset.extents import cover
from clayline.dataset.scene_row import Box, SceneRow
from clayline.errors import DatasetError, in_a_line
from clayline.table.geoparquet import CRS84

_STAC: Final = "1.1.0"
_PARQUET: Final = "application/vnd.apache.parquet"
_UP: Final = "../../"
"""From a file of the index to the root."""
_BOUNDS: Final = ("xmin", "ymin", "xmax", "ymax")
_SIDES: Final = ("west", "south", "east", "north")
_TYPES: Final = {3: "Polygon", 6: "MultiPolygon"}
_TIME: Final = pa.timestamp("us", tz="UTC")
_OWN: Final = {
    "clayline:token": ("token", pa.string()),
    "clayline:digest": ("digest", pa.string()),
    "clayline:scene": ("scene", pa.string()),
    "clayline:revision": ("revision", pa.int32()),
    "clayline:run": ("run", pa.string()),
    "clayline:status": ("status", pa.string()),
    "clayline:instrument": ("instrument", pa.string()),
    "clayline:square": ("square", pa.string()),
    "clayline:rows": ("rows", pa.int64()),
    "clayline:bytes": ("size", pa.int64()),
    "clayline:etag": ("etag", pa.string()),
    "clayline:dimensions": ("dimensions", pa.int32()),
    "clayline:href": ("href", pa.string()),
    "clayline:compacted": ("compacted", pa.bool_()),
}
"""Column to field of SceneRow, and type."""
_LINK: Final = pa.struct([("href", pa.string()), ("rel", pa.string()), ("type", pa.string()), ("title", pa.string())])
_ASSET: Final = pa.struct(
    [("href", pa.string()), ("title", pa.string()), ("type", pa.string()), ("roles", pa.list_(pa.string()))]
)
SCHEMA: Final = pa.schema(
    [
        pa.field("type", pa.string(), nullable=False),
        pa.field("stac_version", pa.string(), nullable=False),
        pa.field("stac_extensions", pa.list_(pa.string()), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
        pa.field("bbox", pa.struct([pa.field(name, pa.float64(), nullable=False) for name in _BOUNDS]), nullable=False),
        pa.field("links", pa.list_(_LINK), nullable=False),
        pa.field("assets", pa.struct([("embeddings", _ASSET)]), nullable=False),
        pa.field("collection", pa.string(), nullable=False),
        pa.field("datetime", _TIME),
        pa.field("start_datetime", _TIME, nullable=False),
        pa.field("end_datetime", _TIME, nullable=False),
        pa.field("created", _TIME, nullable=False),
        pa.field("gsd", pa.float64(), nullable=False),
        *(pa.field(name, kind, nullable=False) for name, (_, kind) in _OWN.items()),
        pa.field("clayline:year", pa.int32(), nullable=False),
    ]
)
_DIRECT: Final = {
    "id": "item_id",
    "geometry": "geometry",
    "start_datetime": "start",
    "end_datetime": "end",
    "created": "created",
    "gsd": "gsd",
    **{name: field for name, (field, _) in _OWN.items()},
}
"""Columns that are a field as it is."""


def encode_rows(rows: Iterable[SceneRow], *, metadata: Mapping[str, str] | None = None) -> bytes:
    """Give a Parquet file of rows (at least one), sorted by square, time, model, scene and revision.

    The same rows and metadata give the same bytes, in whatever order they come.
    """
    ordered = sorted(rows, key=lambda row: (row.square, row.start, row.token, row.scene, row.revision))
    columns: dict[str, list[Any]] = {name: [getattr(row, field) for row in ordered] for name, field in _DIRECT.items()}
    columns |= {
        "type": ["Feature"] * len(ordered),
        "stac_version": [_STAC] * len(ordered),
        "stac_extensions": [[]] * len(ordered),
        "bbox": [dict(zip(_BOUNDS, _sides(row.box), strict=True)) for row in ordered],
        "links": [[_link(row)] for row in ordered],
        "assets": [{"embeddings": _asset(row)} for row in ordered],
        "collection": [row.token for row in ordered],  # as the Item names its own
        "datetime": [row.start if row.start == row.end else None for row in ordered],
        "clayline:year": [row.start.year for row in ordered],
    }
    header = {
        "geo": json.dumps(_geo(ordered)),
        "stac-geoparquet": json.dumps({"version": "1.1.0", "collections": {}}),
        **(metadata or {}),
    }
    schema = SCHEMA.with_metadata(header)
    table = pa.table([pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names], schema=schema)
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        version="2.6",
        compression="zstd",
        compression_level=3,
        row_group_size=8_192,
        write_page_index=True,
    )
    return sink.getvalue()


def decode_rows(content: bytes, *, where: str) -> list[SceneRow]:
    """Read a file of the index; ``where`` names it. Raises DatasetError for what is none."""
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read(columns=[*_DIRECT, "bbox"])
        columns = {field: table.column(name).to_pylist() for name, field in _DIRECT.items()}
        columns["box"] = [
            Box(**{side: box[name] for side, name in zip(_SIDES, _BOUNDS, strict=True)})
            for box in cast("list[dict[str, float]]", table.column("bbox").to_pylist())
        ]
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        msg = (
            f"{where} is no file of the index as docs/dataset.md says: {in_a_line(error)}. Move `dataset/` away"
            " and make it again from the scene files with `clayline index` and `clayline compact`."
        )
        raise DatasetError(msg) from error
    names = [field.name for field in fields(SceneRow)]
    return [
        SceneRow(**dict(zip(names, values, strict=True)))
        for values in zip(*(columns[name] for name in names), strict=True)
    ]


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.west, box.south, box.east, box.north


def _link(row: SceneRow) -> dict[str, str]:
    item = row.href.removesuffix(".parquet") + ".json"
    return {"href": _UP + item, "rel": "canonical", "type": "application/geo+json", "title": "The scene's own Item"}


def _asset(row: SceneRow) -> dict[str, Any]:
    return {"href": _UP + row.href, "title": "Embeddings", "type": _PARQUET, "roles": ["data"]}


def _geo(rows: list[SceneRow]) -> dict[str, object]:
    """Give the GeoParquet 1.1.0 metadata."""
    kinds = {_TYPES.get(int.from_bytes(row.geometry[1:5], "little" if row.geometry[0] else "big")) for row in rows}
    return {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": sorted(kind for kind in kinds if kind) if None not in kinds else [],
                "crs": CRS84,
                "edges": "planar",
                "bbox": list(_sides(cover([row.box for row in rows]))),
                "covering": {"bbox": {name: ["bbox", name] for name in _BOUNDS}},
            },
        },
    }
