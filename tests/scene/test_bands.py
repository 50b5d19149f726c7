"""An Item's bands: what key, name, common name and wavelength agree on; what contradicts itself is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.scene.stac import ALLOWED, BASE, NEW_NAMES, asset, item

from clayline.errors import SceneError
from clayline.model.manifest import read_manifest
from clayline.scene import acquisition
from clayline.scene.item import BandAsset, Item, read_item
from clayline.scene.rivals import settle_rivals
from clayline.scene.shortfall import fewer_bands
from clayline.scene.source import SceneSource

STARTER = Path(__file__).parents[2] / "model" / "starter" / "starter-v1.0" / "manifest.json"


def read(content: dict[str, Any]) -> Item:
    return read_item(content, uri=BASE, allowed_buckets=ALLOWED)


def source(content: dict[str, Any]) -> SceneSource:
    found = read(content)
    return SceneSource(
        name=found.id,
        hash="0123456789ab",
        uri=BASE,
        etag="etag",
        collection=found.collection,
        product=found.product,
        platform=found.platform,
        properties={},
        acquired=acquisition.from_item({"datetime": "2024-06-01"}, scene="x"),
        bands=found.bands,
        mask=found.mask,
        tile=None,
        identity={},
        rivals=found.rivals,
        passed_over=found.passed_over,
        unrecognised=found.unrecognised,
    )


def settled(content: dict[str, Any], *, gsd: float = 10, pixels: dict[str, float] | None = None) -> SceneSource:
    manifest = read_manifest(STARTER.read_bytes(), source="starter")
    scene = source(content)
    bands = frozenset(band.name for band in scene.bands)
    entry = manifest.choose(scene="x", sensor=scene.product.sensor, bands=bands).model_copy(update={"gsd": gsd})

    def pixel(band: BandAsset) -> float:
        assert pixels is not None, "no file is opened where the Item says sizes"
        return pixels[band.key]

    return settle_rivals(scene, entry, pixel)


def files(scene: SceneSource) -> dict[str, str]:
    return {band.name: band.uri.rpartition("/")[2] for band in scene.bands}


CDSE = {
    f"{number}_{size}m": asset(f"./{number}_{size}m.tif", bands=[{"name": number, "eo:common_name": name}])
    for size in (60, 20, 10)
    for name, number in (("blue", "B02"), ("green", "B03"), ("red", "B04"))
}
"""As the Copernicus Data Space names its assets (synthetic, after the published form): the coarsest first here."""


def test_of_several_sizes_the_finest_is_taken_and_the_others_are_recorded() -> None:
    found = settled(item(CDSE))
    assert files(found) == {name: f"{NEW_NAMES[name]}_10m.tif" for name in ("blue", "green", "red")}
    assert {(each.band, each.asset) for each in found.passed_over} == {
        (name, f"{NEW_NAMES[name]}_{size}m") for name in ("blue", "green", "red") for size in (20, 60)
    }


def test_the_finest_is_the_one_that_fits_the_entry() -> None:
    assert files(settled(item(CDSE), gsd=60))["red"] == "B04_60m.tif"
    assert files(settled(item(CDSE), gsd=20))["red"] == "B04_20m.tif"


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [
        ({"gsd": 60}, {"gsd": 10}),
        ({"eo:bands": [{"name": "B04", "gsd": 60}]}, {"eo:bands": [{"name": "B04", "gsd": 10}]}),
        ({"raster:bands": [{"spatial_resolution": 60}]}, {"raster:bands": [{"spatial_resolution": 10}]}),
        ({"proj:transform": [60.0, 0, 0, 0, -60.0, 0]}, {"proj:transform": [10.0, 0, 0, 0, -10.0, 0]}),
        ({"gsd": "60"}, {"gsd": 10.0}),
    ],
)
def test_a_size_is_declared_in_many_ways(coarse: dict[str, Any], fine: dict[str, Any]) -> None:
    others = {"green": asset("./G.tif"), "blue": asset("./B.tif")}
    assets = {"B04": asset("./coarse.tif", **coarse), "red": asset("./fine.tif", **fine), **others}
    assert files(settled(item(assets)))["red"] == "fine.tif"


def test_files_that_declare_no_size_are_opened() -> None:
    others = {"green": asset("./G.tif"), "blue": asset("./B.tif")}
    assets = {"B04": asset("./a.tif"), "red": asset("./b.tif", gsd=10), **others}
    assert files(settled(item(assets), pixels={"B04": 60.0, "red": 10.0}))["red"] == "b.tif"
    with pytest.raises(SceneError, match="band red is in the assets 'B04' and 'red'") as caught:
        settled(item(assets), pixels={"B04": 10.0, "red": 10.0})
    assert caught.value.reason == "ambiguous-band"


def test_two_assets_of_one_file_are_one() -> None:
    assets = {"B04": asset("./a.tif"), "red": asset("./a.tif"), "green": asset("./G.tif"), "blue": asset("./B.tif")}
    assert files(settled(item(assets)))["red"] == "a.tif"


def test_a_rival_that_may_not_be_read_is_passed_over_and_said() -> None:
    elsewhere = {"B04": asset("s3://forbidden/a.tif"), "red": asset("./b.tif")}
    found = settled(item({**elsewhere, "green": asset("./G.tif"), "blue": asset("./B.tif")}))
    assert files(found)["red"] == "b.tif"
    assert [(each.band, each.asset) for each in found.passed_over] == [("red", "B04")]


@pytest.mark.parametrize(
    ("key", "declared", "told"),
    [
        ("red", {"common_name": "nir"}, "its common name says 'nir'"),
        ("B04", {"name": "B08"}, "its band's name 'B08' says nir"),
        ("B04", {"name": "B04", "common_name": "coastal"}, "its common name says 'coastal'"),
        ("B04", {"center_wavelength": 0.842}, "its wavelength is 0.842 um and not 0.665"),
        ("B08", {"center_wavelength": 0.865}, "its wavelength is 0.865 um and not 0.842"),
        ("B04", {"center_wavelength": 842}, "its wavelength is 0.842 um"),
        ("B05", {"common_name": "rededge", "center_wavelength": 0.783}, "its wavelength is 0.783 um"),
        ("data", {"name": "B04", "common_name": "blue"}, "red by its name 'B04', but its common name says 'blue'"),
        ("data", {"common_name": "red", "center_wavelength": 0.49}, "its wavelength is 0.49 um"),
    ],
)
def test_statements_that_speak_of_two_bands_are_refused(key: str, declared: dict[str, Any], told: str) -> None:
    with pytest.raises(SceneError, match=f"asset '{key}'") as caught:
        read(item({key: asset("./a.tif", **{"eo:bands": [declared]})}))
    assert told in str(caught.value)
    assert caught.value.reason == "contradictory-band"


@pytest.mark.parametrize(
    ("key", "declared", "band"),
    [
        ("B8A", {"name": "B8A", "common_name": "rededge", "center_wavelength": 0.865}, "nir08"),
        ("B08", {"name": "B08", "common_name": "nir", "center_wavelength": 0.8328}, "nir"),
        ("red", {"common_name": "Red"}, "red"),
        ("red", {"common_name": "rot"}, "red"),
        ("data", {"name": "x", "common_name": "nir"}, "nir"),
        ("data", {"common_name": "rededge", "center_wavelength": 0.740}, "rededge2"),
        ("data", {"name": "x", "center_wavelength": 0.665}, "red"),
        ("data", {"name": "x", "center_wavelength": 665}, "red"),
        ("data", {"eo:center_wavelength": 1.61}, "swir16"),
        ("data", {"name": "x", "center_wavelength": 0.665, "full_width_half_max": 0.4}, None),
        ("data", {"name": "x", "center_wavelength": 0.443}, None),
        ("data", {"common_name": "rededge"}, None),
        ("data", {"common_name": "coastal", "center_wavelength": 0.49}, None),
    ],
)
def test_what_a_declaration_says(key: str, declared: dict[str, Any], band: str | None) -> None:
    assets = {key: asset("./a.tif", **{"eo:bands": [declared]}), "green": asset("./G.tif")}
    assert {name.name for name in read(item(assets)).bands} == {"green", *([band] if band else [])}


def test_stac_1_1_says_it_of_the_asset() -> None:
    assets = {"a": asset("./a.tif", **{"eo:common_name": "red", "eo:center_wavelength": 0.665})}
    assert [band.name for band in read(item(assets)).bands] == ["red"]


ITEMS = {
    "pc-landsat-c2-l2-LE07": ("landsat7-etm-c2l2", {"blue": "SR_B1", "red": "SR_B3", "nir08": "SR_B4"}, 6),
    "pc-landsat-c2-l2-LC09": ("landsat9-oli-c2l2", {"blue": "SR_B2", "red": "SR_B4", "nir08": "SR_B5"}, 6),
    "usgs-landsat-c2l2-sr-LC08": ("landsat8-oli-c2l2", {"blue": "SR_B2", "red": "SR_B4", "nir08": "SR_B5"}, 6),
    "pc-sentinel-2-l2a": ("s2b-msi-l2a", {"blue": "B02_10m", "rededge1": "B05_20m", "nir08": "B8A_20m"}, 10),
    "earth-search-v1-sentinel-2-l2a": ("s2b-msi-l2a", {"blue": "B02", "nir08": "B8A"}, 10),
    "earth-search-v0-sentinel-s2-l2a-cogs": ("s2a-msi-l2a", {"blue": "B02", "nir08": "B8A"}, 10),
    "pc-naip": ("naip-rgbn", {"red": "20230329", "nir": "20230329"}, 4),
    "pc-sentinel-1-rtc": ("s1a-sar-rtc", {"vv": "vv.rtc", "vh": "vh.rtc"}, 2),
}


@pytest.mark.parametrize("name", ITEMS)
def test_real_items_have_their_bands(name: str, shared_data: Path) -> None:
    content = json.loads((shared_data / "items" / f"{name}.json").read_text())
    for each in content["assets"].values():
        each["href"] = "./" + each["href"].partition("?")[0].rpartition("/")[2]
    found = read(content)
    token, expected, count = ITEMS[name]
    assert found.product.instrument_token(found.platform) == token
    stems = {band.name: band.uri.rpartition("/")[2].rpartition(".")[0] for band in found.bands}
    assert len(stems) == count
    assert all(stems[band].endswith(end) for band, end in expected.items())
    assert (found.rivals, found.unrecognised) == ((), ())


@pytest.mark.parametrize(
    ("assets", "lacking", "unknown"),
    [
        ({"B4_red": asset("./r.tif")}, "red", "B4_red"),
        ({"data": asset("./r.tif", **{"eo:bands": [{"name": "rouge"}]})}, "red", "data"),
    ],
)
def test_a_band_that_nobody_recognised_is_told(assets: dict[str, Any], lacking: str, unknown: str) -> None:
    scene = source(item({"green": asset("./G.tif"), "blue": asset("./B.tif"), "AOT": asset("./AOT.tif"), **assets}))
    manifest = read_manifest(STARTER.read_bytes(), source="starter")
    [better, *_] = [entry for entry in manifest.entries if entry.sensor == "sentinel-2-l2a" and "red" in entry.bands]
    entry = better.model_copy(update={"bands": ("green", "blue"), "token": "two-v1-bands"})
    [warning] = fewer_bands(scene, entry, (entry, better))
    assert warning.reason == "fewer-bands"
    assert f"the bands [{lacking}" in warning.message
    assert f"Found were the bands [blue green], not recognised [{unknown}]; known names are" in warning.message
    assert "red (B04)" in warning.message
    assert fewer_bands(scene, better, (entry, better)) == (), "nothing better was there"


def test_a_mask_of_where_there_is_data_is_no_band_that_was_missed() -> None:
    content = item({"red": asset("./B04.tif"), "dm": {**asset("./dm.tif"), "roles": ["data-mask"]}})
    found = read_item(content, uri=BASE, allowed_buckets=ALLOWED)
    assert found.unrecognised == ()
    assert [mask.key for mask in found.data_masks] == ["dm"]
