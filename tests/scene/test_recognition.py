"""Which product a scene is of: collection, platform, instruments and id together, or a refusal that says why."""

import re
from typing import Any

import pytest
from tests.scene.stac import ALLOWED, BASE, asset, item

from clayline.errors import SceneError
from clayline.scene.item import Item, read_item
from clayline.scene.recognition import Evidence, judge, products, recognise

OLI = {"SR_B2": "blue", "SR_B3": "green", "SR_B4": "red", "SR_B5": "nir08", "SR_B6": "swir16", "SR_B7": "swir22"}
TM = {"SR_B1": "blue", "SR_B2": "green", "SR_B3": "red", "SR_B4": "nir08", "SR_B5": "swir16", "SR_B7": "swir22"}


def read(content: dict[str, Any]) -> Item:
    return read_item(content, uri=BASE, allowed_buckets=ALLOWED)


def landsat(
    *, identity: str = "a scene", collection: str = "landsat-c2l2-sr", keys: dict[str, str] = OLI, **said: Any
) -> dict[str, Any]:
    assets = {key: asset(f"./{key}.TIF") for key in keys}
    return item(assets, collection=collection, identity=identity, **said)


@pytest.mark.parametrize("collection", ["landsat-c2l2-sr", "landsat-c2-l2"])
@pytest.mark.parametrize(
    ("identity", "said", "keys", "token"),
    [
        ("LE07_L2SP_021030_20100109_02_T1", {}, TM, "landsat7-etm-c2l2"),
        ("LT05_L2SP_021030_19900109_02_T1", {}, TM, "landsat5-tm-c2l2"),
        ("LT04_L2SP_021030_19900109_02_T1", {}, TM, "landsat4-tm-c2l2"),
        ("x", {"platform": "landsat-7"}, TM, "landsat7-etm-c2l2"),
        ("x", {"platform": "LANDSAT_7", "instruments": ["ETM"]}, TM, "landsat7-etm-c2l2"),
        ("x", {"instruments": ["etm+"]}, TM, "landsat7-etm-c2l2"),
        ("x", {"platform": "landsat-5", "instruments": ["tm"]}, TM, "landsat5-tm-c2l2"),
        ("LC08_L2SP_021030_20200109_02_T1", {}, OLI, "landsat8-oli-c2l2"),
        ("x", {"platform": "landsat-9", "instruments": ["oli", "tirs"]}, OLI, "landsat9-oli-c2l2"),
        ("x", {"instruments": ["OLI_TIRS"]}, OLI, "landsat-oli-c2l2"),
    ],
)
def test_landsats_numbers_are_those_of_the_instrument(
    collection: str, identity: str, said: dict[str, Any], keys: dict[str, str], token: str
) -> None:
    """B4 is red to OLI and near infrared to TM and ETM+, all in one collection."""
    found = read(landsat(identity=identity, collection=collection, keys=keys, **said))
    assert {band.uri.rpartition("/")[2]: band.name for band in found.bands} == {
        f"{key}.TIF": name for key, name in keys.items()
    }
    assert found.product.instrument_token(found.platform) == token
    assert found.product.platform(found.platform).trained is (keys is OLI)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (landsat(identity="x"), "landsat-oli-c2l2, landsat-etm-c2l2, landsat-tm-c2l2, and nothing tells which"),
        (landsat(platform="landsat-8", instruments=["etm"]), "instruments etm are not oli"),
        (landsat(platform="landsat-7", instruments=["oli"]), "platform 'landsat-7' is one of landsat-etm-c2l2"),
        (landsat(platform="landsat-5", instruments=["mss"]), "instruments mss are not tm"),
        (landsat(identity="LE07_L2SP_021030_20100109", platform="landsat-8"), "has the form of landsat-etm-c2l2"),
        (landsat(platform="sentinel-2a"), "platform 'sentinel-2a' is one of"),
        (landsat(identity="LE07_L2SP_021030_20100109_02_T1", collection="landsat-8-l2"), "form of landsat-etm-c2l2"),
        (item({"red": asset("./B04.tif")}, platform="landsat-8"), "platform 'landsat-8' is one of"),
        (item({"red": asset("./B04.tif")}, instruments=["oli"]), "instruments oli are not msi"),
    ],
)
def test_what_is_ambiguous_or_contradicts_itself_lists_the_candidates(content: dict[str, Any], told: str) -> None:
    with pytest.raises(SceneError, match=re.escape(told)) as caught:
        read(content)
    assert caught.value.reason == "ambiguous-sensor"
    assert "Say platform and instruments" in str(caught.value) or "Correct collection" in str(caught.value)


def test_two_products_that_match_equally_are_refused() -> None:
    import dataclasses  # noqa: PLC0415

    [product] = [known for known in products() if known.name == "naip"]
    twin = dataclasses.replace(product, name="my-naip")
    with pytest.raises(SceneError, match="naip, my-naip, and nothing tells which") as caught:
        recognise(Evidence(scene="x", collection="naip", name="x"), (product, twin))
    assert caught.value.reason == "ambiguous-sensor"


@pytest.mark.parametrize(
    ("given", "product"),
    [
        ({"sensor": "landsat-c2l2-sr", "name": "x.tif"}, "landsat-oli-c2l2"),
        ({"sensor": "landsat-c2l2-sr", "name": "x.tif", "platform": "landsat-7"}, "landsat-etm-c2l2"),
        ({"sensor": "landsat-c2l2-sr", "name": "LE07_L2SP_008059_20191201.tif"}, "landsat-etm-c2l2"),
        ({"sensor": "landsat-tm-c2l2", "name": "x.tif"}, "landsat-tm-c2l2"),
        ({"name": "LT05_L2SP_008059_19901201.tif"}, "landsat-tm-c2l2"),
    ],
)
def test_a_sensor_named_outright_is_told_apart_by_platform_and_name(given: dict[str, Any], product: str) -> None:
    assert recognise(Evidence(scene="x", **given)).name == product


def test_verdicts_say_what_speaks_for_and_against() -> None:
    said = Evidence(scene="x", collection="landsat-c2-l2", platform="landsat-7", instruments=("etm+",), name="x")
    found = {verdict.product.name: verdict for verdict in judge(said, products())}
    assert found.keys() == {"landsat-oli-c2l2", "landsat-etm-c2l2", "landsat-tm-c2l2"}
    assert found["landsat-etm-c2l2"].matched == (
        "collection 'landsat-c2-l2'", "platform 'landsat-7'", "instruments etm+",
    )  # fmt: skip
    assert found["landsat-etm-c2l2"].against == ()
    assert found["landsat-oli-c2l2"].against == (
        "platform 'landsat-7' is one of landsat-etm-c2l2",
        "instruments etm+ are not oli, oli2, oli-2, oli_tirs, oli-tirs, tirs",
    )
