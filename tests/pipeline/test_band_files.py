"""Which band of which file is read: what keys, lists, descriptions, colours and sizes say; and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline
from tests.scene.stac import asset, item

from clayline.model.wire import Request
from clayline.steps.planning import Planned
from clayline.steps.tiling import TileJob

NAIP = {"sensor": "naip", "gsd": 1.0, "bands": ("red", "green", "blue", "nir")}
NAIP_NAME = "cog/m_4709963_se_14_1_20200831.tif"
COLOURS = ("red", "green", "blue")


def tif(pixels: NDArray[Any], *, gsd: float = 30.0, **said: Any) -> bytes:
    """Write the bands from a multiple of 64 px, so that a chip is where the scene is."""
    grid = {"crs": "EPSG:32621", "transform": scenes.utm_grid(origin=(401_280.0, 4_999_680.0), gsd=gsd)}
    return scenes.geotiff(pixels, **grid, nodata=said.pop("nodata", 0), **said)


def numbers(bands: int, *, side: int = 64) -> NDArray[np.uint16]:
    return scenes.noise(bands=bands, height=side, width=side)


def land(pipeline: Pipeline, assets: dict[str, Any], **files: bytes) -> None:
    """Land an Item of Landsat 8 after its files."""
    for name, body in files.items():
        pipeline.put(f"scene/{name}.tif", body)
    name = "LC08_L1TP_224078_20200518_20200518_01_RT"
    content = item(assets, collection="landsat-c2-l1", identity=name, datetime="2020-05-18T13:00:00Z")
    pipeline.put("scene/item.json", json.dumps(content).encode())


def singles(names: tuple[str, ...] = ("green", "blue")) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Give an asset and a file of one band each."""
    return {name: asset(f"./{name}.tif") for name in names}, {name: tif(numbers(1)) for name in names}


def read(pipeline: Pipeline, key: str = "scene/item.json") -> NDArray[Any]:
    """Plan and tile; give the one chip that is sent."""
    outcome = pipeline.plan(key)
    assert outcome.kind is Planned.ENQUEUED, outcome.message
    while pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body))):
        pass
    [(uri, _)] = pipeline.endpoint.taken
    [chip] = np.asarray(Request.from_bytes(pipeline.objects.get(uri)).inputs["pixels"])
    pixels: NDArray[Any] = chip
    return pixels


def refused(pipeline: Pipeline, key: str = "scene/item.json") -> tuple[str, str]:
    """Plan; give reason and message of the refusal."""
    assert pipeline.plan(key).kind is Planned.FAILED
    [event] = pipeline.announced()
    return str(event["reason"]), str(event["message"])


# One of several bands of a file.


@pytest.mark.parametrize("names", [(), ("one", "two", "three"), ("", "red", "")])
def test_a_key_that_names_one_of_a_files_bands_is_refused(
    make_pipeline: Callable[..., Pipeline], names: tuple[str, ...]
) -> None:
    """Its first was read without a word."""
    pipeline = make_pipeline()
    assets, files = singles()
    land(pipeline, {**assets, "red": asset("./red.tif")}, **files, red=tif(numbers(3), names=names))
    reason, message = refused(pipeline)
    assert reason == "ambiguous-band"
    assert "scene/red.tif has 3 bands, and neither Item nor file says which of them is red" in message
    assert "List the file's bands in the Item (bands, or eo:bands), or describe them in the file" in message


@pytest.mark.parametrize(
    ("said", "written", "number"),
    [
        ({}, {"names": ("red", "cloudiness")}, 1),
        ({"eo:bands": [{"name": "x"}, {"name": "B4"}]}, {}, 2),
        ({"bands": [{"name": "red"}, {"name": "green"}]}, {}, 1),
        ({}, {"shown": ("gray", "alpha")}, 1),
    ],
)
def test_it_is_read_where_item_or_file_say_which(
    make_pipeline: Callable[..., Pipeline], said: dict[str, Any], written: dict[str, Any], number: int
) -> None:
    pipeline = make_pipeline()
    assets, files = singles()
    pixels = numbers(2)
    land(pipeline, {**assets, "red": asset("./red.tif", **said)}, **files, red=tif(pixels, **written))
    assert np.array_equal(read(pipeline)[0], pixels[number - 1])


def test_a_key_that_is_none_of_the_bands_that_it_lists_is_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    """The first of them was read for it."""
    pipeline = make_pipeline()
    assets, files = singles()
    listed = asset("./red.tif", **{"eo:bands": [{"name": "B2"}, {"name": "B3"}]})
    land(pipeline, {**assets, "red": listed}, **files, red=tif(numbers(2)))
    reason, message = refused(pipeline)
    assert reason == "contradictory-band"
    assert "asset 'red' is red by its key, but lists 2 bands, none of which is" in message


@pytest.mark.parametrize("names", [(), ("B1", "QA_PIXEL")])
def test_a_mask_that_is_one_of_a_files_bands_is_refused(
    make_pipeline: Callable[..., Pipeline], names: tuple[str, ...]
) -> None:
    pipeline = make_pipeline()
    assets, files = singles(COLOURS)
    qa = tif(np.zeros((2, 64, 64), np.uint16), nodata=None, names=names)
    land(pipeline, {**assets, "QA_PIXEL": asset("./qa.tif")}, **files, qa=qa)
    reason, message = refused(pipeline)
    assert reason == "ambiguous-mask"
    assert "its mask qa_pixel is in s3://scenes/scene/qa.tif, which has 2 bands" in message


def test_a_mask_that_its_file_describes_is_read(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    assets, files = singles(COLOURS)
    qa = tif(np.zeros((2, 64, 64), np.uint16), nodata=None, names=("QA_PIXEL", "B1"))
    land(pipeline, {**assets, "QA_PIXEL": asset("./qa.tif")}, **files, qa=qa)
    assert pipeline.plan("scene/item.json").kind is Planned.ENQUEUED


# Sizes.


def test_a_size_that_the_chosen_file_does_not_have_is_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    """Of 30 m by its key, 60 m by its file, beside a file that really is of 30 m."""
    pipeline = make_pipeline()
    assets, files = singles()
    rivals = {"B4_30m": asset("./coarse.tif"), "red": asset("./fine.tif", gsd=60)}
    both = {"coarse": tif(numbers(1, side=32), gsd=60), "fine": tif(numbers(1))}
    land(pipeline, {**assets, **rivals}, **files, **both)
    reason, message = refused(pipeline)
    assert reason == "contradictory-band"
    assert (
        "'B4_30m' is the one of 30 m by the Item; its file, s3://scenes/scene/coarse.tif, has pixels of 60" in message
    )


@pytest.mark.parametrize(("gsd", "warned"), [(60, True), (15, True), (22, False), (40, False)])
def test_a_size_that_the_only_file_does_not_have_is_told(
    make_pipeline: Callable[..., Pipeline], gsd: int, *, warned: bool
) -> None:
    """Publishers give the instrument's too, which may be near."""
    pipeline = make_pipeline()
    assets, files = singles(COLOURS)
    assets["red"]["gsd"] = gsd
    land(pipeline, assets, **files)
    pipeline.run("scene/item.json")
    warnings = {warning["reason"]: warning["message"] for warning in pipeline.receipt()["warnings"]}
    assert ("item-disagrees" in warnings) is warned
    assert f"gsd of red is {gsd}.0, the file has 30" in warnings.get("item-disagrees", "") or not warned


# Colours.


def naip(shown: tuple[str, ...]) -> tuple[bytes, NDArray[np.uint8]]:
    pixels = np.random.default_rng(5).integers(1, 255, (4, 64, 64)).astype(np.uint8)
    return tif(pixels, gsd=1.0, nodata=None, shown=shown), pixels


@pytest.mark.parametrize(
    ("shown", "order"),
    [
        (("blue", "green", "red", "undefined"), (2, 1, 0, 3)),
        (("nir", "red", "green", "blue"), (1, 2, 3, 0)),
        (("undefined", "undefined", "red", "undefined"), (2, 0, 1, 3)),
        (("red", "green", "blue", "undefined"), (0, 1, 2, 3)),
        (("gray", "undefined", "undefined", "undefined"), (0, 1, 2, 3)),
    ],
)
def test_colours_say_which_bands_a_file_has_that_names_none(
    make_pipeline: Callable[..., Pipeline], shown: tuple[str, ...], order: tuple[int, ...]
) -> None:
    """It was read as red, green, blue, whatever it showed."""
    pipeline = make_pipeline(model=NAIP)
    body, pixels = naip(shown)
    pipeline.put(NAIP_NAME, body)
    assert np.array_equal(read(pipeline, NAIP_NAME), pixels[list(order)])


def test_two_bands_in_one_colour_are_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline(model=NAIP)
    pipeline.put(NAIP_NAME, naip(("red", "red", "blue", "undefined"))[0])
    reason, message = refused(pipeline, NAIP_NAME)
    assert reason == "ambiguous-band"
    assert "shows two in one colour (red red blue)" in message


LISTED = [{"name": name} for name in COLOURS]


@pytest.mark.parametrize("by", ["item", "descriptions"])
def test_names_in_each_others_colours_are_refused(make_pipeline: Callable[..., Pipeline], by: str) -> None:
    pipeline = make_pipeline()
    key = "cog/LC08_L1TP_224078_20200518_20200518_01_RT.tif"
    if by == "item":
        key = "scene/item.json"
        all_bands = tif(numbers(3), shown=("blue", "green", "red"))
        land(pipeline, {"data": asset("./data.tif", **{"eo:bands": LISTED})}, data=all_bands)
    else:
        pipeline.put(key, tif(numbers(3), names=COLOURS, shown=("blue", "green", "red")))
    reason, message = refused(pipeline, key)
    assert reason == "contradictory-band"
    assert "shows its bands 1, 2, 3 as blue, green, red" in message
    assert "they are called red, green, blue" in message


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("blue", "green", "red"), ("red", "green", "blue")),
        (("nir08", "red", "green", "blue"), ("red", "green", "blue", "undefined")),
        (("blue", "green", "red", "nir08"), ("undefined", "blue", "green", "red")),
    ],
)
def test_false_colours_and_those_that_writers_set_contradict_nobody(
    make_pipeline: Callable[..., Pipeline], names: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    pipeline = make_pipeline()
    pixels = numbers(len(names))
    listed = {"eo:bands": [{"name": name} for name in names]}
    land(pipeline, {"data": asset("./data.tif", **listed)}, data=tif(pixels, shown=shown))
    assert np.array_equal(read(pipeline), pixels[[names.index(colour) for colour in COLOURS]])
