"""A scene's pixels as they are on the ground, whatever the map says of them."""

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyproj import Geod, Transformer
from rasterio import Affine
from tests.pipeline.harness import Pipeline
from tests.pipeline.scenes import geotiff, noise

from clayline.identity import uci
from clayline.place import Place
from clayline.steps.planning import Planned

KEY = "cog/LC08_L1TP_001002_20200518_x.tif"
NAMES = ("red", "green", "blue")


def scene(crs: str, transform: Affine) -> bytes:
    return geotiff(noise(bands=3, height=64, width=64), crs=crs, transform=transform, nodata=None, names=NAMES)


def provenance(pipeline: Pipeline) -> dict[str, Any]:
    [body] = [body for key, body in pipeline.outputs().items() if key.endswith(".parquet")]
    header = pq.read_metadata(io.BytesIO(body)).metadata
    assert header is not None
    content: dict[str, Any] = json.loads(header[b"clayline"])
    return content


@pytest.mark.parametrize(
    ("place", "words"), [(Place.AWS, "the stack's parameter AnyPixelShape"), (Place.CLI, "--any-pixel-shape")]
)
def test_pixels_of_two_to_one_are_refused_with_the_remedy(
    make_pipeline: Callable[..., Pipeline], place: Place, words: str
) -> None:
    pipeline = make_pipeline(place=place)
    pipeline.put(KEY, scene("EPSG:32621", Affine(42.4264, 0, 399_960, 0, -21.2132, 5_000_040)))
    assert pipeline.plan(KEY).kind is Planned.FAILED
    receipt = pipeline.receipt()
    assert receipt["reason"] == "not-square"
    assert "42.4" in receipt["message"]
    assert "21.2" in receipt["message"]
    assert receipt["message"].endswith(f"or allow it with {words}.")


def test_pixels_of_two_to_one_that_are_allowed_are_warned_of_and_recorded(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = make_pipeline(any_pixel_shape=True)
    pipeline.put(KEY, scene("EPSG:32621", Affine(42.4264, 0, 399_960, 0, -21.2132, 5_000_040)))
    pipeline.run(KEY)
    [event] = pipeline.announced()
    [warning] = event["warnings"]
    assert (event["type"], warning["reason"]) == ("SceneEmbedded", "not-square")
    assert pipeline.receipt()["warnings"] == event["warnings"]
    found = provenance(pipeline)
    assert found["options"]["any_pixel_shape"] is True
    pixel = found["grid"]["pixel"]
    assert pixel["width_m"] / pixel["height_m"] == pytest.approx(2, rel=1e-4)
    assert pixel["angle"] == pytest.approx(90, abs=0.01)
    assert found["grid"]["gsd"] == pytest.approx(30, rel=1e-6)


def test_web_mercator_at_60_degrees_has_the_grounds_gsd(make_pipeline: Callable[..., Pipeline]) -> None:
    """60 m on the map are what a model of 30 m knows, and 30 m on the map are not."""
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(10.0, 60.0)
    pipeline = make_pipeline()
    pipeline.put(KEY, scene("EPSG:3857", Affine(30, 0, x, 0, -30, y)))
    assert pipeline.plan(KEY).kind is Planned.FAILED
    assert pipeline.receipt()["reason"] == "wrong-gsd"
    pipeline = make_pipeline()
    pipeline.put(KEY, scene("EPSG:3857", Affine(60, 0, x, 0, -60, y)))
    pipeline.run(KEY)
    [event] = pipeline.announced()
    assert (event["type"], event["warnings"]) == ("SceneEmbedded", [])
    to_lonlat = Transformer.from_crs("EPSG:3857", "EPSG:4326", always_xy=True)
    middle = x + 32 * 60, y - 32 * 60
    west, east = to_lonlat.transform(middle[0] - 30, middle[1]), to_lonlat.transform(middle[0] + 30, middle[1])
    north, south = to_lonlat.transform(middle[0], middle[1] + 30), to_lonlat.transform(middle[0], middle[1] - 30)
    geod = Geod(ellps="WGS84")
    sides = geod.inv(*west, *east)[2], geod.inv(*north, *south)[2]
    gsd = (sides[0] * sides[1]) ** 0.5
    assert provenance(pipeline)["grid"]["gsd"] == pytest.approx(gsd, rel=1e-6)
    identifiers = [chip["uci"] for chip in pipeline.receipt()["chips"]]
    assert {uci.parse(text).location.gsd_mm for text in identifiers} == {round(gsd * 1000)}
