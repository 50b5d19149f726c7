"""Which assets of an Item are the bands, under which name, in which file; which are not; which tile it declares."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scene.stac import ALLOWED, BASE, NEW_NAMES, asset, item

from clayline.errors import SceneError
from clayline.scene.item import Item, is_item, load_json, read_item

LANDSAT = {"SR_B2": "blue", "SR_B3": "green", "SR_B4": "red", "SR_B5": "nir08", "SR_B6": "swir16", "SR_B7": "swir22"}


def read(content: dict[str, Any], allowed: frozenset[str] = ALLOWED) -> Item:
    assert is_item(content)
    return read_item(content, uri=BASE, allowed_buckets=allowed)


def files(found: Item) -> dict[str, tuple[str, int]]:
    """Give file name and band number by band."""
    return {band.name: (band.uri.rpartition("/")[2], band.band) for band in found.bands}


@pytest.mark.parametrize("old", [False, True], ids=["new names", "old names"])
def test_earth_search_names(*, old: bool) -> None:
    """v1 calls assets after colours, v0 after ESA's bands."""
    assets = {(number if old else name): asset(f"./{number}.tif") for name, number in NEW_NAMES.items()}
    found = read(item({**assets, "SCL" if old else "scl": asset("./SCL.tif")}))
    assert files(found) == {name: (f"{number}.tif", 1) for name, number in NEW_NAMES.items()}
    assert found.mask is not None
    assert found.mask.asset.uri == "s3://scenes/s2/2024/SCL.tif"


def test_bands_that_clay_does_not_know_are_left_alone() -> None:
    others = {name: asset(f"./{name}.tif") for name in ("coastal", "nir09", "B01", "B09", "B10", "AOT", "wvp")}
    assert list(files(read(item({**others, "red": asset("./B04.tif")})))) == ["red"]


def test_what_is_not_opened_may_point_anywhere() -> None:
    elsewhere = {
        "thumbnail": asset("https://example.com/t.jpg", type="image/jpeg"),
        "info": asset("file:///etc/passwd", type="application/json"),
    }
    assert list(
        files(read(item({**elsewhere, "aot": asset("/vsicurl/http://x/a.tif"), "red": asset("./B04.tif")})))
    ) == ["red"]


def test_jp2_twins_are_no_bands() -> None:
    assets = {
        "red-jp2": asset("s3://sentinel-s2-l2a/B04.jp2", type="image/jp2"),
        "red": asset("./B04.tif"),
        "B03": asset("./B03.jp2", type="image/jp2"),
    }
    found = read(item(assets))
    assert files(found) == {"red": ("B04.tif", 1)}
    assert found.unrecognised == ("B03, JPEG 2000",), "a twin is not missed, a band that is JPEG 2000 alone is"


@pytest.mark.parametrize("changes", [{"type": "image/jp2"}, {"type": "image/jpx; x=y"}, {"type": None}])
def test_an_item_of_jpeg_2000_alone_says_so(changes: dict[str, Any]) -> None:
    assets = {"B04": asset("s3://eodata/B04.jp2", **changes), "SCL": asset("./SCL.jp2", type="image/jp2")}
    with pytest.raises(SceneError, match=r"its bands \[B04\] are JPEG 2000.*gdal_translate") as caught:
        read(item(assets))
    assert caught.value.reason == "jpeg2000"
    with pytest.raises(SceneError, match="none of its assets") as caught:
        read(item({"SCL": assets["SCL"]}))
    assert caught.value.reason == "no-bands"


def test_what_jpeg_2000_says_of_itself_harms_no_geotiff() -> None:
    wrong = asset("./B03.jp2", type="image/jp2", **{"eo:bands": [{"name": "B04", "common_name": "blue"}]})
    assert files(read(item({"red": asset("./B04.tif"), "B03": wrong}))) == {"red": ("B04.tif", 1)}


COMPOSITE = [
    {"name": "red", "common_name": "red"},
    {"name": "green", "common_name": "green"},
    {"name": "blue", "common_name": "blue"},
]


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("visual", {}),
        ("overview", {}),
        ("TCI", {"roles": ["visual"]}),
        ("preview", {"roles": ["overview"]}),
        ("TCI", {"roles": ["data"]}),
        ("TCI", {"roles": None}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_composite_is_no_source_of_bands_that_have_files(key: str, changes: dict[str, Any], *, first: bool) -> None:
    composite = {key: asset("./TCI.tif", **{"eo:bands": COMPOSITE}, **changes)}
    bands = {name: asset(f"./{NEW_NAMES[name]}.tif") for name in ("red", "green", "blue")}
    found = read(item({**composite, **bands} if first else {**bands, **composite}))
    assert files(found) == {name: (f"{NEW_NAMES[name]}.tif", 1) for name in ("red", "green", "blue")}


@pytest.mark.parametrize(
    "field",
    [
        {
            "eo:bands": [
                {"name": "B04", "common_name": "red"},
                {"name": "B01", "common_name": "coastal"},
                {"name": "B08"},
            ]
        },
        {"eo:bands": [{"name": "one", "common_name": "red"}, {"name": "two"}, {"common_name": "nir"}]},
        {"bands": [{"name": "red"}, {"name": "other"}, {"name": "x", "eo:common_name": "nir"}]},
    ],
    ids=["ESA's names", "common names", "STAC 1.1"],
)
def test_a_file_of_several_bands_counts_them(field: dict[str, Any]) -> None:
    found = read(item({"data": asset("./all.tif", **field)}))
    assert files(found) == {"red": ("all.tif", 1), "nir": ("all.tif", 3)}


@pytest.mark.parametrize("declared", [[0, 1], "red", {"0": "red"}, [None], [{"name": 4}], [{}], 7])
def test_bands_declared_in_another_way_are_none(declared: object) -> None:
    with pytest.raises(SceneError, match=r"\[data\]") as caught:
        read(item({"data": asset("./all.tif", **{"eo:bands": declared})}))
    assert caught.value.reason == "no-bands"


@pytest.mark.parametrize(
    ("changes", "is_band"),
    [
        ({"type": "image/tiff"}, True),
        ({"type": "image/tiff; application=geotiff"}, True),
        ({"type": "image/vnd.stac.geotiff; cloud-optimized=true"}, True),
        ({"type": "Image/TIFF; application=geotiff"}, True),
        ({"type": None}, True),
        ({"type": None, "href": "./B04.TIFF"}, True),
        ({"type": None, "href": "./B04.jp2"}, False),
        ({"type": "image/jp2"}, False),
        ({"type": "application/x-hdf5"}, False),
        ({"roles": ["thumbnail"]}, False),
        ({"roles": ["metadata", "data"]}, False),
        ({"roles": None}, True),
        ({"roles": "data"}, True),
        ({"roles": [1, None, {}]}, True),
    ],
)
def test_what_may_be_a_band(changes: dict[str, Any], *, is_band: bool) -> None:
    found = read(item({"red": asset("./B04.tif", **changes), "green": asset("./B03.tif")}))
    assert ("red" in files(found)) is is_band


@pytest.mark.parametrize(
    "assets", [{}, {"red": None}, {"red": "./B04.tif"}, {"mtl": asset("./MTL.json", type="application/json")}]
)
def test_an_item_without_bands_says_what_it_has(assets: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match="S2A_32UQD_20240601_0_L2A: none of its assets") as caught:
        read(item(assets))
    assert caught.value.reason == "no-bands"


@pytest.mark.parametrize("collection", [None, "", "naip-2", "sentinel-1-grd", 5, ["sentinel-2-l2a"], "Sentinel-2-L2A"])
def test_an_unknown_collection_says_which_are_known(collection: Any) -> None:
    with pytest.raises(SceneError, match="landsat-c2l2-sr: landsat-c2-l2") as caught:
        read(item({"red": asset("./B04.tif")}, collection=collection))
    assert caught.value.reason == "unknown-product"


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": 5},
        {"id": None},
        {"id": "x" * 513},
        {"id": "a\nb"},
        {"id": "a\x00"},
        {"id": "a\x1b[2J"},
        {"properties": None},
        {"properties": []},
    ],
)
def test_an_item_without_id_or_properties_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match=re.escape(BASE)) as caught:
        read(item({"red": asset("./B04.tif")}) | change)
    assert caught.value.reason == "invalid-item"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000, b"<xml/>", b'{"a":1}x'])
def test_invalid_json_is_the_scenes_error(body: bytes) -> None:
    with pytest.raises(SceneError, match=r"scene s3://scenes/a\.json: not valid JSON") as caught:
        load_json(body, scene="s3://scenes/a.json")
    assert caught.value.reason == "invalid-json"


@pytest.mark.parametrize(
    ("properties", "identity", "tile"),
    [
        ({"grid:code": "MGRS-32UQD"}, "x", "32UQD"),
        ({"grid:code": "MGRS-6VWP"}, "x", "06VWP"),
        ({"s2:mgrs_tile": "32UQD"}, "x", "32UQD"),
        ({"s2:mgrs_tile": "T5VPJ"}, "x", "05VPJ"),
        ({"mgrs:utm_zone": 5, "mgrs:latitude_band": "V", "mgrs:grid_square": "PJ"}, "x", "05VPJ"),
        ({"mgrs:utm_zone": "32", "mgrs:latitude_band": "U", "mgrs:grid_square": "QD"}, "x", "32UQD"),
        ({"grid:code": "MGRS-32UQD", "s2:mgrs_tile": "01CCV"}, "S2A_29RKH_0", "32UQD"),
        (
            {"s2:mgrs_tile": "32UQD", "mgrs:utm_zone": 5, "mgrs:latitude_band": "V", "mgrs:grid_square": "PJ"},
            "x",
            "32UQD",
        ),
        ({}, "S2A_32UQD_20240601_0_L2A", "32UQD"),
        ({}, "S2A_5VPJ_20200817_0_L2A", "05VPJ"),
        ({}, "S2B_MSIL2A_20240601T103031_N0510_R108_T32UQD_20240601T140000", "32UQD"),
        ({"grid:code": "WRS2-224078"}, "S2A_32UQD_20240601_0_L2A", "32UQD"),
        ({"mgrs:utm_zone": 5, "mgrs:latitude_band": "V"}, "x", None),
        ({}, "S2A_61UQD_20240601", None),
        ({}, "S2A_32IQD_20240601", None),
        ({}, "S2A_32UQDX_20240601", None),
        ({}, "a scene", None),
    ],
)
def test_the_declared_tile(properties: dict[str, Any], identity: str, tile: str | None) -> None:
    assert read(item({"red": asset("./B04.tif")}, identity=identity, **properties)).tile == tile


@pytest.mark.parametrize("zone", ["29N", 29.5, [29], {"a": 1}, True])
def test_a_garbled_zone_is_read_and_left_to_the_grid_to_refuse(zone: object) -> None:
    properties: dict[str, Any] = {"mgrs:utm_zone": zone, "mgrs:latitude_band": "R", "mgrs:grid_square": "KH"}
    assert read(item({"red": asset("./B04.tif")}, **properties)).tile not in {"29RKH", None}


def test_landsat_has_no_tile_and_no_scene_classes() -> None:
    assets = {name: asset(f"./{name}.TIF") for name in LANDSAT.values()} | {
        "scl": asset("./SCL.tif"),
        "qa_pixel": asset("./QA.TIF"),
    }
    found = read(item(assets, collection="landsat-c2-l2", identity="LC09_L2SP_32UQD", **{"grid:code": "MGRS-32UQD"}))
    assert (found.tile, found.product.sensor) == (None, "landsat-c2l2-sr")
    assert found.mask is not None
    assert found.mask.asset.name == "qa_pixel"


@pytest.mark.parametrize(
    ("properties", "platform"),
    [
        ({"platform": "sentinel-2a"}, "sentinel-2a"),
        ({"eo:platform": "Sentinel-2A"}, "Sentinel-2A"),
        ({}, "S2A_32UQD_20240601_0_L2A"),
        ({"platform": None}, "S2A_32UQD_20240601_0_L2A"),
    ],
)
def test_the_platform(properties: dict[str, Any], platform: str) -> None:
    assert read(item({"red": asset("./B04.tif")}, **properties)).platform == platform


def test_the_irish_item(ireland: dict[str, Any]) -> None:
    found = read(ireland)
    assert files(found) == {name: (f"{number}.tif", 1) for name, number in NEW_NAMES.items() if name != "nir"}
    assert found.mask is not None
    assert found.mask.asset.uri == "s3://scenes/s2/2024/SCL_60m.tif"
    assert (found.tile, found.platform) == ("29UNU", "sentinel-2a")


def test_the_saharan_item_is_earth_searchs_own(sahara: dict[str, Any]) -> None:
    found = read(sahara, frozenset({"sentinel-cogs"}))
    assert files(found) == {name: (f"{number}.tif", 1) for name, number in NEW_NAMES.items()}
    folder = "s3://sentinel-cogs/sentinel-s2-l2a-cogs/29/R/KH/2020/2/S2A_29RKH_20200219_0_L2A/"
    assert all(band.uri.startswith(folder) for band in found.bands)
    assert found.mask is not None
    assert found.mask.asset.uri == f"{folder}SCL.tif"
    assert found.tile == "29RKH"


def test_the_saharan_item_may_not_read_where_it_was_not_allowed(sahara: dict[str, Any]) -> None:
    with pytest.raises(SceneError) as caught:
        read(sahara)
    assert caught.value.reason == "forbidden-href"


def test_usgss_item_counts_its_bands_in_numbers_and_is_read_by_its_keys(colombia: dict[str, Any]) -> None:
    assert colombia["assets"]["SR_B4.TIF"]["eo:bands"] == [3]
    for entry in colombia["assets"].values():
        entry["href"] = "./" + entry["href"].rpartition("/")[2]
    found = read(colombia)
    prefix = "LC08_L2SP_008059_20191201_20200825_02_T1_"
    assert files(found) == {name: (f"{prefix}{number}.TIF", 1) for number, name in LANDSAT.items()}
    assert (found.product.sensor, found.product.instrument_token(found.platform)) == (
        "landsat-c2l2-sr",
        "landsat8-oli-c2l2",
    )
    assert found.tile is None
    assert found.mask is not None
    assert (found.mask.asset.name, found.mask.asset.uri.rpartition("/")[2]) == ("qa_pixel", f"{prefix}QA_PIXEL.TIF")


def test_usgss_own_hrefs_need_a_login_and_are_refused(colombia: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match="landsatlook") as caught:
        read(colombia)
    assert caught.value.reason == "forbidden-href"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
hrefs = st.one_of(
    st.text(max_size=12), st.sampled_from(["./B04.tif", "s3://scenes/a.tif", "https://[", "//", "..", "s3://", "://"])
)


@settings(max_examples=300)
@given(
    assets=st.dictionaries(
        st.sampled_from(["red", "B02", "scl", "visual", "x"]),
        st.one_of(
            json_values,
            st.fixed_dictionaries(
                {"href": st.one_of(hrefs, json_values)},
                optional={"type": json_values, "roles": json_values, "bands": json_values, "eo:bands": json_values},
            ),
        ),
    ),
    properties=st.dictionaries(
        st.sampled_from(
            ["grid:code", "s2:mgrs_tile", "mgrs:utm_zone", "mgrs:latitude_band", "mgrs:grid_square", "platform"]
        ),
        json_values,
    ),
    identity=st.one_of(st.text(max_size=8), json_values),
    collection=st.one_of(st.just("sentinel-2-l2a"), json_values),
)
def test_any_item_is_read_or_a_scene_error(
    assets: dict[str, Any], properties: dict[str, Any], identity: Any, collection: Any
) -> None:
    """An exception of another kind would come back until the dead-letter queue."""
    content = json.loads(
        json.dumps(item(assets) | {"id": identity, "collection": collection, "properties": properties})
    )
    reason, bands = "", list[str]()
    try:
        bands = [band.uri for band in read(content).bands]
    except SceneError as error:
        reason = error.reason
    known = {"invalid-item", "unknown-product", "ambiguous-sensor", "contradictory-band", "no-bands", "forbidden-href"}
    assert reason in {"", *known}
    assert all(uri.split("/")[2] in ALLOWED for uri in bands)


@pytest.mark.parametrize("asset_of_red", [{}, {"href": None}, {"href": 5}, None, "red.tif"])
def test_a_band_without_an_href_is_named(asset_of_red: object) -> None:
    content = item({"red": asset_of_red, "green": asset("./B03.tif")})
    with pytest.raises(SceneError, match="asset 'red' has no href") as caught:
        read(content)
    assert caught.value.reason == "invalid-item"
