"""Where and when many rows are together."""

from collections.abc import Sequence
from typing import Final

from clayline.dataset.manifest import Extent
from clayline.dataset.scene_row import Box, SceneRow

_TURN: Final = 360.0
_HALF: Final = 180.0


def cover(boxes: Sequence[Box]) -> Box:
    """Give the smallest box that holds all of ``boxes``; over the antimeridian where that is shorter."""
    south, north = min(box.south for box in boxes), max(box.north for box in boxes)
    if all(box.west <= box.east for box in boxes):  # and a file of the whole world stays as people read it
        west, east = min(box.west for box in boxes), max(box.east for box in boxes)
        if east - west <= _HALF:
            return Box(west=west, south=south, east=east, north=north)
    west, east = _arc([(box.west, box.east if box.west <= box.east else box.east + _TURN) for box in boxes])
    return Box(west=west, south=south, east=east, north=north)


def extent_of(rows: Sequence[SceneRow]) -> Extent:
    """Give the extent of a part's rows, at least one."""
    box = cover([row.box for row in rows])
    return Extent(
        west=box.west,
        south=box.south,
        east=box.east,
        north=box.north,
        start=min(row.start for row in rows),
        end=max(row.end for row in rows),
    )


def _arc(spans: list[tuple[float, float]]) -> tuple[float, float]:
    """Give the longitudes of the shortest arc that holds all spans; -180 and 180 where that is the whole circle."""
    spans = sorted(spans)
    reach = max(east for _, east in spans) - _TURN  # what comes round from behind
    best, start, end = 0.0, -_HALF, _HALF
    first = spans[0][0]
    for west, east in [*spans, (first + _TURN, first + _TURN)]:
        if west - reach > best and reach > first - _TURN:
            best, start, end = west - reach, west, reach
        reach = max(reach, east)
    if best <= 0:
        return -_HALF, _HALF
    return _normal(start), _normal(end)


def _normal(longitude: float) -> float:
    return longitude if -_HALF <= longitude <= _HALF else (longitude + _HALF) % _TURN - _HALF
