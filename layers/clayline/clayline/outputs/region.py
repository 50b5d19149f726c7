"""Where something is asked for: boxes or points, and which footprints meet them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray

_HALF = 180.0
"""Degrees."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """n boxes or points, degrees, none of which crosses the antimeridian."""

    bounds: NDArray[np.float64]
    """[n, 4]: west, south, east, north."""
    tree: shapely.STRtree
    """Of them."""

    @classmethod
    def of_boxes(cls, boxes: Sequence[Sequence[float]]) -> Self:
        """Take west, south, east, north of each."""
        bounds = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        return cls(bounds=bounds, tree=shapely.STRtree(shapely.box(*bounds.T)))

    @classmethod
    def of_points(cls, places: Sequence[Sequence[float]]) -> Self:
        """Take longitude and latitude of each."""
        lonlat = np.array(places, dtype=np.float64).reshape(-1, 2)
        return cls(bounds=np.hstack([lonlat, lonlat]), tree=shapely.STRtree(shapely.points(lonlat)))

    def overlaps(self, bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say of each of ``bounds`` [m, 4] whether any of these lies in it or over it: [m]."""
        found = np.zeros(len(bounds), dtype=np.bool_)
        found[np.unique(self.tree.query(shapely.box(*bounds.T), predicate="intersects")[0])] = True
        return found

    def holds(self, bounds: NDArray[np.float64]) -> bool:
        """Say whether one of these has all of a west, south, east and north in it."""
        inside = (self.bounds[:, :2] <= bounds[:2]).all(axis=1) & (self.bounds[:, 2:] >= bounds[2:]).all(axis=1)
        return bool(inside.any())

    def meeting(self, wkb: Sequence[bytes | None]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give the pairs of a footprint and one of these that have a point in common: numbers of both, by footprint.

        Raises ValueError for a footprint that is none.
        """
        footprints = shapely.from_wkb(np.array(wkb, dtype=object), on_invalid="ignore")
        if shapely.is_missing(footprints).any():
            at = int(np.argmax(shapely.is_missing(footprints)))
            msg = f"the geometry of row {at} is no well-known binary"
            raise ValueError(msg)
        rows, shapes = self.tree.query(footprints, predicate="intersects")
        order = np.lexsort([shapes, rows])
        return rows[order], shapes[order]


def lonlat_of(wkb: Sequence[bytes | None]) -> NDArray[np.float64]:
    """Give longitude and latitude of points: [n, 2]. Raises ValueError, naming the row that is no point."""
    found = shapely.from_wkb(np.array(wkb, dtype=object), on_invalid="ignore")
    kinds = shapely.get_type_id(found)
    if (kinds != shapely.GeometryType.POINT.value).any():
        msg = f"row {int(np.argmax(kinds != 0))} is no point"
        raise ValueError(msg)
    return np.stack([shapely.get_x(found), shapely.get_y(found)], axis=1)


def centres_of(wkb: Sequence[bytes]) -> NDArray[np.float64]:
    """Give longitude and latitude of footprints' centres: [n, 2], also of those that are cut at the antimeridian."""
    footprints = shapely.from_wkb(np.array(wkb, dtype=object))
    cut = shapely.get_type_id(footprints) == shapely.GeometryType.MULTIPOLYGON.value
    if cut.any():
        footprints[cut] = shapely.transform(footprints[cut], _turned)
    found = shapely.centroid(footprints)
    lons = shapely.get_x(found)
    return np.stack([np.where(lons > _HALF, lons - 2 * _HALF, lons), shapely.get_y(found)], axis=1)


def bounds_of(wkb: Sequence[bytes]) -> NDArray[np.float64]:
    """Give west, south, east, north of footprints' coordinates: [n, 4]."""
    return np.asarray(shapely.bounds(shapely.from_wkb(np.array(wkb, dtype=object))), np.float64).reshape(-1, 4)


def outline_of(boxes: Sequence[Sequence[float]]) -> bytes:
    """Give boxes (west, south, east, north) as one footprint, WKB."""
    found = [shapely.box(*box) for box in boxes]
    return bytes(shapely.to_wkb(found[0] if len(found) == 1 else shapely.multipolygons(found)))


def _turned(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.where(places[:, 0] < 0, places[:, 0] + 2 * _HALF, places[:, 0]), places[:, 1]], axis=1)
