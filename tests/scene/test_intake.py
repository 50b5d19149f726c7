"""Which landed objects start a scene: by the key alone, and the key stays as it is."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clayline.run.keys import parse_s3_uri
from clayline.scene.intake import Landing, Mode, ObjectCreated, classify
from clayline.scene.item import is_item
from clayline.scene.lookalike import lookalike


def event(key: str, *, bucket: str = "scenes", **changes: Any) -> dict[str, Any]:
    """EventBridge's event of S3, as AWS's guide shows it."""
    content: dict[str, Any] = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2021-11-12T00:00:00Z",
        "region": "ca-central-1",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": "617f08299329d189",
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }
    return content | changes


def landing(key: str, *, item_prefix: str = "", cog_prefix: str = "cog/") -> Landing | str:
    return classify(ObjectCreated.model_validate(event(key)), item_prefix=item_prefix, cog_prefix=cog_prefix)


def put(key: str = "a.json", *, bucket: str = "scenes", **changes: Any) -> str:
    """Give the landing of an event; ``id`` is the event's, everything else the object's."""
    content = event(key, bucket=bucket)
    content["id"] = changes.pop("id", content["id"])
    content["detail"]["object"].update(changes)
    found = classify(ObjectCreated.model_validate(content), item_prefix="", cog_prefix="cog/")
    assert isinstance(found, Landing)
    return found.landing


def test_an_item_starts_its_scene() -> None:
    etag = "b1946ac92492d2347c6235b4d2611184"
    assert landing("2024/S2A.json") == Landing(
        mode=Mode.ITEM, bucket="scenes", key="2024/S2A.json", size=5, etag=etag, landing=put("2024/S2A.json")
    )


def test_a_delivery_that_comes_twice_is_one_landing() -> None:
    assert put() == put()
    assert put(id="another event of the same PUT") == put()
    assert put(size=6, etag="0" * 32) == put()


def test_a_new_put_is_a_new_landing_and_so_is_another_object() -> None:
    others = [put("b.json"), put(bucket="other"), put(sequencer="617f08299329d18a"), put(sequencer="617F08299329D189")]
    every = [put(), *others]
    assert len(set(every)) == len(every)


def test_what_tells_puts_apart_where_there_is_no_sequencer() -> None:
    """The version; without versions the event's id; with nothing at all the bytes."""
    bare: dict[str, Any] = {"sequencer": None}
    unversioned = {**bare, "version-id": None}
    assert put(**bare | {"version-id": "1"}) == put(**bare | {"version-id": "1", "id": "another"})
    assert put(**bare | {"version-id": "1"}) != put(**bare | {"version-id": "2"})
    assert put(**unversioned | {"id": "1"}) == put(**unversioned | {"id": "1", "etag": "0"})
    assert put(**unversioned | {"id": "1"}) != put(**unversioned | {"id": "2"})
    assert put(**unversioned | {"id": ""}) == put(**unversioned | {"id": ""})
    assert put(**unversioned | {"id": ""}) != put(**unversioned | {"id": "", "etag": "0"})


def test_a_sequencer_is_no_version_and_no_event() -> None:
    """Equal texts from different places mean different things."""
    same = "617f08299329d189"
    nothing: dict[str, Any] = {"sequencer": None, "version-id": None}
    of_version, of_event = put(**nothing | {"version-id": same}), put(**nothing | {"id": same})
    assert len({put(sequencer=same), of_version, of_event}) == 3


@pytest.mark.parametrize("key", ["a.json", "deep/er/a.JSON", "a.geojson", "cogs/a.json"])
def test_items_by_extension(key: str) -> None:
    found = landing(key)
    assert isinstance(found, Landing)
    assert found.mode is Mode.ITEM


@pytest.mark.parametrize("key", ["cog/a.tif", "cog/2024/a.TIFF", "cog/.tif"])
def test_cogs_by_prefix(key: str) -> None:
    found = landing(key)
    assert isinstance(found, Landing)
    assert found.mode is Mode.COG


@pytest.mark.parametrize(
    "key",
    [
        "B02.tif",
        "2024/S2A/B02.tif",
        "cogs/a.tif",
        "a.jp2",
        "a.json.gz",
        "json",
        "cog/a.json",
        "cog/a.vrt",
        "cog/",
        "a.json/",
    ],
)
def test_what_starts_nothing_says_why(key: str) -> None:
    found = landing(key)
    assert isinstance(found, str)
    assert f"s3://scenes/{key}" in found
    assert "starts a scene" in found or "does not start a scene" in found or "intake prefix" in found


def test_a_band_that_lands_by_itself_starts_nothing_even_where_items_land() -> None:
    assert isinstance(landing("landsat/LC08_B4.TIF", item_prefix="landsat/"), str)


def test_outside_every_prefix_nothing_starts() -> None:
    assert "under no intake prefix" in str(landing("other/a.json", item_prefix="items/"))


def test_the_longest_prefix_wins() -> None:
    assert isinstance(landing("in/cog/a.tif", item_prefix="in/", cog_prefix="in/cog/"), Landing)
    assert isinstance(landing("in/cog/a.json", item_prefix="in/", cog_prefix="in/cog/"), str)
    assert isinstance(landing("in/items/a.json", item_prefix="in/items/", cog_prefix="in/"), Landing)
    assert isinstance(landing("in/items/a.tif", item_prefix="in/items/", cog_prefix="in/"), str)


@pytest.mark.parametrize(
    "key",
    [
        "a b.json",
        "a+b.json",
        "a%20b.json",
        "a+b c%2F.json",
        "münchen/ü.json",
        "日本/シーン.json",
        "a%.json",
        "a?b#c.json",
        "/a.json",
        "//a.json",
    ],
)
def test_keys_stay_raw(key: str) -> None:
    found = landing(key)
    assert isinstance(found, Landing)
    assert found.key == key
    assert parse_s3_uri(found.uri) == ("scenes", key)


@given(st.text(min_size=1, max_size=30).filter(lambda key: not key.startswith("cog/")))
def test_any_key_is_classified_and_kept(key: str) -> None:
    found = landing(f"{key}.json")
    assert isinstance(found, Landing)
    assert parse_s3_uri(found.uri) == ("scenes", f"{key}.json")


def test_a_landsat_mtl_is_json_but_no_item(mtl: object) -> None:
    """It reaches plan, which looks inside."""
    assert isinstance(landing("landsat/LC08_L2SP_008059_20191201_20200825_02_T1_MTL.json"), Landing)
    assert not is_item(mtl)
    assert lookalike(mtl) is None


ITEM: dict[str, Any] = {"type": "Feature", "stac_version": "1.0.0", "id": "a", "assets": {"red": {"href": "./red.tif"}}}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"type": "FeatureCollection", "features": [ITEM, ITEM]}, "a FeatureCollection of 2 features"),
        ({"type": "FeatureCollection"}, "a FeatureCollection of no features"),
        ({"type": "Collection", "stac_version": "1.0.0", "id": "c"}, "a STAC Collection"),
        ({"type": "Catalog", "id": "c"}, "a STAC Catalog"),
        ({**ITEM, "stac_version": None} | {"assets": []}, "a Feature whose assets"),
        ({name: value for name, value in ITEM.items() if name != "stac_version"}, "a Feature without stac_version"),
        ({name: value for name, value in ITEM.items() if name != "type"}, "of type 'None'"),
        ({**ITEM, "type": "feature"}, "of type 'feature'"),
        ({**ITEM, "type": "x" * 1000}, f"of type '{'x' * 40}'."),
        ({**ITEM, "type": ["Feature"]}, "of type \"['Feature']\""),
        ({"assets": {"red": {"href": "./red.tif"}}}, "of type 'None'"),
        ({"type": "Feature", "geometry": None, "properties": {}}, "a Feature without stac_version"),
        ([ITEM, ITEM, ITEM], "a list of 3"),
        ([{"type": "FeatureCollection"}], "a list of 1"),
    ],
)
def test_json_that_was_meant_as_an_item_is_told_what_it_is(content: object, what: str) -> None:
    assert not is_item(content)
    said = lookalike(content)
    assert said is not None
    assert what in said
    assert re.search(r"\. (Give|If|Add)|; correct it", said), "it says what to do"


@pytest.mark.parametrize(
    "content",
    [
        None,
        1,
        "Feature",
        [],
        [1, "Feature", None],
        {},
        {"type": "Polygon", "coordinates": []},
        {"type": None},
        {"assets": None},
        {"assets": {"red": "./red.tif"}},
        {"format": "clayline-receipt/1", "run": "0"},
        [{}] * 10 + [ITEM],
    ],
)
def test_other_json_was_meant_as_nothing(content: object) -> None:
    assert lookalike(content) is None


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "Feature",
        1,
        {},
        {"type": "Feature"},
        {"type": "Feature", "stac_version": "1.0.0"},
        {"type": "Feature", "stac_version": "1.0.0", "assets": []},
        {"type": "Collection", "stac_version": "1.0.0", "assets": {}},
        {"type": "FeatureCollection", "features": []},
        {"type": "Feature", "geometry": None, "properties": {}, "assets": {}},
    ],
)
def test_other_json_is_no_item(content: object) -> None:
    assert not is_item(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "aws.ec2"},
        {"detail-type": "Object Deleted"},
        {"detail": {}},
        {"detail": {"bucket": {"name": "b"}, "object": {"key": ""}}},
    ],
)
def test_another_event_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ObjectCreated.model_validate(event("a.json") | changes)


def test_only_what_we_need_need_be_there() -> None:
    detail = {"bucket": {"name": "scenes"}, "object": {"key": "a.json"}}
    found = ObjectCreated.model_validate({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    assert isinstance(classify(found, item_prefix="", cog_prefix="cog/"), Landing)
