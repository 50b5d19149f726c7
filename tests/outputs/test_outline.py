"""The outline of a scene against its chips: valid, and exactly what they cover, wherever on the globe."""

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import shape

from clayline.outputs.footprints import footprints
from clayline.outputs.outline import outline


def grid(crs: str, west: float, top: float, *, side: float, rows: int, cols: int) -> NDArray[np.float64]:
    """Give the corners [rows * cols, 4, 2] of square chips, by pyproj."""
    to_lonlat = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    row, col = np.divmod(np.arange(rows * cols), cols)
    around = [(0, 0), (0, 1), (1, 1), (1, 0)]
    corners = [to_lonlat.transform(west + (col + right) * side, top - (row + down) * side) for down, right in around]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


CASES = {
    "plain": ("EPSG:32621", 600_000.0, 7_300_000.0, 19_200.0, 4, 5, "Polygon"),
    "over-the-antimeridian": ("EPSG:32660", 633_600.0, 7_104_000.0, 19_200.0, 3, 4, "MultiPolygon"),
    "up-to-the-antimeridian": ("EPSG:4326", 176.0, 10.0, 1.0, 3, 4, "Polygon"),
    "both-sides-of-the-antimeridian": ("EPSG:3857", 0.0, 1_000_000.0, 20_037_508.342789244 / 2, 1, 2, "Polygon"),
    "around-a-pole": ("EPSG:5041", 1_981_000.0, 2_019_000.0, 9_600.0, 4, 4, "Polygon"),
    "around-the-other-pole": ("EPSG:3031", -19_000.0, 19_000.0, 9_600.0, 4, 4, "Polygon"),
    "the-whole-globe": ("EPSG:4326", -180.0, 90.0, 45.0, 4, 8, "Polygon"),
    "a-belt-around-the-globe": ("EPSG:4326", -180.0, 45.0, 45.0, 2, 8, "Polygon"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_outline_is_valid_and_what_the_chips_cover(case: tuple[str, float, float, float, int, int, str]) -> None:
    crs, west, top, side, rows, cols, kind = case
    corners = grid(crs, west, top, side=side, rows=rows, cols=cols)
    geometry, bbox = outline(corners, rows=rows, cols=cols)
    found = shape(geometry)
    chips = shapely.union_all(shapely.from_wkb(footprints(corners, ["a chip"] * len(corners)).wkb))
    assert found.is_valid, shapely.is_valid_reason(found)
    assert geometry["type"] == kind
    assert found.symmetric_difference(chips).area < 1e-9 * chips.area
    assert bbox[1] == found.bounds[1]
    assert bbox[3] == found.bounds[3]
    parts = shapely.get_parts(found)
    assert all(part.exterior.is_ccw for part in parts)
    if kind == "MultiPolygon":
        assert bbox[0] > bbox[2]
        west = max(part.bounds[0] for part in parts)
        assert (bbox[0], bbox[2]) == pytest.approx((west, min(part.bounds[2] for part in parts)), abs=1e-12)
    else:
        assert (bbox[0], bbox[2]) == (found.bounds[0], found.bounds[2])


def test_an_outline_follows_every_outer_chip() -> None:
    """A straight edge of the scene's CRS is none in longitude and latitude."""
    corners = grid("EPSG:32621", 600_000.0, 7_300_000.0, side=19_200.0, rows=4, cols=5)
    geometry, _ = outline(corners, rows=4, cols=5)
    [ring] = geometry["coordinates"]
    assert ring[0] == ring[-1]
    assert len(ring) == 1 + 2 * (4 + 5)
    assert {tuple(point) for point in ring} <= {tuple(point) for point in corners.reshape(-1, 2).tolist()}
