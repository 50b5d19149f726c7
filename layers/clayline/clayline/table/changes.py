"""The answer of a comparison as a table: one row a pair of chips, or a chip or file that was not compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clayline.outputs.region import bounds_of, centres_of, outline_of
from clayline.table.chips import ChipSchema, ChipTable

type Ints = NDArray[np.int64]
type Objects = NDArray[np.object_]

FORMAT: Final = "clayline-change/1"
_NUMBERS: Final = ("distance", "percentile", "days", "neighbours_distance", "neighbours_percentile")
_COLUMNS: Final = {
    "uci": "uci",
    "datetime": "datetime",
    "valid": "valid_fraction",
    "cloud": "cloud_fraction",
    "scene": "scene",
    "revision": "revision",
}
"""Of each date: our name, and that in the chips' files."""
_MOMENT: Final = pa.timestamp("us", tz="UTC")
_SIDE: Final[list[tuple[str, Any]]] = [
    ("uci", pa.string()),
    ("datetime", _MOMENT),
    ("valid", pa.float32()),
    ("cloud", pa.float32()),
    ("scene", pa.string()),
    ("revision", pa.int32()),
]


def change_schema() -> ChipSchema:
    """Give the columns (docs/change.md)."""
    bounds = pa.struct([pa.field(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
    fields: list[tuple[str, Any]] = [
        ("cell", pa.string()),
        ("compared", pa.bool_()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("pair", pa.int32()),
        ("distance", pa.float64()),
        ("percentile", pa.float64()),
        ("calibrated", pa.string()),
        ("calibration_pairs", pa.int64()),
        ("instruments", pa.string()),
        ("region", pa.string()),
        ("season", pa.string()),
        ("neighbours", pa.int32()),
        ("neighbours_distance", pa.float64()),
        ("neighbours_percentile", pa.float64()),
        ("days", pa.float64()),
        *((f"{side}_{name}", kind) for side in ("from", "to") for name, kind in _SIDE),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("geometry", pa.binary()),
        ("bbox", bounds),
    ]
    required = {"compared", "lon", "lat", "geometry", "bbox"}
    return pa.schema([pa.field(name, kind, nullable=name not in required) for name, kind in fields])


@dataclass(kw_only=True)
class Columns:
    """M rows that are filled in: pairs that are compared, and chips that are not."""

    chips: ChipTable
    """What is said of all chips, with their footprints."""
    earlier: Ints
    """[M] number of the chip, -1 for none."""
    later: Ints
    reason: NDArray[np.str_]
    """Empty where the two are compared."""
    step: Ints
    distance: NDArray[np.float64]
    """NaN is null, here and below."""
    percentile: NDArray[np.float64]
    days: NDArray[np.float64]
    neighbours_distance: NDArray[np.float64]
    neighbours_percentile: NDArray[np.float64]
    calibration_pairs: Ints
    """-1 is null, here and below."""
    neighbours: Ints
    calibrated: Objects
    instruments: Objects
    region: Objects
    season: Objects

    @classmethod
    def of(cls, chips: ChipTable, earlier: Ints, later: Ints, reason: NDArray[np.str_], step: Ints) -> Self:
        """Begin with which chips there are, and why some are not compared."""
        count = len(earlier)
        numbers: dict[str, Any] = {name: np.full(count, np.nan) for name in _NUMBERS}
        counts: dict[str, Any] = {name: np.full(count, -1, np.int64) for name in ("calibration_pairs", "neighbours")}
        named = ("calibrated", "instruments", "region", "season")
        texts: dict[str, Any] = {name: np.full(count, None, dtype=object) for name in named}
        return cls(
            chips=chips, earlier=earlier, later=later, reason=reason, step=step, **numbers, **counts, **texts
        )  # fmt: skip


def change_table(found: Columns | None, unread: Sequence[tuple[str, str, Sequence[Sequence[float]]]]) -> ChipTable:
    """Give the answer: pairs by date and falling distance, what was not compared by reason and cell, then a row of each
    file that could not be read (its key, why, the boxes in which its chips lie).
    """
    schema = change_schema()
    parts = [] if found is None else [_of_pairs(found, schema)]
    if unread:
        parts.append(_of_files(unread, schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _of_pairs(found: Columns, schema: pa.Schema) -> pa.Table:
    present = np.where(found.earlier >= 0, found.earlier, found.later)
    taken: Any = found.chips.take(present)
    is_compared = found.reason == ""
    footprints: list[bytes] = taken.column("geometry").to_pylist()
    centres = centres_of(footprints) if footprints else np.empty((0, 2))
    values: dict[str, Any] = {
        "cell": taken.column("cell"),
        "compared": is_compared,
        "reason": pa.array([each or None for each in found.reason.tolist()], pa.string()),
        "detail": pa.nulls(len(present), pa.string()),
        "pair": _counts(found.step),
        **{name: pa.array(getattr(found, name), from_pandas=True) for name in _NUMBERS},
        **{name: _counts(getattr(found, name)) for name in ("calibration_pairs", "neighbours")},
        **{name: pa.array(getattr(found, name), pa.string()) for name in ("instruments", "region", "season")},
        "calibrated": pa.array(found.calibrated, pa.string()),
        "lon": centres[:, 0],
        "lat": centres[:, 1],
        "geometry": taken.column("geometry"),
        "bbox": _bounds(footprints),
    }
    for side, numbers in (("from", found.earlier), ("to", found.later)):
        of_side: Any = found.chips.take(_counts(numbers))
        values |= {f"{side}_{name}": of_side.column(column) for name, column in _COLUMNS.items()}
    order = np.lexsort([
        np.array([cell or "" for cell in taken.column("cell").to_pylist()], np.str_),
        -np.nan_to_num(found.distance, nan=-1.0),
        found.reason,
        found.step,
        ~is_compared,
    ])  # fmt: skip
    return _table(values, schema).take(order)


def _of_files(unread: Sequence[tuple[str, str, Sequence[Sequence[float]]]], schema: pa.Schema) -> pa.Table:
    footprints = [outline_of(boxes) for _, _, boxes in unread]
    centres = centres_of(footprints)
    values: dict[str, Any] = {
        field.name: pa.nulls(len(unread), field.type) for field in schema
    } | {
        "compared": np.zeros(len(unread), np.bool_),
        "reason": pa.array(["unreadable"] * len(unread)),
        "detail": pa.array([f"{key}: {message}" for key, message, _ in unread]),
        "lon": centres[:, 0],
        "lat": centres[:, 1],
        "geometry": pa.array(footprints),
        "bbox": _bounds(footprints),
    }  # fmt: skip
    return _table(values, schema)


def _table(values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    arrays = []
    for field in schema:
        value = values[field.name]
        array: Any = value if isinstance(value, pa.Array | pa.ChunkedArray) else pa.array(value)
        arrays.append(array.cast(field.type))
    return pa.table(arrays, schema=schema)


def _counts(values: Ints) -> Any:  # noqa: ANN401 - an array of Arrow's
    return pa.array(values, mask=values < 0)


def _bounds(footprints: Sequence[bytes]) -> Any:  # noqa: ANN401 - an array of Arrow's
    sides = bounds_of(footprints).T
    return pa.StructArray.from_arrays([pa.array(side) for side in sides], ["xmin", "ymin", "xmax", "ymax"])
