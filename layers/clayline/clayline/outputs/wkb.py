"""Footprints of chips as well-known binary, made with numpy alone.

Plan checks with it that each can be made, collect writes them.

Vertices are the chip's own corners, edges are straight in longitude and latitude. What crosses the antimeridian is cut
there (RFC 7946, 3.1.9), what encloses a pole is closed along the antimeridian and the pole.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from clayline.errors import SceneError

_POLYGON, _MULTIPOLYGON = 3, 6
_WKB_RECTANGLE = np.dtype(
    [("order", "u1"), ("type", "<u4"), ("rings", "<u4"), ("points", "<u4"), ("ring", "<f8", (5, 2))]
)
_COUNTER_CLOCKWISE = [0, 3, 2, 1, 0]
_ON_LINE = 1e-9
"""Degrees, a tenth of a millimetre: nearer to the antimeridian or a pole is on it."""

type Ring = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprints:
    """Footprints of n chips."""

    wkb: list[bytes]
    """Polygon or MultiPolygon, exterior rings counter-clockwise and closed."""
    bounds: NDArray[np.float64]
    """[n, 4], xmin, ymin, xmax, ymax of the coordinates: a footprint that is cut at the antimeridian ranges from -180
    to 180."""
    spans: NDArray[np.float64]
    """[n, 2], western and eastern longitude going east: beyond 180 where the antimeridian is crossed."""
    cut: NDArray[np.bool_]
    """[n], whether the footprint is a MultiPolygon, cut at the antimeridian."""


def footprints(corners: NDArray[np.float64], uci: Sequence[str]) -> Footprints:
    """Make footprints of ``corners`` [n, 4, 2], longitude and latitude in degrees of upper-left, upper-right,
    lower-right, lower-left.

    Mirrored scenes are turned. Raises SceneError (``bad-footprint``) naming the chip by its ``uci`` where corners are
    not finite, not on the globe, make no simple polygon, or an edge runs over a pole.
    """
    lon, lat = corners[..., 0], corners[..., 1]
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(corners).all(axis=(1, 2))
        on_globe = finite & (np.abs(lon) <= 180).all(axis=1) & (np.abs(lat) <= 90).all(axis=1)  # noqa: PLR2004 - the globe
    _require(on_globe, uci, "its corners are not on the globe")
    bounds = np.stack([lon.min(axis=1), lat.min(axis=1), lon.max(axis=1), lat.max(axis=1)], axis=1)
    spans = bounds[:, [0, 2]].copy()
    cut = np.zeros(len(corners), dtype=np.bool_)
    special = (bounds[:, 2] - bounds[:, 0] >= 180) | (np.abs(lat).max(axis=1) >= 90 - _ON_LINE)  # noqa: PLR2004 - degrees
    _require(special | _is_simple(corners), uci, "its corners make no polygon")
    wkb = _quadrilaterals(corners)
    for chip in np.flatnonzero(special).tolist():
        rings, span = _rings([(float(x), float(y)) for x, y in corners[chip]], uci[chip])
        wkb[chip] = _polygons(rings)
        vertices = np.array([vertex for ring in rings for vertex in ring])
        bounds[chip] = [*vertices.min(axis=0), *vertices.max(axis=0)]
        spans[chip] = span
        cut[chip] = len(rings) > 1
    return Footprints(wkb=wkb, bounds=bounds, spans=spans, cut=cut)


def _require(good: NDArray[np.bool_], uci: Sequence[str], what: str) -> None:
    if not good.all():
        _refuse(uci[int(np.argmin(good))], what)


def _refuse(uci: str, what: str) -> NoReturn:
    msg = f"chip {uci}: {what}; check the scene's CRS and geotransform"
    raise SceneError(msg, reason="bad-footprint")


def _turn(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the signed area of the triangles a, b, c, each [n, 2]: positive where they turn left."""
    result: NDArray[np.float64] = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    return result


def _is_simple(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which quadrilaterals [n, 4, 2] are simple: a diagonal splits them into two triangles of one turn."""
    a, b, c, d = (corners[:, i] for i in range(4))
    first, second = _turn(a, b, c) * _turn(a, c, d), _turn(b, c, d) * _turn(b, d, a)
    return (first > 0) | (second > 0)


def _quadrilaterals(corners: NDArray[np.float64]) -> list[bytes]:
    """Encode quadrilaterals [n, 4, 2] that lie on one side of the antimeridian."""
    rings = corners[:, _COUNTER_CLOCKWISE]
    area = _turn(corners[:, 0], corners[:, 3], corners[:, 2]) + _turn(corners[:, 0], corners[:, 2], corners[:, 1])
    rings = np.where((area < 0)[:, None, None], rings[:, ::-1], rings)
    records = np.empty(len(corners), dtype=_WKB_RECTANGLE)
    records["order"], records["type"], records["rings"], records["points"], records["ring"] = 1, _POLYGON, 1, 5, rings
    data = records.tobytes()
    size = _WKB_RECTANGLE.itemsize
    return [data[at : at + size] for at in range(0, len(data), size)]


def _polygons(rings: list[Ring]) -> bytes:
    polygons = []
    for ring in rings:
        closed = [*ring, ring[0]]
        coordinates = [value for vertex in closed for value in vertex]
        polygons.append(struct.pack(f"<BIII{len(coordinates)}d", 1, _POLYGON, 1, len(closed), *coordinates))
    return (
        polygons[0] if len(polygons) == 1 else struct.pack("<BII", 1, _MULTIPOLYGON, len(polygons)) + b"".join(polygons)
    )


def _rings(corners: Ring, uci: str) -> tuple[list[Ring], tuple[float, float]]:
    """Give the exterior rings of a chip at the antimeridian or a pole, and its western and eastern longitude going
    east.
    """
    ring = _unwrapped(_beside_poles(corners), uci)
    winding = round((ring[-1][0] + _eastward(ring[-1][0], ring[0][0]) - ring[0][0]) / 360)
    if winding:
        return [_oriented(_around_pole(ring, winding, uci))], (-180.0, 180.0)
    if len(ring) == len(corners) and not _is_simple(np.array([ring])).all():
        _refuse(uci, "its corners make no polygon")
    west, east = min(x for x, _ in ring), max(x for x, _ in ring)
    parts = []
    for turn in range(_turns(west), _turns(east) + 1):
        middle = 360.0 * turn
        part = _clipped(_clipped(ring, middle - 180, 1, uci), middle + 180, -1, uci)
        if part and _area(part) != 0:
            parts.append(_oriented([(x - middle, y) for x, y in part]))
    if not parts:
        _refuse(uci, "its corners make no polygon")
    middle = 360.0 * _turns(west)
    return parts, (west - middle, east - middle)


def _beside_poles(corners: Ring) -> Ring:
    """Replace a corner on a pole, whose longitude means nothing, by the pole at its two neighbours' longitudes."""
    ring: Ring = []
    for at, (x, y) in enumerate(corners):
        if abs(y) < 90 - _ON_LINE:
            ring.append((x, y))
        else:
            pole = 90.0 if y > 0 else -90.0
            ring += [(corners[at - 1][0], pole), (corners[(at + 1) % len(corners)][0], pole)]
    return ring


def _eastward(start: float, end: float) -> float:
    """Degrees from one longitude to another by the shorter way, -180 to 180."""
    return (end - start + 180) % 360 - 180


def _turns(longitude: float) -> int:
    """Count the times that the antimeridian was crossed to get to an unwrapped longitude.

    One on it counts to its east.
    """
    return int((longitude + 180) // 360)


def _unwrapped(ring: Ring, uci: str) -> Ring:
    """Lay longitudes side by side, beyond 180 if need be, so that neighbours differ by less than half a turn."""
    steps = [_eastward(a[0], b[0]) for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)]
    if max(abs(step) for step in steps) >= 180 - _ON_LINE:
        _refuse(uci, "one of its edges runs over a pole")
    longitudes = [ring[0][0], *(ring[0][0] + total for total in np.cumsum(steps[:-1]).tolist())]
    return [(_snapped(x), y) for x, (_, y) in zip(longitudes, ring, strict=True)]


def _snapped(longitude: float) -> float:
    line = 360.0 * round((longitude - 180) / 360) + 180
    return line if abs(longitude - line) < _ON_LINE else longitude


def _around_pole(ring: Ring, winding: int, uci: str) -> Ring:
    """Close a ring that goes once around a pole along the antimeridian and the pole."""
    round_trip = 360.0 * winding
    path = [*ring, (ring[0][0] + round_trip, ring[0][1])]
    crossed = [at for at in range(len(ring)) if _turns(path[at][0]) != _turns(path[at + 1][0])]
    if len(crossed) != 1:
        _refuse(uci, "its edges turn back on their way around a pole")
    at = crossed[0]
    line = 360.0 * max(_turns(path[at][0]), _turns(path[at + 1][0])) - 180
    latitude = _latitude_at(path[at], path[at + 1], line)
    tour = [
        (line, latitude),
        *path[at + 1 : -1],
        *((x + round_trip, y) for x, y in path[: at + 1]),
        (line + round_trip, latitude),
    ]
    distinct = [vertex for before, vertex in zip([None, *tour], tour, strict=False) if vertex != before]
    pole = 90.0 if sum(y for _, y in ring) > 0 else -90.0
    shift = min(line, line + round_trip) + 180
    return [(x - shift, y) for x, y in [*distinct, (line + round_trip, pole), (line, pole)]]


def _latitude_at(a: tuple[float, float], b: tuple[float, float], longitude: float) -> float:
    return b[1] if longitude == b[0] else a[1] + (b[1] - a[1]) * (longitude - a[0]) / (b[0] - a[0])


def _clipped(ring: Ring, line: float, side: int, uci: str) -> Ring:
    """Keep what lies east (``side`` 1) or west (-1) of a meridian (Sutherland and Hodgman 1974; right for at most two
    crossings).
    """
    offsets = [side * (x - line) for x, _ in ring]
    kept: Ring = []
    crossings = 0
    for at, vertex in enumerate(ring):
        before, here = offsets[at - 1], offsets[at]
        if before * here < 0:
            crossings += 1
            kept.append((line, _latitude_at(ring[at - 1], vertex, line)))
        if here >= 0:
            kept.append(vertex)
    if crossings > 2:  # noqa: PLR2004 - in and out
        _refuse(uci, "its edges cross the antimeridian more than twice")
    return kept


def _area(ring: Ring) -> float:
    """Signed area in square degrees, positive if counter-clockwise.

    From the first vertex, so that a ring without width gives exactly 0.
    """
    x0, y0 = ring[0]
    return (
        sum(
            (a[0] - x0) * (b[1] - y0) - (b[0] - x0) * (a[1] - y0)
            for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)
        )
        / 2
    )


def _oriented(ring: Ring) -> Ring:
    return ring if _area(ring) > 0 else ring[::-1]
