"""Footprints of chips: polygons in longitude and latitude, as well-known binary.

Plan checks with it that each can be made, collect writes them.

Vertices are the chip's own corners, edges are straight in longitude and latitude. What crosses the antimeridian is cut
there (RFC 7946, 3.1.9), what encloses a pole is closed along the antimeridian and the pole. GEOS judges, turns, cuts
and encodes; ours is only what a plane cannot know: which way round the globe an edge runs, and what a pole is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import shapely
from numpy.typing import NDArray

from clayline.errors import SceneError

_GLOBE = shapely.box(-180, -90, 180, 90)
_COUNTER_CLOCKWISE = [0, 3, 2, 1]
_ON_LINE = 1e-9
"""Degrees, a tenth of a millimetre: nearer to the antimeridian or a pole is on it."""
_NO_POLYGON = "its corners make no polygon"


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
    special = (np.ptp(lon, axis=1) >= 180) | (np.abs(lat).max(axis=1) >= 90 - _ON_LINE)  # noqa: PLR2004 - degrees
    polygons = shapely.polygons(corners[:, _COUNTER_CLOCKWISE])
    _require(special | shapely.is_valid(polygons), uci, _NO_POLYGON)
    spans = np.stack([lon.min(axis=1), lon.max(axis=1)], axis=1)
    for chip in np.flatnonzero(special).tolist():
        polygons[chip], spans[chip] = _on_the_globe(corners[chip, _COUNTER_CLOCKWISE], uci[chip])
    polygons = shapely.orient_polygons(polygons)
    return Footprints(
        wkb=shapely.to_wkb(polygons, byte_order=1).tolist(),
        bounds=shapely.bounds(polygons),
        spans=spans,
        cut=shapely.get_type_id(polygons) == shapely.GeometryType.MULTIPOLYGON,
    )


def longitudes_over_the_antimeridian(geometry: bytes) -> tuple[float, float]:
    """Give the least and the greatest longitude of a footprint (WKB) that was cut there, 0 to 360 degrees."""
    lon = shapely.get_coordinates(shapely.from_wkb(geometry))[:, 0]
    lon = np.where(lon < 0, lon + 360, lon)
    return float(lon.min()), float(lon.max())


def _require(good: NDArray[np.bool_], uci: Sequence[str], what: str) -> None:
    if not good.all():
        _refuse(uci[int(np.argmin(good))], what)


def _refuse(uci: str, what: str) -> NoReturn:
    msg = f"chip {uci}: {what}; check the scene's CRS and geotransform"
    raise SceneError(msg, reason="bad-footprint")


def _on_the_globe(corners: NDArray[np.float64], uci: str) -> tuple[shapely.Geometry, tuple[float, float]]:
    """Give the polygon of a chip at the antimeridian or a pole, corners [4, 2], and its western and eastern longitude
    going east.
    """
    path = _unwrapped(_beside_poles(corners), uci)
    west, east = path[:, 0].min(), path[:, 0].max()
    first, last = np.floor((np.array([west, east]) + 180) / 360)  # one on the antimeridian counts to its east
    turns, span = np.arange(first, last + 1), (west - 360 * first, east - 360 * first)
    if winding := np.round((path[-1, 0] - path[0, 0]) / 360):
        path, turns, span = _closed_over_pole(path, winding), np.zeros(1), (-180.0, 180.0)
    if not shapely.is_valid(shapely.polygons(path)):
        _refuse(uci, _NO_POLYGON)
    turned = shapely.polygons(path - turns[:, None, None] * [360, 0])
    parts = shapely.get_parts(shapely.intersection(turned, _GLOBE))
    parts = parts[shapely.area(parts) > 0]  # what only touches the antimeridian leaves a line or a point beyond it
    return (parts[0] if len(parts) == 1 else shapely.multipolygons(parts)), span


def _beside_poles(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each corner twice, [8, 2]: as the edge before it and as the edge after it sees it.

    They differ at a pole, where a corner's longitude means nothing: there an edge goes along its other end's meridian.
    An edge along the pole keeps its own two.
    """
    lon, lat = corners.T
    polar = np.abs(lat) >= 90 - _ON_LINE
    before, after = (np.where(polar & ~np.roll(polar, step), np.roll(lon, step), lon) for step in (1, -1))
    lat = np.where(polar, np.copysign(90, lat), lat)
    return np.stack([before, lat, after, lat], axis=1).reshape(-1, 2)


def _unwrapped(ring: NDArray[np.float64], uci: str) -> NDArray[np.float64]:
    """Close a ring and lay its longitudes side by side, beyond 180 if need be, so that neighbours differ by less than
    half a turn.
    """
    path = np.concatenate([ring, ring[:1]])
    steps = np.diff(path[:, 0])
    turns = np.round(steps / 360)
    if np.abs(steps - 360 * turns).max() >= 180 - _ON_LINE:
        _refuse(uci, "one of its edges runs over a pole")
    path[1:, 0] -= 360 * turns.cumsum()
    line = 360 * np.round((path[:, 0] - 180) / 360) + 180
    path[:, 0] = np.where(np.abs(path[:, 0] - line) < _ON_LINE, line, path[:, 0])
    return path


def _closed_over_pole(path: NDArray[np.float64], winding: float) -> NDArray[np.float64]:
    """Close a path that goes once around a pole along the pole.

    Three rounds of it, so that the globe cuts both ends off, wherever the path begins.
    """
    rounds = np.concatenate([path[:-1] + np.array([360 * winding * turn, 0]) for turn in (-1, 0, 1)])
    pole = np.copysign(90, path[:, 1].sum())
    return np.concatenate([rounds, [[rounds[-1, 0], pole], [rounds[0, 0], pole]]])
