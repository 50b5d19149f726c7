"""Which asset or band says where clouds are, in Items after their publishers' form."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.scene.stac import ALLOWED, BASE, asset, item

from clayline.chips.classes import Classification
from clayline.errors import SceneError
from clayline.scene.classification import BINARY, declared
from clayline.scene.item import ClassMask, Item, read_item
from clayline.scene.mask import find_band_mask, find_data_masks
from clayline.scene.recognition import sensors

SCL_NAMES = (
    "no_data", "saturated_or_defective", "dark_area_pixels", "cloud_shadows", "vegetation", "not_vegetated", "water",
    "unclassified", "cloud_medium_probability", "cloud_high_probability", "thin_cirrus", "snow",
)  # fmt: skip
SCL_CLASSES = [{"value": value, "name": name} for value, name in enumerate(SCL_NAMES)]
BANDS = {"B02_10m": asset("B02.tif"), "B03_10m": asset("B03.tif"), "B04_10m": asset("B04.tif")}
RED = {"red": asset("B4.tif")}
LANDSAT = {"collection": "landsat-c2l2-sr", "identity": "LC08_L2SP_224078_20200518_02_T1", "platform": "landsat-8"}


def read(content: dict[str, Any]) -> Item:
    return read_item(content, uri=BASE, allowed_buckets=ALLOWED)


def mask_of(content: dict[str, Any]) -> tuple[str, str, str] | None:
    """Give file, name and reason of the mask."""
    mask = read(content).mask
    return (mask.asset.uri.rpartition("/")[2], mask.asset.name, mask.chosen_by) if mask else None


def cloud_values(classification: Classification) -> set[tuple[int | None, int]]:
    return {(kind.bit, value) for kind in classification.cloud for value in kind.values}


@pytest.mark.parametrize("key", ["SCL", "scl", "SCL_20m", "scl_60m", "SCL.tif"])
def test_scene_classes_under_every_name(key: str) -> None:
    assert mask_of(item({"red": asset("B04.tif"), key: asset("m.tif")})) == ("m.tif", "scl", "name")


@pytest.mark.parametrize("key", ["qa_pixel", "QA_PIXEL", "QA_PIXEL.TIF"])
def test_landsats_quality_band(key: str) -> None:
    assert mask_of(item({**RED, key: asset("m.tif")}, **LANDSAT)) == ("m.tif", "qa_pixel", "name")


def test_an_asset_whose_one_band_is_named_so() -> None:
    named = asset("m.tif", bands=[{"name": "SCL"}])
    assert mask_of(item({"red": asset("B04.tif"), "classes": named})) == ("m.tif", "scl", "name")


def test_of_two_the_finest() -> None:
    """As the Copernicus Data Space's Items have it: 20 m and 60 m of one mask."""
    masks = {"SCL_60m": asset("s60.tif"), "SCL_20m": asset("s20.tif")}
    assert mask_of(item({"red": asset("B04.tif"), **masks})) == ("s20.tif", "scl", "name")
    by_gsd = {"SCL": asset("a.tif", gsd=60), "scl": asset("b.tif", gsd=20)}
    assert mask_of(item({"red": asset("B04.tif"), **by_gsd})) == ("b.tif", "scl", "name")
    one_file = {"SCL": asset("a.tif"), "scl": asset("a.tif")}
    assert mask_of(item({"red": asset("B04.tif"), **one_file})) == ("a.tif", "scl", "name")


@pytest.mark.parametrize(
    "masks",
    [
        {"SCL": asset("a.tif"), "scl": asset("b.tif")},
        {"SCL": asset("a.tif"), "SCL_20m": asset("b.tif")},
        {"SCL": asset("a.tif", gsd=20), "scl": asset("b.tif", gsd=20)},
    ],
)
def test_which_is_meant_must_be_declared(masks: dict[str, Any]) -> None:
    with pytest.raises(SceneError) as caught:
        read(item({"red": asset("B04.tif"), **masks}))
    assert caught.value.reason == "ambiguous-mask"
    assert all(repr(key) in caught.value.message for key in masks)


def test_a_mask_by_what_its_classes_are_called() -> None:
    """In STAC 1.0's and 1.1's places."""
    for described in (
        asset("m.tif", **{"classification:classes": SCL_CLASSES}),
        asset("m.tif", **{"raster:bands": [{"classification:classes": SCL_CLASSES}]}),
        asset("m.tif", bands=[{"classification:classes": SCL_CLASSES}]),
    ):
        content = item({"red": asset("B04.tif"), "pixel_classes": described})
        assert mask_of(content) == ("m.tif", "pixel_classes", "classification")
        mask = read(content).mask
        assert isinstance(mask, ClassMask)
        assert cloud_values(mask.classification) == {(None, value) for value in (1, 3, 8, 9, 10)}
        assert [kind.values for kind in mask.classification.unknown] == [(0,)]


def test_what_publishers_declare_of_landsats_quality_band_is_what_we_know_of_it(shared_data: Path) -> None:
    content = json.loads((shared_data / "items" / "pc-landsat-c2-l2-LC09.json").read_bytes())
    found = declared(content["assets"]["qa_pixel"])
    assert found is not None
    known = next(mask for mask in sensors()["landsat-c2l2-sr"].masks if mask.name == "qa_pixel")
    assert cloud_values(found) == cloud_values(known.classification) == {(2, 1), (3, 1), (4, 1)}
    assert [(kind.bit, kind.values) for kind in found.unknown] == [(0, (1,))]
    assert [key for key, each in content["assets"].items() if declared(each)] == ["qa_pixel"]


def test_classes_under_a_known_name_in_another_form_are_the_files_own() -> None:
    """Fmask 4 counts 0 to 4; HLS's Fmask is of bits."""
    names = ("clear_land", "clear_water", "cloud_shadow", "snow", "cloud")
    classes = [*({"value": at, "name": name} for at, name in enumerate(names)), {"value": 255, "name": "fill"}]
    plain, own = asset("m.tif"), asset("m.tif", **{"classification:classes": classes})
    assert mask_of(item({**RED, "Fmask": plain}, **LANDSAT)) == ("m.tif", "fmask", "name")
    assert mask_of(item({**RED, "Fmask": own}, **LANDSAT)) == ("m.tif", "fmask", "classification")
    mask = read(item({**RED, "Fmask": own}, **LANDSAT)).mask
    assert mask is not None
    assert cloud_values(mask.classification) == {(None, 2), (None, 4)}


@pytest.mark.parametrize("entries", [7, [7], [{"value": "1", "name": "cloud"}], [{"value": True, "name": "cloud"}], []])
def test_classes_that_are_none(entries: object) -> None:
    for form in ("classes", "bitfields"):
        assert declared({f"classification:{form}": entries}) is None
    assert declared({"classification:bitfields": [{"offset": -1, "length": 1, "name": "cloud"}]}) is None


def test_a_mask_by_its_role_alone() -> None:
    plain = asset("m.tif", roles=["cloud"])
    assert mask_of(item({**RED, "clouds": plain}, **LANDSAT)) == ("m.tif", "clouds", "role")
    mask = read(item({**RED, "clouds": plain}, **LANDSAT)).mask
    assert mask is not None
    assert mask.classification == BINARY


@pytest.mark.parametrize(
    "changes",
    [
        {"roles": ["cloud", "cloud-shadow", "snow-ice"]},  # its numbers mean more than cloud, and nothing says what
        {"roles": ["cloud"], "raster:bands": [{"unit": "%"}]},  # a probability
        {"roles": ["cloud", "visual"]},
        {"roles": ["cloud"], "type": "image/jp2"},
    ],
)
def test_what_is_not_known_to_be_a_mask_is_none(changes: dict[str, Any]) -> None:
    assert mask_of(item({**RED, "clouds": asset("m.tif", **changes)}, **LANDSAT)) is None


def test_the_products_own_mask_goes_before_others() -> None:
    others = {"clouds": asset("c.tif", roles=["cloud"]), "qa_pixel": asset("q.tif", roles=["cloud", "cloud-shadow"])}
    assert mask_of(item({**RED, **others}, **LANDSAT)) == ("q.tif", "qa_pixel", "name")


def test_real_items(shared_data: Path) -> None:
    for name, expected in (
        ("pc-sentinel-2-l2a", "scl"),
        ("earth-search-v1-sentinel-2-l2a", "scl"),
        ("earth-search-v0-sentinel-s2-l2a-cogs", "scl"),
        ("pc-landsat-c2-l2-LC09", "qa_pixel"),
        ("usgs-landsat-c2l2-sr-LC08", "qa_pixel"),
    ):
        content = json.loads((shared_data / "items" / f"{name}.json").read_bytes())
        for key, each in content["assets"].items():
            each["href"] = f"./{key}.tif" if "tif" in str(each.get("type")) else each["href"]
        found = mask_of(content)
        assert found is not None, name
        assert found[1:] == (expected, "name")
        assert (
            find_data_masks(content["assets"]) == []
        )  # the aerosol's is of more than data: its 0 means something else


def test_data_masks_are_those_of_nothing_else() -> None:
    assets = {
        "valid": asset("v.tif", roles=["data-mask"]),
        "aerosol": asset("a.tif", roles=["metadata", "data-mask", "water-mask"]),
    }
    assert [key for key, _ in find_data_masks(assets)] == ["valid"]
    found = read(item({**RED, **assets}, **LANDSAT))
    assert [band.uri for band in found.data_masks] == ["s3://scenes/s2/2024/v.tif"]


def test_a_band_among_a_cogs() -> None:
    product = sensors()["landsat-c2l2-sr"].products[0]
    for label, name in (("QA_PIXEL", "qa_pixel"), ("Fmask", "fmask"), ("cloud", "cloud"), ("Cloud_Mask", "cloud")):
        found = find_band_mask(("red", None, label), product, scene="s")
        assert found is not None
        assert (found.name, found.number, found.chosen_by) == (name, 3, "description")
    assert find_band_mask(("red", "cloud probability"), product, scene="s") is None
    with pytest.raises(SceneError) as caught:
        find_band_mask(("qa_pixel", "QA_PIXEL"), product, scene="s")
    assert caught.value.reason == "ambiguous-mask"
