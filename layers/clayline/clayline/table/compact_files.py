"""The chips of a square and year as files of one order (docs/dataset.md, Compact files)."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.dataset.compaction import Rewrite
from clayline.dataset.manifest import Extent
from clayline.dataset.ports import Root
from clayline.table.geoparquet import (
    ARROW_SCHEMA,
    REPEATING,
    WITH_STATISTICS,
    columns_schema,
    geo,
    stored_schema,
)
from clayline.table.spooling import Spooled, spool

MOST_ROWS: Final = 131_072
"""Of a file."""
ROW_GROUP_ROWS: Final = 1_024
_PAGE_BYTES: Final = 64 * 1024
"""Of vectors: 16 rows of 1,024 dimensions, so that a few rows of a group are a few small ranges."""
_MULTI: Final = 6
_FORMAT: Final = "clayline-dataset-file/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFile:
    """A file in the scratch folder, which is deleted when the next one is asked for."""

    path: Path
    size: int
    sha256: str
    rows: int
    extent: Extent


def dataset_schema(dimensions: int) -> pa.Schema:
    """Give the columns of a compact file: those of a scene's, the scene and its revision."""
    schema = columns_schema(dimensions)
    schema = schema.append(pa.field("scene", pa.string(), nullable=False))
    return schema.append(pa.field("revision", pa.int32(), nullable=False))


def write_compact_files(
    root: Root,
    rewrite: Rewrite,
    *,
    scratch: Path,
    stamp: str,
    row_group_rows: int = ROW_GROUP_ROWS,
    most_rows: int = MOST_ROWS,
) -> Iterator[WrittenFile]:
    """Give the files of a square and year, one after the other; none where no scene is left in it.

    ``stamp`` stands in each, so that no two passes write the same bytes. Raises SceneFilesError for scenes that cannot
    come in, with why, DatasetError, ObjectMissingError, TransientError.
    """
    if not rewrite.scenes:
        return
    schema = dataset_schema(rewrite.scenes[0].dimensions)
    waiting = scratch / "chips.arrow"
    try:
        keys = spool(root, rewrite, schema, waiting)
        order = keys.order(rewrite)
        with pa.memory_map(str(waiting)) as mapped, pa.ipc.open_file(mapped) as reader:
            chips = Spooled(reader)
            for start in range(0, len(order), most_rows):
                path = scratch / "file.parquet"
                try:
                    yield _written(
                        path, rewrite, schema, chips, order[start : start + most_rows], stamp, row_group_rows
                    )
                finally:
                    path.unlink(missing_ok=True)
    finally:
        waiting.unlink(missing_ok=True)


def _written(
    path: Path,
    rewrite: Rewrite,
    schema: pa.Schema,
    chips: Spooled,
    order: NDArray[np.int64],
    stamp: str,
    row_group_rows: int,
) -> WrittenFile:
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    kinds: set[int] = set()
    with pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=1,
        use_dictionary=[*REPEATING, "scene"],  # type: ignore[arg-type] # the stubs know bool alone
        data_page_size=_PAGE_BYTES,
        column_encoding={"embeddings.list.element": "PLAIN"},
        store_schema=False,
        write_statistics=[*WITH_STATISTICS, "scene", "revision"],
        write_page_index=True,
    ) as writer:
        for start in range(0, len(order), row_group_rows):
            table = chips.take(order[start : start + row_group_rows])
            writer.write_table(table, row_group_size=row_group_rows)
            box = np.array([list(each.values()) for each in cast("list[dict[str, float]]", table["bbox"].to_pylist())])
            bounds[:2] = np.minimum(bounds[:2], box[:, :2].min(axis=0))
            bounds[2:] = np.maximum(bounds[2:], box[:, 2:].max(axis=0))
            kinds |= {wkb[1 if wkb[0] else 4] for wkb in cast("list[bytes]", table["geometry"].to_pylist())}
        types = ["Polygon"] * bool(kinds - {_MULTI}) + ["MultiPolygon"] * (_MULTI in kinds)
        header = {"geo": json.dumps(geo(types, bounds.tolist())), **_described(rewrite, stamp)}
        writer.add_key_value_metadata({**header, ARROW_SCHEMA: stored_schema(schema, header)})
    west, south, east, north = bounds.tolist()
    return WrittenFile(
        path=path,
        size=path.stat().st_size,
        sha256=_sha256(path),
        rows=len(order),
        extent=Extent(
            west=west,
            south=south,
            east=east,
            north=north,
            start=min(row.start for row in rewrite.scenes),
            end=max(row.end for row in rewrite.scenes),
        ),
    )


def _described(rewrite: Rewrite, stamp: str) -> dict[str, str]:
    partition, first = rewrite.partition, rewrite.scenes[0]
    emb = {
        "emb:type": "chip",
        "emb:dimensions": first.dimensions,
        "data_type": "float32",
        "emb:model": partition.token,
    }
    clayline = {
        "format": _FORMAT,
        "token": partition.token,
        "digest": first.digest,
        "square": partition.square,
        "year": partition.year,
        "stamp": stamp,
    }
    return {"emb": json.dumps(emb), "clayline": json.dumps(clayline)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
