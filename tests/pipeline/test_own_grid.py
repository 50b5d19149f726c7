"""A scene whose pixel size no lattice can follow keeps its own grid, and whoever reads of it is told."""

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest
from rasterio import Affine
from tests.pipeline.harness import Pipeline
from tests.pipeline.scenes import geotiff, noise, utm_grid

KEY = "cog/LC08_L1TP_224078_20200518_20200518_01_RT_field.tif"
REASON = "its pixel size, taken to a thousandth of the CRS's unit or a billionth of a degree, moves the lattice by over"


def _embedded(pipeline: Pipeline, *, gsd: float, side: int) -> tuple[dict[str, Any], list[str | None], dict[str, Any]]:
    """Embed a square scene; give its event, its cells and the grid of its provenance."""
    pixels = noise(bands=3, height=side, width=side)
    body = geotiff(pixels, crs="EPSG:32621", transform=utm_grid(gsd=gsd), nodata=None, names=("red", "green", "blue"))
    pipeline.put(KEY, body)
    pipeline.run(KEY)
    [event] = pipeline.announced()
    assert event["type"] == "SceneEmbedded", event
    [parquet] = [body for key, body in pipeline.outputs().items() if key.endswith(".parquet")]
    table = pq.read_table(io.BytesIO(parquet))
    header = pq.read_metadata(io.BytesIO(parquet)).metadata
    assert header is not None
    grid = json.loads(header[b"clayline"])["grid"]
    return event, table["cell"].to_pylist(), grid


# A pixel of 0.3004 m is 0.300 m to a millimetre: over n pixels the lattice moves by n * (0.3004 / 0.3 - 1) of them,
# 0.099 over 74 and 0.101 over 76.
@pytest.mark.parametrize(("gsd", "side"), [(0.3, 130), (0.3004, 74)])
def test_a_pixel_size_that_hardly_drifts_has_cells_and_no_warning(
    make_pipeline: Callable[..., Pipeline], gsd: float, side: int
) -> None:
    pipeline = make_pipeline(any_gsd=True)
    event, cells, grid = _embedded(pipeline, gsd=gsd, side=side)
    assert event["warnings"] == pipeline.receipt()["warnings"] == []
    assert len(set(cells)) == len(cells)
    assert all(cell and cell.startswith("utm21-c64p300-") for cell in cells)
    assert grid["lattice"]["name"] == "utm21-c64p300"


@pytest.mark.parametrize(("gsd", "side"), [(0.3004, 76), (0.0104, 70)])
def test_a_pixel_size_that_drifts_keeps_its_grid_and_says_so(
    make_pipeline: Callable[..., Pipeline], gsd: float, side: int
) -> None:
    pipeline = make_pipeline(any_gsd=True)
    event, cells, grid = _embedded(pipeline, gsd=gsd, side=side)
    assert cells == [None] * 4  # 2 x 2 chips of 64 px from the scene's corner, the last ones shifted back
    assert (grid["start"], grid["lattice"]["name"]) == ([0, 0], None)
    assert grid["lattice"]["reason"].startswith(REASON)
    [warning] = event["warnings"]
    assert warning["reason"] == "own-grid"
    assert f"s3://scenes/{KEY}" in warning["message"]
    assert REASON in warning["message"]
    assert pipeline.receipt()["warnings"] == [warning]

    pipeline.land_again(KEY)
    pipeline.run(KEY)
    [again] = pipeline.announced()
    assert (again["repeated"], again["warnings"]) == (True, [warning])


@pytest.mark.parametrize(
    ("west", "north"),
    [(0.01, 90.0), (0.01, -89.9)],
    ids=["north pole", "south pole"],
)
def test_a_scene_whose_chips_would_leave_the_globe_keeps_its_grid(
    make_pipeline: Callable[..., Pipeline], west: float, north: float
) -> None:
    """In degrees, 128 x 100 px of 0.001: on the lattice a chip at the edge would reach beyond what is a place."""
    pipeline = make_pipeline(any_gsd=True, any_pixel_shape=True)
    transform = Affine(1e-3, 0, west, 0, -1e-3, north)
    pixels = noise(bands=3, height=100, width=128)
    names = ("red", "green", "blue")
    pipeline.put(KEY, geotiff(pixels, crs="EPSG:4326", transform=transform, nodata=None, names=names))
    pipeline.run(KEY)
    [event] = pipeline.announced()
    assert (event["type"], event["counts"]["written"]) == ("SceneEmbedded", 4)
    assert event["warnings"][0]["reason"] == "own-grid"
    assert "beyond what the CRS can place" in event["warnings"][0]["message"]
