"""Instruments that the model was not trained on, several sizes of a band, and bands that nobody recognised."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline
from tests.server.model_folders import build_chained_folder

from clayline.scene.sensor_file import known_with
from clayline.steps.planning import Planned

TM = {"SR_B1.TIF": "blue", "SR_B2.TIF": "green", "SR_B3.TIF": "red", "SR_B4.TIF": "nir08"}


def _band(seed: int, *, gsd: float, side: int = 64) -> bytes:
    pixels = scenes.noise(bands=1, height=side, width=side, seed=seed)
    return scenes.geotiff(pixels, crs="EPSG:32621", transform=scenes.utm_grid(gsd=gsd), nodata=0)


def _land(pipeline: Pipeline, files: Mapping[str, bytes], assets: Mapping[str, Any], **changes: Any) -> None:
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "a scene",
        "properties": {"datetime": "2020-01-09T16:13:46Z"} | changes.pop("properties", {}),
        "geometry": None,
        "links": [],
        "assets": assets,
        **changes,
    }
    for name, body in files.items():
        pipeline.put(f"scene/{name}", body)
    pipeline.put("scene/item.json", json.dumps(item).encode())


def _landsat_7(pipeline: Pipeline) -> None:
    files = {name: _band(number, gsd=30) for number, name in enumerate(TM)}
    assets = {name: {"href": f"./{name}", "type": "image/tiff"} for name in files}
    said = {"platform": "landsat-7", "instruments": ["etm+"]}
    _land(pipeline, files, assets, collection="landsat-c2-l1", properties=said)


@pytest.mark.parametrize("allowed", [False, True])
def test_landsat_7_is_refused_or_embedded_and_said(make_pipeline: Callable[..., Pipeline], *, allowed: bool) -> None:
    pipeline = make_pipeline(untrained_sensors=allowed)
    _landsat_7(pipeline)
    if not allowed:
        assert pipeline.plan("scene/item.json").kind is Planned.FAILED
        [event] = pipeline.announced()
        assert event["reason"] == "untrained-sensor"
        assert "landsat7-etm-l1" in event["message"]
        assert "allow it with the stack's parameter UntrainedSensors" in event["message"]
        return
    pipeline.run("scene/item.json")
    [event] = pipeline.announced()
    assert event["type"] == "SceneEmbedded", event.get("message")
    assert "untrained-sensor" in {warning["reason"] for warning in event["warnings"]}
    [metadata] = [body for key, body in pipeline.outputs().items() if key.endswith("_metadata.json")]
    provenance = json.loads(metadata)["clayline"]
    assert (provenance["instrument"], provenance["trained_on_instrument"]) == ("landsat7-etm-l1", False)
    assert provenance["options"]["untrained_sensors"] is True
    read = {asset["band"]: asset["uri"].rpartition("/")[2] for asset in provenance["source"]["assets"]}
    assert read == {"red": "SR_B3.TIF", "green": "SR_B2.TIF", "blue": "SR_B1.TIF"}


MINE = """\
sensor: mine
gsd: 30
bands:
  - {name: red, mean: 1000, std: 500, wavelength: 0.65}
  - {name: green, mean: 1000, std: 500, wavelength: 0.56}
  - {name: blue, mean: 1000, std: 500, wavelength: 0.48}
products:
  - name: my-product
    collections: [my-scenes]
    level: l1
    platforms: [{pattern: '', token: kite}]
    names: {red: [R], green: [G], blue: [B]}
"""


def test_a_sensor_of_ones_own_is_embedded_and_its_file_is_part_of_the_run(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    runs = []
    pipeline = make_pipeline(build=build_chained_folder, model={"sensors": {"mine": ("red", "green", "blue")}})
    files = {f"{name}.tif": _band(number, gsd=30) for number, name in enumerate("RGB")}
    _land(pipeline, files, {name: {"href": f"./{name}.tif"} for name in "RGB"}, collection="my-scenes")
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    assert "give a YAML file of its sensor in the stack's parameter SensorFiles" in pipeline.announced()[0]["message"]
    for text in (MINE, f"{MINE}# changed"):
        pipeline.choose(sensors=known_with({"mine.yaml": text.encode()}))
        pipeline.run("scene/item.json")
        event = pipeline.announced()[-1]
        assert event["type"] == "SceneEmbedded", event.get("message")
        runs.append(event["run"])
    assert len(set(runs)) == 2
    metadata = next(body for key, body in pipeline.outputs().items() if key.endswith("_metadata.json"))
    provenance = json.loads(metadata)["clayline"]
    assert (provenance["sensor"], provenance["instrument"]) == ("mine", "kite-l1")
    assert provenance["options"]["sensor_file"] == f"sha256:{hashlib.sha256(MINE.encode()).hexdigest()}"


def test_the_finest_of_several_sizes_is_read_and_the_others_are_recorded(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    """The coarsest first, under two names; sizes are said by the files alone."""
    pipeline = make_pipeline()
    names = {"blue": "B2", "green": "B3", "red": "B4"}
    files, assets = {}, {}
    for size, side in ((60, 32), (30, 64)):
        for seed, (name, number) in enumerate(names.items()):
            files[f"{number}_{size}m.tif"] = _band(seed, gsd=size, side=side)
            key = number if size == 30 else name
            assets[key] = {"href": f"./{number}_{size}m.tif", "type": "image/tiff"}
    _land(pipeline, files, assets, collection="landsat-c2-l1", properties={"platform": "landsat-8"})
    pipeline.run("scene/item.json")
    [event] = pipeline.announced()
    assert event["type"] == "SceneEmbedded", event.get("message")
    [metadata] = [body for key, body in pipeline.outputs().items() if key.endswith("_metadata.json")]
    source = json.loads(metadata)["clayline"]["source"]
    assert {asset["uri"].rpartition("/")[2] for asset in source["assets"]} == {
        "B2_30m.tif", "B3_30m.tif", "B4_30m.tif",
    }  # fmt: skip
    assert {(each["band"], each["asset"]) for each in source["passed_over"]} == {(name, name) for name in names}


def test_one_band_of_a_file_is_not_two_of_the_scene(make_pipeline: Callable[..., Pipeline]) -> None:
    """A file of three bands of which the Item lists two, beside an asset that names its first otherwise."""
    pixels = scenes.noise(bands=3, height=64, width=64)
    files = {"all.tif": scenes.geotiff(pixels, crs="EPSG:32621", transform=scenes.utm_grid(gsd=30), nodata=0)}
    listed = [{"name": "red"}, {"name": "green"}]
    assets = {
        "data": {"href": "./all.tif", "type": "image/tiff", "bands": listed},
        "B2": {"href": "./all.tif", "type": "image/tiff"},
    }
    pipeline = make_pipeline()
    _land(pipeline, files, assets, collection="landsat-c2-l1", properties={"platform": "landsat-8"})
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    [event] = pipeline.announced()
    assert event["reason"] == "contradictory-band"
    assert "red and blue are both band 1 of s3://scenes/scene/all.tif" in event["message"]


def test_a_band_that_its_file_calls_another_is_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    names = {"red": "B4", "green": "B3", "blue": "B3"}
    files = {
        f"{band}.tif": scenes.geotiff(
            scenes.noise(bands=1, height=64, width=64),
            crs="EPSG:32621",
            transform=scenes.utm_grid(gsd=30),
            nodata=0,
            names=(called,),
        )
        for band, called in names.items()
    }
    assets = {band: {"href": f"./{band}.tif", "type": "image/tiff"} for band in names}
    pipeline = make_pipeline()
    _land(pipeline, files, assets, collection="landsat-c2-l1", properties={"platform": "landsat-8"})
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    [event] = pipeline.announced()
    assert event["reason"] == "contradictory-band"
    assert "is blue by the Item, and the file calls it 'B3', which is green" in event["message"]
