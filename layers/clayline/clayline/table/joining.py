"""Chips of many row groups as one table: of a place, or at points."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clayline.dataset.points import Point
from clayline.outputs.region import centres_of
from clayline.table.selecting import Selected
from clayline.table.streaming import shaped

OF_POINTS: Final = ("point", "point_lon", "point_lat")
"""Columns that a sample has before the chip's own."""


def joined(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Put tables of a schema one behind the other; none give an empty one."""
    found = list(tables)
    return pa.concat_tables(found) if found else schema.empty_table()


def at_points(found: Iterable[Selected], schema: pa.Schema, points: Sequence[Point]) -> tuple[pa.Table, set[int]]:
    """Give chips at points, by point and time, behind the points' own columns; and the numbers of points that have
    some.
    """
    own: list[Any] = [
        pa.field("point", pa.string(), nullable=False),
        pa.field("point_lon", pa.float64(), nullable=False),
        pa.field("point_lat", pa.float64(), nullable=False),
    ]
    tables, numbers, moments, names = [], [], [], []
    for selected in found:
        tables.append(shaped(selected, schema))
        numbers.append(selected.shapes)
        moments.append(_microseconds(selected.table))
        names.append(np.array(selected.table.column("uci").to_pylist(), dtype=np.str_))
    whole = pa.schema([*own, *schema])
    if not tables:
        return whole.empty_table(), set()
    number = np.concatenate(numbers)
    order = np.lexsort([np.concatenate(names), np.concatenate(moments), number])
    number = number[order]
    of_point: list[Any] = [
        pa.array([points[at].name for at in number], pa.string()),
        pa.array([points[at].lon for at in number], pa.float64()),
        pa.array([points[at].lat for at in number], pa.float64()),
    ]
    rows = pa.concat_tables(tables).take(order)
    return pa.table([*of_point, *rows.columns], schema=whole), set(number.tolist())


def nearest_rows(
    found: Iterable[Selected],
    points: Sequence[Point],
    targets: Sequence[datetime],
    lasting: Mapping[tuple[str, int], timedelta],
) -> Iterator[Selected]:
    """Give of each point one chip: of the date nearest to its target, and of several then that whose centre is nearest.

    ``lasting`` says of scene and revision how long that is: a target within a scene's day is at no distance from it.
    Memory holds one row a point and one row group.
    """
    wanted = np.array([np.datetime64(each.replace(tzinfo=None), "us") for each in targets]).astype(np.int64)
    places = np.array([(point.lon, point.lat) for point in points], dtype=np.float64).reshape(-1, 2)
    best: Selected | None = None
    for selected in found:
        both = selected
        if best is not None:
            both = Selected(
                table=pa.concat_tables([best.table, selected.table.cast(best.table.schema)]),
                shapes=np.concatenate([best.shapes, selected.shapes]),
            )
        since = wanted[both.shapes] - _microseconds(both.table)
        gaps = np.maximum(np.maximum(-since, since - _lasting(both.table, lasting)), 0)
        away = _away(both, places)
        names = np.array(both.table.column("uci").to_pylist(), dtype=np.str_)
        order = np.lexsort([names, away, gaps, both.shapes])
        _, first = np.unique(both.shapes[order], return_index=True)
        best = Selected(table=both.table.take(order[first]), shapes=both.shapes[order[first]])
    if best is not None:
        yield best


def _away(selected: Selected, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how far each chip's centre is from its point: in degrees of latitude, as far as they tell near from far."""
    footprints: list[Any] = selected.table.column("geometry").to_pylist()
    centres = centres_of(footprints)
    apart = centres - places[selected.shapes]
    apart[:, 0] = (apart[:, 0] + 180) % 360 - 180
    apart[:, 0] *= np.cos(np.radians(places[selected.shapes, 1]))
    return np.asarray(np.hypot(apart[:, 0], apart[:, 1]))


def _lasting(table: pa.Table, lasting: Mapping[tuple[str, int], timedelta]) -> NDArray[np.int64]:
    scenes: list[Any] = table.column("scene").to_pylist()
    revisions: list[Any] = table.column("revision").to_pylist()
    found = (lasting[key] // timedelta(microseconds=1) for key in zip(scenes, revisions, strict=True))
    return np.fromiter(found, np.int64, len(scenes))


def _microseconds(table: pa.Table) -> NDArray[np.int64]:
    moments: Any = table.column("datetime").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(moments.to_numpy(), dtype=np.int64)
