"""Scenes that their platform cannot have taken: before its launch, or after its last image."""

import json
from collections.abc import Callable
from datetime import date

import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline
from tests.scene.stac import asset, item

from clayline.errors import SceneError, SensorFileError
from clayline.scene.acquisition import from_cog
from clayline.scene.lifetime import check_lifetime
from clayline.scene.recognition import products
from clayline.scene.sensor_file import read_sensor
from clayline.steps.planning import Planned

NAMES = ("red", "green", "blue")


def body(gsd: float = 30.0) -> bytes:
    pixels = scenes.noise(bands=3, height=64, width=64)
    return scenes.geotiff(pixels, crs="EPSG:32621", transform=scenes.utm_grid(gsd=gsd), nodata=0, names=NAMES)


def test_a_file_that_is_called_oli_and_is_older_is_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    """A sensor named outright was OLI, whatever the date."""
    pipeline = make_pipeline(model={"sensor": "landsat-c2l2-sr"})
    pipeline.put("cog/field.tif", body(), sensor="landsat-c2l2-sr", datetime="2010-07-01")
    assert pipeline.plan("cog/field.tif").kind is Planned.FAILED
    [event] = pipeline.announced()
    assert event["reason"] == "ambiguous-sensor"
    assert (
        "it was taken on 2010-07-01 (object-metadata), and landsat, of landsat-oli-c2l2, flies since 2013-02-11."
        in event["message"]
    )
    assert (
        "name the product that it is of (landsat-etm-c2l2, landsat-tm-c2l2) as the object's metadata `sensor`"
        in event["message"]
    )


def test_the_product_that_it_says_is_believed(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline(model={"sensor": "landsat-c2l2-sr"}, untrained_sensors=True)
    pipeline.put("cog/field.tif", body(), sensor="landsat-etm-c2l2", datetime="2010-07-01")
    outcome = pipeline.plan("cog/field.tif")
    assert outcome.kind is Planned.ENQUEUED, outcome.message


def test_an_item_of_a_platform_that_did_not_fly_yet_is_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline(model={"sensor": "sentinel-2-l2a", "gsd": 10.0})
    name = "S2B_MSIL2A_20160601T103031_N0500_R108_T21JYN_20230601T101112"
    listed = {"eo:bands": [{"name": band} for band in NAMES]}
    content = item({"data": asset("./all.tif", **listed)}, identity=name, datetime="2016-06-01T10:30:31Z")
    pipeline.put("scene/all.tif", body(10.0))
    pipeline.put("scene/item.json", json.dumps(content).encode())
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    [event] = pipeline.announced()
    assert event["reason"] == "ambiguous-sensor"
    assert "on 2016-06-01 (item:datetime), and s2b, of sentinel-2-l2a, flies since 2017-03-07." in event["message"]


@pytest.mark.parametrize(
    ("product", "platform", "day", "told"),
    [
        ("landsat-oli-c2l2", "landsat-8", "2013-02-10", "landsat8, of landsat-oli-c2l2, flies since 2013-02-11"),
        ("landsat-oli-c2l2", "landsat-8", "2013-02-11", None),
        ("landsat-oli-l1", "landsat-9", "2020-05-18", "landsat9"),
        ("landsat-tm-l1", "landsat-5", "2013-06-05", None),
        ("landsat-tm-l1", "landsat-5", "2013-06-06", "flew from 1984-03-01 to 2013-06-05"),
        ("landsat-etm-c2l2", "landsat-7", "1999-04-14", "landsat7"),
        ("sentinel-1-rtc", "sentinel-1b", "2022-01-01", "flew from 2016-04-25 to 2021-12-23"),
        ("sentinel-2-l2a", "a mosaic", "2015-06-22", "s2, of sentinel-2-l2a"),
        ("modis-09a1", "aqua", "2001-01-01", "aqua"),
        ("naip", "", "1999-01-01", None),
    ],
)
def test_when_platforms_flew(product: str, platform: str, day: str, told: str | None) -> None:
    known = next(each for each in products() if each.name == product)
    acquired = from_cog(scene="x", metadata={"datetime": day}, file_name="", tags={}, tiff_datetime=False)
    if told is None:
        check_lifetime("x", known, platform, acquired, products())
        return
    with pytest.raises(SceneError, match=told) as caught:
        check_lifetime("x", known, platform, acquired, products())
    assert caught.value.reason == "ambiguous-sensor"


KITE = """
sensor: kite
gsd: 1
bands: [{{name: red, mean: 1, std: 1, wavelength: 0.6}}]
products:
  - {{name: kites, collections: [], platforms: [{{pattern: '', token: kite, since: {since}, until: 2020-01-01}}]}}
"""


def test_a_sensor_of_ones_own_may_say_when_it_flew() -> None:
    [product] = read_sensor(KITE.format(since="2019-01-01").encode(), source="kite.yaml").products
    assert product.platforms[0].since == date(2019, 1, 1)
    with pytest.raises(SensorFileError, match="it ends 2020-01-01, before it begins 2021-01-01"):
        read_sensor(KITE.format(since="2021-01-01").encode(), source="kite.yaml")
