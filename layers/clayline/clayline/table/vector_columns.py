"""Chips of a scene's file as a vector bucket gets them, a row group at a time."""

from collections.abc import Iterator
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clayline.dataset.ports import Root, Stored
from clayline.dataset.scene_file import SceneHeader
from clayline.likeness.vector_records import ChipColumns
from clayline.outputs.footprints import longitudes_over_the_antimeridian
from clayline.table.ranged import FileAt, RangedFile, damaged

_COLUMNS: Final = (
    "uci", "datetime", "loss", "embeddings", "geometry", "cell", "bbox", "valid_fraction", "cloud_fraction",
)  # fmt: skip
_GROUP_ROWS: Final = 2_048
_HALF_TURN: Final = 180.0


def read_chips(root: Root, stored: Stored, header: SceneHeader) -> Iterator[ChipColumns]:
    """Give the chips of a file, in its order: memory holds one row group of 2,048.

    Raises DatasetError for what is no file as docs/schema.md has it, or was replaced meanwhile; TransientError.
    """
    file = _open(root, stored, header)
    for group in range(file.groups):
        table = file.read(group, _COLUMNS)
        try:
            yield _columns(table)
        except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise damaged(root, file.at, f"row group {group} is not as docs/schema.md has it: {error}") from error


def _open(root: Root, stored: Stored, header: SceneHeader) -> RangedFile:
    at = FileAt(key=stored.key, size=stored.size, rows=header.rows, etag=stored.etag, group_rows=_GROUP_ROWS)
    return RangedFile.open(root, at)


def _columns(table: pa.Table) -> ChipColumns:
    moments: Any = table.column("datetime").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    vectors: Any = table.column("embeddings").combine_chunks()
    return ChipColumns(
        uci=cast("list[str]", table.column("uci").to_pylist()),
        cell=table.column("cell").to_pylist(),
        epoch=moments.to_numpy() // 1_000_000,
        centres=_centres(table),
        valid=_fractions(table, "valid_fraction"),
        cloud=_fractions(table, "cloud_fraction"),
        loss=_fractions(table, "loss"),
        vectors=np.asarray(vectors.flatten(), dtype=np.float32).reshape(len(table), -1),
    )


def _fractions(table: pa.Table, name: str) -> NDArray[np.float32]:
    """Give a column, NaN where it is null."""
    return np.asarray(table.column(name).cast(pa.float32()).to_numpy(), dtype=np.float32)


def _centres(table: pa.Table) -> NDArray[np.float64]:
    """Give [n, 2] the middle of each footprint's longitudes and latitudes; over the antimeridian, of both its parts."""
    boxes: Any = table.column("bbox").combine_chunks()
    sides = [pc.struct_field(boxes, name).cast(pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")]
    west, south, east, north = (np.array(side.to_numpy(zero_copy_only=False)) for side in sides)
    for row in np.flatnonzero(east - west > _HALF_TURN).tolist():
        west[row], east[row] = longitudes_over_the_antimeridian(table.column("geometry")[row].as_py())
    lon = (west + east) / 2
    return np.stack([np.where(lon > _HALF_TURN, lon - 360, lon), (south + north) / 2], axis=1)
