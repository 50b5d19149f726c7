"""What is read of a dataset, written for somebody else: each form by a writer that takes a table at a time."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clayline.dataset.scene_row import SceneRow
from clayline.errors import DatasetError
from clayline.table.chips import ChipSchema, ChipTable
from clayline.table.geo_metadata import Covered

type Form = Literal["geoparquet", "lgnd", "lancedb", "numpy"]
FORMS: Final[tuple[Form, ...]] = ("geoparquet", "lgnd", "lancedb", "numpy")
TABLE: Final = "chips"
"""Name of the LanceDB table."""
_GROUP_ROWS: Final = 1024
_REPEATING: Final = ("source_url", "source_model", "loss_metric", "source_creator", "scene", "collection")
_IDS: Final = ("uci", "cell", "datetime", "scene", "revision", "source_model", "bbox")
"""Columns that stand beside numpy's vectors, as far as they were read."""


def export(
    tables: Iterable[ChipTable],
    schema: ChipSchema,
    out: Path,
    *,
    form: Form,
    scenes: Sequence[SceneRow],
    said: Mapping[str, Any],
) -> int:
    """Write tables of a schema to ``out`` and give the number of rows; it appears only when it is whole.

    ``scenes`` are those from which the rows come, ``said`` what was asked, for the file's metadata. Raises DatasetError
    where something lies at ``out`` already, columns lack that the form needs, or LanceDB is not installed.
    """
    if out.exists():
        msg = f"{out} is there already, and nothing is overwritten. Give another name, or move it away."
        raise DatasetError(msg)
    if form == "geoparquet":
        return _parquet(tables, schema, out, said)
    if form == "lgnd":
        by_scene = {(row.scene, row.revision): row for row in scenes}
        _need(schema, form, ("uci", "cell", "datetime", "embeddings", "bbox", "geometry", "scene", "revision"))
        return _parquet((_lgnd(table, by_scene) for table in tables), lgnd_schema(), out, said)
    if form == "lancedb":
        return _lancedb(tables, schema, out)
    _need(schema, form, ("uci", "embeddings"))
    return _numpy(tables, schema, out)


def lgnd_schema() -> pa.Schema:
    """Give the columns of LGND's published files (docs/dataset.md, Exports)."""
    sides = [pa.field(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")]
    texts = ("chips_id", "cell_id", "rasters_id", "stac_item_id", "collection")
    fields: list[Any] = [
        *(pa.field(name, pa.string()) for name in texts),
        pa.field("datetime", pa.timestamp("us", tz="UTC")),
        pa.field("embedding", pa.list_(pa.field("element", pa.float32()))),
        pa.field("bbox", pa.struct(sides)),
        pa.field("geometry", pa.binary()),
    ]
    return pa.schema(fields)


def _lgnd(table: pa.Table, scenes: Mapping[tuple[str, int], SceneRow]) -> pa.Table:
    named: list[Any] = table.column("scene").to_pylist()
    revisions: list[Any] = table.column("revision").to_pylist()
    rows = [scenes[key] for key in zip(named, revisions, strict=True)]
    schema = lgnd_schema()
    arrays: dict[str, Any] = {
        "chips_id": table.column("uci"),
        "cell_id": table.column("cell"),
        "rasters_id": table.column("scene"),
        "stac_item_id": pa.array([row.item_id for row in rows], pa.string()),
        "collection": pa.array([row.instrument for row in rows], pa.string()),
        "embedding": table.column("embeddings"),
        **{name: table.column(name) for name in ("datetime", "bbox", "geometry")},
    }
    return pa.table([arrays[field.name].cast(field.type) for field in schema], schema=schema)


def _parquet(tables: Iterable[pa.Table], schema: pa.Schema, out: Path, said: Mapping[str, Any]) -> int:
    """Write GeoParquet 1.1 where there is a geometry, in row groups of 1,024."""
    covered = Covered()
    count = 0
    with whole_file(out) as partial:
        repeating = [name for name in _REPEATING if name in schema.names]
        with pq.ParquetWriter(
            partial,
            schema,
            version="2.6",
            compression="zstd",
            compression_level=1,
            use_dictionary=repeating,  # type: ignore[arg-type] # the stubs know bool alone, pyarrow takes names
            write_page_index=True,
        ) as writer:
            for table in _regrouped(tables, schema):
                covered.add(table)
                writer.write_table(table, row_group_size=_GROUP_ROWS)
                count += table.num_rows
            header = {"clayline": json.dumps({"format": "clayline-read/1", **said, "rows": count})}
            if geo := covered.metadata():
                header["geo"] = json.dumps(geo)
            writer.add_key_value_metadata(header)
    return count


def _regrouped(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Give the same rows in tables of 1,024, the last one shorter; at least one."""
    waiting = schema.empty_table()
    given = False
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows >= _GROUP_ROWS:
            yield waiting.slice(0, _GROUP_ROWS)
            given, waiting = True, waiting.slice(_GROUP_ROWS)
    if waiting.num_rows or not given:
        yield waiting


def _lancedb(tables: Iterable[pa.Table], schema: pa.Schema, out: Path) -> int:
    try:
        import lancedb  # noqa: PLC0415 - heavy, and needed by this form alone
    except ImportError as error:
        msg = "a LanceDB table needs the package lancedb, which is not installed here: `pip install lancedb`."
        raise DatasetError(msg) from error
    count = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal count
        for table in tables:
            count += table.num_rows
            yield from table.to_batches()

    partial = out.with_name(f"{out.name}.partial")
    try:
        reader = pa.RecordBatchReader.from_batches(schema, counted())
        lancedb.connect(partial).create_table(TABLE, reader, mode="create")
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def _numpy(tables: Iterable[pa.Table], schema: pa.Schema, out: Path) -> int:
    """Write vectors [n, D] as .npy, numbers alone, and beside it what each is of, as JSON."""
    beside = out.with_suffix(".json")
    if out.suffix != ".npy" or beside.exists():
        msg = f"{beside} is there already" if out.suffix == ".npy" else f"{out} does not end in .npy"
        raise DatasetError(f"{msg}: numpy's form is NAME.npy with NAME.json beside it. Give another name.")
    names = [name for name in _IDS if name in schema.names]
    ids: dict[str, list[Any]] = {name: [] for name in names}
    count, dimensions = 0, getattr(schema.field("embeddings").type, "list_size", 0)
    with whole_file(out) as partial, partial.open("w+b") as file:
        _header(file, 0, dimensions)
        begins = file.tell()
        for table in tables:
            lists: Any = table.column("embeddings").combine_chunks()
            file.write(np.ascontiguousarray(lists.flatten().to_numpy(), dtype="<f4").tobytes())
            count += table.num_rows
            for name in names:
                ids[name] += map(_plain, table.column(name).to_pylist())
        file.seek(0)
        _header(file, count, dimensions)
        if file.tell() != begins:
            msg = "numpy's header grew over the vectors"
            raise AssertionError(msg)
        with whole_file(beside) as partial_ids:
            partial_ids.write_text(json.dumps(ids), encoding="utf-8")
    return count


def _header(file: Any, count: int, dimensions: int) -> None:  # noqa: ANN401 - a binary file
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (count, dimensions)})


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell of a table
    return value.isoformat() if hasattr(value, "isoformat") else value


def _need(schema: pa.Schema, form: Form, names: Sequence[str]) -> None:
    if lacking := [name for name in names if name not in schema.names]:
        msg = f"the form {form} needs the columns {', '.join(lacking)} as well: name them, or ask for all columns."
        raise DatasetError(msg)


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """Lend a name beside ``out``; what was written there gets the name ``out`` when the context ends without error."""
    partial = out.with_name(f"{out.name}.partial")
    try:
        yield partial
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)
