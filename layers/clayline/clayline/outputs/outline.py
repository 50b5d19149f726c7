"""The outline of a scene's chips together, for its STAC Item."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from clayline.outputs.extent import Extent
from clayline.outputs.footprints import footprints

_HALF_TURN = 180.0
_POLE = 90.0


def outline(corners: NDArray[np.float64], *, rows: int, cols: int) -> tuple[Mapping[str, Any], list[float]]:
    """Give GeoJSON geometry and bbox of a grid of chips with ``corners`` [rows * cols, 4, 2], degrees.

    The ring follows every outer chip, because a straight edge of the scene's CRS is none in longitude and latitude. A
    scene over the antimeridian is a MultiPolygon that is cut there, and its bbox has west > east (RFC 7946, 3.1.9 and
    5.2); one that holds a pole reaches it at every longitude.
    """
    chips = corners.reshape(rows, cols, 4, 2)
    down, right, up, left = chips[:, 0, 3], chips[-1, :, 2], chips[::-1, -1, 1], chips[0, ::-1, 0]
    ring = np.concatenate([chips[:1, 0, 0], down, right, up, left])
    if np.ptp(corners[..., 0]) < _HALF_TURN and np.abs(corners[..., 1]).max() < _POLE:
        box = [*ring.min(axis=0).tolist(), *ring.max(axis=0).tolist()]
        return {"type": "Polygon", "coordinates": [ring.tolist()]}, box
    shapes = footprints(corners, ["a chip"] * len(corners))  # plan has tried them, with their names
    extent = Extent()
    extent.add(shapes)
    together = shapely.orient_polygons(shapely.union_all(shapely.from_wkb(shapes.wkb)))
    geometry: dict[str, Any] = json.loads(shapely.to_geojson(together))
    return geometry, extent.bbox


def geometry_wkb(geometry: Mapping[str, Any]) -> bytes:
    """Give a GeoJSON geometry as WKB. Raises ValueError for what is none."""
    try:
        wkb: bytes = shapely.to_wkb(shapely.from_geojson(json.dumps(geometry)), byte_order=1, output_dimension=2)
    except shapely.errors.GEOSException as error:
        msg = f"no GeoJSON geometry: {error}"
        raise ValueError(msg) from error
    return wkb


def geojson_of(wkb: bytes, *, decimals: int) -> dict[str, Any]:
    """Give a well-known binary as GeoJSON has it, its degrees rounded. Raises ValueError for what is none."""
    try:
        geometry = shapely.from_wkb(wkb)
    except (shapely.errors.GEOSException, TypeError) as error:
        msg = f"no well-known binary: {error}"
        raise ValueError(msg) from error
    rounded = shapely.transform(geometry, lambda lonlat: np.round(lonlat, decimals))
    found: dict[str, Any] = json.loads(shapely.to_geojson(rounded))
    return found
