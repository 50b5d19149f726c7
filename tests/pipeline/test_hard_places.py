"""Scenes at the globe's seams: the antimeridian, the poles, zones that are no six degrees wide."""

import io
from collections.abc import Callable
from typing import Any

import mgrs
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import Transformer
from rasterio import Affine
from tests.pipeline.harness import WORK, Pipeline
from tests.pipeline.scenes import geotiff, noise

from clayline.identity import uci
from clayline.run.plan import Plan, PlannedChips
from clayline.steps.planning import Planned

KEY = "cog/LC08_L1TP_001002_20200518_x.tif"
NAMES = ("red", "green", "blue")


def land(pipeline: Pipeline, crs: str, transform: Affine, *, height: int = 100, width: int = 140) -> None:
    pixels = noise(bands=3, height=height, width=width)
    pipeline.put(KEY, geotiff(pixels, crs=crs, transform=transform, nodata=None, names=NAMES))


def planned(pipeline: Pipeline) -> tuple[Plan, PlannedChips]:
    outcome = pipeline.plan(KEY)
    assert outcome.kind is Planned.ENQUEUED, outcome.message
    plan, chips = (
        pipeline.s3.get_object(Bucket=WORK, Key=f"plans/{outcome.run}/{name}")["Body"].read()
        for name in ("plan.json", "chips.safetensors")
    )
    return Plan.model_validate_json(plan), PlannedChips.from_bytes(chips)


@pytest.mark.parametrize(
    ("crs", "lon", "lat"),
    [
        ("EPSG:32631", 5.3, 60.4),  # Bergen: zone 32 by the exception for Norway
        ("EPSG:32633", 11.0, 78.9),  # Svalbard: zone 33 from 9 to 21 degrees, no zone 32
        ("EPSG:32634", 20.9, 79.0),
        ("EPSG:32660", 179.99, -17.0),
        ("EPSG:32701", -179.99, -17.0),
        ("EPSG:32632", 9.0, 83.99),  # into UPS
        ("EPSG:32733", 15.0, -79.99),
        ("EPSG:32661", 30.0, 88.0),
        ("EPSG:5042", 30.0, -88.0),
        ("EPSG:3031", 150.0, -75.0),
        ("EPSG:3413", -45.0, 89.9),
        ("EPSG:3857", 179.999, 5.0),
        ("EPSG:3832", -179.999, 5.0),
    ],
)
def test_identifiers_are_those_of_the_chips_centres(
    make_pipeline: Callable[..., Pipeline], crs: str, lon: float, lat: float
) -> None:
    """By pyproj and the package mgrs. The scene's middle lies at the place, off all round numbers."""
    to_scene = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = (round(value) + 3.3 for value in to_scene.transform(lon, lat))
    pipeline = make_pipeline(any_gsd=True)
    land(pipeline, crs, Affine(30, 0, x - 70 * 30, 0, -30, y + 50 * 30))
    plan, chips = planned(pipeline)
    assert plan.scene.own_grid is None
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    a, _, c, _, e, f = plan.scene.transform
    assert len(chips.uci) > 3
    for index, text in enumerate(chips.uci):
        window = plan.grid.window(index)
        place = to_lonlat.transform(a * (window.col + 32) + c, e * (window.row + 32) + f)
        location = uci.parse(text).location
        assert isinstance(location, uci.Point)
        assert location.reference == mgrs.MGRS().toMGRS(place[1], place[0], MGRSPrecision=4), text
        corners = [(0, 0), (0, 64), (64, 64), (64, 0)]
        expected = [
            to_lonlat.transform(a * (window.col + right) + c, e * (window.row + down) + f) for down, right in corners
        ]
        np.testing.assert_allclose(chips.corners[index], expected, rtol=0, atol=1e-9)


DEGREES = 0.000_27
"""About 30 m."""


def degrees(west: float) -> Affine:
    return Affine(DEGREES, 0, west, 0, -DEGREES, 5.0)


def embedded(pipeline: Pipeline, **outcome: Any) -> Any:
    pipeline.run(KEY)
    [event] = pipeline.announced()
    assert event["type"] == "SceneEmbedded", event
    assert event["warnings"] == outcome.get("warnings", [])
    [body] = [body for key, body in pipeline.outputs().items() if key.endswith(".parquet")]
    return pq.read_table(io.BytesIO(body))


def test_longitudes_from_0_to_360_are_the_same_places(make_pipeline: Callable[..., Pipeline]) -> None:
    """But for cells, which are counted in the file's own degrees (docs/lattice.md)."""
    tables = []
    for west in (-170.0, 190.0):
        pipeline = make_pipeline()
        land(pipeline, "EPSG:4326", degrees(west), height=64, width=64)
        tables.append(embedded(pipeline))
    here, there = tables
    assert here.num_rows == there.num_rows
    shapes = [shapely.from_wkb(table["geometry"].to_pylist()) for table in tables]
    for table, found in zip(tables, shapes, strict=True):
        assert all(-170.1 < shape.bounds[0] < shape.bounds[2] < -169.9 for shape in found), table


@pytest.mark.parametrize("west", [180 - 40 * DEGREES, 180 - 20 * DEGREES, -180.0, 180.0])
def test_a_scene_that_ends_at_or_goes_over_180_degrees(make_pipeline: Callable[..., Pipeline], west: float) -> None:
    """40 px wide, so that its chips of 64 reach beyond: their footprints are cut at the line."""
    pipeline = make_pipeline()
    land(pipeline, "EPSG:4326", degrees(west), height=64, width=40)
    table = embedded(pipeline)
    assert all(table["cell"].to_pylist())
    shapes = shapely.from_wkb(table["geometry"].to_pylist())
    assert all(shape.is_valid for shape in shapes)
    # Each is as large as a chip, wherever its parts lie, and all lie near the line.
    for shape in shapes:
        assert shape.area == pytest.approx((64 * DEGREES) ** 2, rel=1e-6)
        for part in shapely.get_parts(shape):
            assert 180 - max(abs(part.bounds[0]), abs(part.bounds[2])) < 130 * DEGREES
    crossing = [shape for shape in shapes if shape.geom_type == "MultiPolygon"]
    assert crossing or west in {-180.0, 180.0}
