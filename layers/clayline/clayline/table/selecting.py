"""Rows of a group that are asked for: of the revisions that count, at the time, meeting the place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clayline.dataset.asking import Span
from clayline.outputs.region import Region

_EPOCH = np.datetime64("1970-01-01T00:00:00", "us")
NEEDED = ("uci", "datetime", "geometry", "bbox")
"""Columns that every selection looks at."""
OF_THE_DATASET = ("scene", "revision")
"""What rows of a dataset say beside the columns of a scene's file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What rows are wanted of a file."""

    region: Region | None
    """None: everywhere."""
    span: Span
    """In which a row's scene began."""
    allowed: Mapping[str, int] | None
    """The revision of each scene that counts, in a square's file; None in a scene's own file."""
    scene: str = ""
    revision: int = 0
    """Of a scene's own file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    """Rows, and by which part of the region each was wanted."""

    table: pa.Table
    shapes: NDArray[np.intp]
    """[n] numbers of the region's boxes or points; a row stands once for each that it meets. Zeros without a region."""


def select(table: pa.Table, wanted: Wanted, *, each_shape: bool = False) -> Selected:
    """Give the rows that are wanted, with ``scene`` and ``revision``; once, or with ``each_shape`` once a shape.

    Raises ValueError, KeyError or an error of Arrow's where the columns are not those of docs/schema.md.
    """
    table = _named(table, wanted)
    keep = _in_time(table, wanted.span)
    if wanted.allowed is not None:
        keep &= _allowed(table, wanted.allowed)
    if wanted.region is not None:
        keep &= wanted.region.overlaps(_bounds(table))
    rows = np.flatnonzero(keep)
    if wanted.region is None or not len(rows):
        return Selected(table=table.take(rows), shapes=np.zeros(len(rows), dtype=np.intp))
    met, shapes = wanted.region.meeting(table.column("geometry").take(rows).to_pylist())
    if not each_shape:
        met, first = np.unique(met, return_index=True)
        shapes = shapes[first]
    return Selected(table=table.take(rows[met]), shapes=shapes)


def rows_of_tier(table: pa.Table, wanted: Wanted) -> NDArray[np.intp]:
    """Give the numbers of a tier's rows that may be wanted, by time, revision and ``bbox``: it has no footprints.

    Raises what ``select`` raises.
    """
    keep = _in_time(table, wanted.span)
    if wanted.allowed is not None:
        keep &= _allowed(table, wanted.allowed)
    if wanted.region is not None:
        keep &= wanted.region.overlaps(_bounds(table))
    return np.flatnonzero(keep)


def looked_at(wanted: Wanted, *, place: bool, time: bool) -> list[str]:
    """Give the columns by which ``rows_wanted`` chooses."""
    return [
        *(("geometry", "bbox") if place else ()),
        *(("datetime",) if time else ()),
        *(OF_THE_DATASET if wanted.allowed is not None else ()),
    ]


def rows_wanted(table: pa.Table, wanted: Wanted) -> NDArray[np.int64]:
    """Give the numbers of the rows of a revision that counts that are wanted, ascending: by place and time as far as
    ``table`` has their columns. Raises what ``select`` raises.
    """
    keep = np.ones(len(table), dtype=np.bool_) if wanted.allowed is None else _allowed(table, wanted.allowed)
    if "datetime" in table.column_names:
        keep &= _in_time(table, wanted.span)
    if wanted.region is None or "geometry" not in table.column_names:
        return np.flatnonzero(keep)
    rows = np.flatnonzero(keep & wanted.region.overlaps(_bounds(table)))
    if not len(rows):
        return rows
    return rows[np.unique(wanted.region.meeting(table.column("geometry").take(rows).to_pylist())[0])]


def _named(table: pa.Table, wanted: Wanted) -> pa.Table:
    """Give the table with the two columns that a scene's own file lacks."""
    if wanted.allowed is not None:
        return table
    of_all: dict[str, Any] = {
        "scene": pa.scalar(wanted.scene, pa.string()),
        "revision": pa.scalar(wanted.revision, pa.int32()),
    }
    for name, value in of_all.items():
        table = table.append_column(pa.field(name, value.type, nullable=False), pa.repeat(value, len(table)))
    return table


def _in_time(table: pa.Table, span: Span) -> NDArray[np.bool_]:
    moments: Any = table.column("datetime").cast(pa.timestamp("us", tz="UTC"))
    if moments.null_count:
        msg = "a row has no datetime"
        raise ValueError(msg)
    numbers = moments.cast(pa.int64()).to_numpy()
    keep = np.zeros(len(numbers), dtype=np.bool_)
    for each in span.each:
        keep |= (numbers >= _microseconds(each.start)) & (numbers <= _microseconds(each.end))
    return keep


def _microseconds(moment: datetime) -> int:
    return int((np.datetime64(moment.replace(tzinfo=None), "us") - _EPOCH).astype(np.int64))


def _allowed(table: pa.Table, allowed: Mapping[str, int]) -> NDArray[np.bool_]:
    scenes: Any = table.column("scene").combine_chunks().dictionary_encode()
    numbers = scenes.indices.to_numpy(zero_copy_only=False)
    counting = np.array([allowed.get(scene, 0) for scene in scenes.dictionary.to_pylist()], dtype=np.int64)
    return np.asarray(counting[numbers] == table.column("revision").to_numpy())


def _bounds(table: pa.Table) -> NDArray[np.float64]:
    """Give [n, 4] of the column bbox."""
    boxes: Any = table.column("bbox").combine_chunks()
    sides = [pc.struct_field(boxes, name).cast(pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")]
    return np.stack([side.to_numpy(zero_copy_only=False) for side in sides], axis=1)
