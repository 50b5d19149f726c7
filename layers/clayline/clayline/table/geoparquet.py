"""One scene's embeddings as GeoParquet 1.1, written row group by row group (docs/schema.md)."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clayline.outputs.embedding import EmbeddingRows, SceneColumns
from clayline.outputs.extent import Extent
from clayline.outputs.footprints import Footprints, footprints
from clayline.run.encoding import VectorEncoding

ROW_GROUP_ROWS = 2048
"""Rows of a group: a usual scene is one group, of a larger one a reader that wants 5 km takes a few MB. Measured in
docs/schema.md."""

PAGE_BYTES = 2 * 1024 * 1024
"""Of the embeddings; the default of 1 MiB cuts split byte streams so short that zstd loses 0.4 % of raw. Measured in
docs/schema.md."""

CRS84 = json.loads(Path(__file__).with_name("crs84.json").read_text(encoding="utf-8"))
_BOUNDS = ("xmin", "ymin", "xmax", "ymax")
REPEATING = ["source_url", "source_model", "loss_metric", "source_creator"]
WITH_STATISTICS = [
    "uci",
    *REPEATING,
    "date",
    "datetime",
    "loss",
    "index",
    "cell",
    *(f"bbox.{name}" for name in _BOUNDS),
    "valid_fraction",
    "cloud_fraction",
]
_ENCODINGS = {VectorEncoding.PORTABLE: "PLAIN", VectorEncoding.COMPACT: "BYTE_STREAM_SPLIT"}
ARROW_SCHEMA = "ARROW:schema"
_OURS = frozenset({"geo", ARROW_SCHEMA})


def write_geoparquet(
    path: Path,
    *,
    columns: SceneColumns,
    chunks: Iterable[EmbeddingRows],
    metadata: Mapping[str, str],
    encoding: VectorEncoding,
    row_group_rows: int = ROW_GROUP_ROWS,
) -> int:
    """Write ``chunks`` in their order to ``path`` and give the number of rows.

    ``metadata`` goes, beside ``geo``, into the file's key-value metadata and into that of the Arrow schema which the
    file keeps: some readers look here, some there. The same rows, columns, metadata and encoding give the same bytes,
    however the rows are cut into chunks. Memory holds one chunk and two row groups. The file appears under ``path``
    only when it is whole.

    Raises ValueError, naming the scene, for what only a mistake in the caller can bring: no row, identifiers not
    strictly ascending, an embedding or loss that is not finite, another number of dimensions, a loss without its metric
    or the reverse, a fraction outside 0 to 1, a reserved key. Raises SceneError (``bad-footprint``) for corners that
    make no polygon.
    """
    if taken := _OURS & metadata.keys():
        msg = f"{columns.source_url}: metadata key {min(taken)} is written here and cannot be given"
        raise ValueError(msg)
    schema = columns_schema(columns.dimensions)
    extent = Extent()
    count = 0
    last = ""
    with (
        _whole_file(path) as partial,
        _writer(partial, schema, encoding) as writer,
        ThreadPoolExecutor(max_workers=1) as background,
    ):
        writing: Future[None] | None = None
        for rows in _regrouped(chunks, row_group_rows):
            _check(columns, rows, last)
            shapes = footprints(rows.corners, rows.uci)
            extent.add(shapes)
            table = _table(schema, columns, rows, shapes)
            count += len(rows)
            last = rows.uci[-1]
            if writing:
                writing.result()
            # Encoding a group takes four times as long as reading and preparing the next one, and needs no lock of the
            # interpreter.
            writing = background.submit(writer.write_table, table, row_group_size=row_group_rows)
        if not writing:
            msg = (
                f"{columns.source_url}: a file of no rows is not written; the receipt says why no chip has an embedding"
            )
            raise ValueError(msg)
        writing.result()
        header = {
            "geo": json.dumps(geo(extent.geometry_types, extent.bbox)),
            **{key: metadata[key] for key in sorted(metadata)},
        }
        writer.add_key_value_metadata({**header, ARROW_SCHEMA: stored_schema(schema, header)})
    return count


def columns_schema(dimensions: int | None) -> pa.Schema:
    """Give the columns of docs/schema.md, in its order; None: of vectors of any length."""
    bounds = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in _BOUNDS])
    vector = pa.list_(pa.field("element", pa.float32(), nullable=False), dimensions or -1)
    fields: list[pa.Field[pa.DataType]] = [
        pa.field("uci", pa.string(), nullable=False),
        pa.field("source_url", pa.string(), nullable=False),
        pa.field("date", pa.date32(), nullable=False),
        pa.field("datetime", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("source_model", pa.string(), nullable=False),
        pa.field("loss", pa.float32()),
        pa.field("loss_metric", pa.string()),
        pa.field("source_creator", pa.string(), nullable=False),
        pa.field("embeddings", vector, nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("cell", pa.string()),
        pa.field("bbox", bounds, nullable=False),
        pa.field("valid_fraction", pa.float32(), nullable=False),
        pa.field("cloud_fraction", pa.float32()),
    ]
    return pa.schema(fields)


def stored_schema(schema: pa.Schema, header: Mapping[str, str]) -> str:
    """Give the value of ``ARROW:schema``.

    An IPC schema message in base64, as Arrow's own writers put it (docs/schema.md, File metadata).

    Readers that find it take the schema's metadata from it and hide the file's own, so the header must stand in it.
    Arrow's writer would store it before the first row, when the extent is not known.
    """
    return base64.b64encode(schema.with_metadata(dict(header)).serialize()).decode("ascii")


def _writer(path: Path, schema: pa.Schema, encoding: VectorEncoding) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=1,
        use_dictionary=REPEATING,  # type: ignore[arg-type] # the stubs know bool alone, pyarrow takes names
        data_page_size=PAGE_BYTES,
        column_encoding={"embeddings.list.element": _ENCODINGS[encoding]},
        store_schema=False,  # ours is: stored_schema
        write_statistics=WITH_STATISTICS,
        write_page_index=True,
        sorting_columns=[pq.SortingColumn(schema.get_field_index("uci"))],
    )


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Lend a name beside ``path`` until the file is whole.

    A Parquet writer that is interrupted leaves a valid file of fewer rows.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _regrouped(chunks: Iterable[EmbeddingRows], size: int) -> Iterator[EmbeddingRows]:
    """Cut and join chunks to ``size`` rows each, the last one shorter.

    Pages, and so bytes, must not depend on how the rows came.
    """
    waiting: list[EmbeddingRows] = []
    count = 0
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            part = chunk.slice(start, start + size - count)
            waiting.append(part)
            count += len(part)
            start += len(part)
            if count == size:
                yield EmbeddingRows.concatenate(waiting)
                waiting, count = [], 0
    if waiting:
        yield EmbeddingRows.concatenate(waiting)


def _check(columns: SceneColumns, rows: EmbeddingRows, last: str) -> None:
    """Refuse rows that docs/schema.md excludes. ``last`` is the identifier before them."""
    problem = ""
    ordered = [last, *rows.uci]
    if at := next((at for at in range(1, len(ordered)) if ordered[at - 1] >= ordered[at]), 0):
        problem = f"identifiers must ascend strictly, {ordered[at]} comes after {ordered[at - 1]}"
    elif rows.embeddings.shape[1] != columns.dimensions:
        problem = (
            f"embeddings of {columns.dimensions} dimensions were announced, {rows.uci[0]} has"
            f" {rows.embeddings.shape[1]}"
        )
    elif not (finite := np.isfinite(rows.embeddings).all(axis=1)).all():
        problem = (
            f"the embedding of {rows.uci[int(np.argmin(finite))]} is not finite: such a chip belongs into the receipt"
            " as failed"
        )
    elif (rows.loss is None) != (columns.loss_metric is None):
        problem = f"loss and loss_metric are there together or not at all, the metric is {columns.loss_metric}"
    elif rows.loss is not None and not (finite := np.isfinite(rows.loss)).all():
        problem = (
            f"the loss of {rows.uci[int(np.argmin(finite))]} is not finite: such a chip belongs into the receipt as"
            " failed"
        )
    elif not ((rows.valid_fraction >= 0) & (rows.valid_fraction <= 1)).all():
        problem = "a valid fraction does not lie in 0 to 1"
    elif not (np.isnan(rows.cloud_fraction) | ((rows.cloud_fraction >= 0) & (rows.cloud_fraction <= 1))).all():
        problem = "a cloud fraction does not lie in 0 to 1"
    if problem:
        msg = f"{columns.source_url}: {problem}"
        raise ValueError(msg)


def _table(schema: pa.Schema, columns: SceneColumns, rows: EmbeddingRows, shapes: Footprints) -> pa.Table:
    n = len(rows)
    vectors = pa.array(np.ascontiguousarray(rows.embeddings).reshape(-1))
    loss = pa.nulls(n, pa.float32()) if rows.loss is None else pa.array(rows.loss)
    bounds = [pa.array(np.ascontiguousarray(shapes.bounds[:, side])) for side in range(len(_BOUNDS))]
    repeated = {
        name: pa.repeat(pa.scalar(getattr(columns, name), schema.field(name).type), n)
        for name in [*REPEATING, "date", "datetime"]
    }
    arrays = {
        **repeated,
        "uci": pa.array(rows.uci, pa.string()),
        "loss": loss,
        "embeddings": pa.FixedSizeListArray.from_arrays(vectors, type=schema.field("embeddings").type),
        "geometry": pa.array(shapes.wkb, pa.binary()),
        "index": pa.array(rows.index),
        "cell": pa.array(rows.cell, pa.string()),
        "bbox": pa.StructArray.from_arrays(bounds, fields=list(schema.field("bbox").type)),
        "valid_fraction": pa.array(rows.valid_fraction),
        "cloud_fraction": pa.array(rows.cloud_fraction, mask=np.isnan(rows.cloud_fraction)),
    }
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def geo(geometry_types: list[str], bbox: list[float]) -> dict[str, object]:
    """Give the GeoParquet 1.1.0 metadata."""
    return {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": geometry_types,
                "crs": CRS84,
                "edges": "planar",
                "orientation": "counterclockwise",
                "bbox": bbox,
                "covering": {"bbox": {name: ["bbox", name] for name in _BOUNDS}},
            },
        },
    }
