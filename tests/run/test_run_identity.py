"""What makes a run the same and what makes it another; where its objects lie."""

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.run.keys import (
    OutputObjects,
    WorkObjects,
    failed_run_id,
    inference_id,
    landing_id,
    parse_s3_uri,
    run_id,
    scene_hash,
    successor_id,
)

RUN: dict[str, Any] = {
    "scene": "5ce4e12ha5h0",
    "source_etag": "0f",
    "asset_etags": {"s3://scenes/B02.tif": "a1", "s3://scenes/B03.tif": "b2"},
    "token": "starter-v1.0-s2-rgb",
    "digest": "sha256:" + "0" * 64,
    "options": {"any_gsd": False, "boa": "auto", "min_valid_fraction": 0.0},
    "read": {"product": "sentinel-2-l2a", "instrument": "s2a-msi-l2a", "start": "2022-10-05", "end": "2022-10-05"},
}
texts = st.text(max_size=12)


def test_a_run_is_32_hex_of_sha256_over_what_docs_say() -> None:
    content = {
        "scene": RUN["scene"],
        "read": RUN["read"],
        "source": RUN["source_etag"],
        "assets": RUN["asset_etags"],
        "token": RUN["token"],
        "digest": RUN["digest"],
        "options": RUN["options"],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert run_id(**RUN) == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_the_order_of_assets_and_options_is_nothing() -> None:
    turned: dict[str, Any] = {
        name: dict(reversed(value.items())) if isinstance(value, dict) else value for name, value in RUN.items()
    }
    assert run_id(**turned) == run_id(**RUN)


@pytest.mark.parametrize(
    "change",
    [
        {"source_etag": "0e"},
        {"asset_etags": {**RUN["asset_etags"], "s3://scenes/B03.tif": "b3"}},
        {"asset_etags": {"s3://scenes/B02.tif": "a1"}},
        {"asset_etags": {"s3://scenes/B02.tif": "b2", "s3://scenes/B03.tif": "a1"}},
        {"token": "starter-v1.0-s2-all"},
        {"digest": "sha256:" + "1" * 64},
        {"options": {**RUN["options"], "boa": "applied"}},
        {"options": {**RUN["options"], "min_valid_fraction": 0.5}},
        {"scene": "an0the25ce4e"},
        {"read": {**RUN["read"], "start": "2022-10-06"}},
        {"read": {**RUN["read"], "instrument": "s2b-msi-l2a"}},
    ],
    ids=[
        *("Item", "band", "band left out", "bands swapped", "model", "weights", "option", "threshold"),
        *("scene", "date", "satellite"),
    ],
)
def test_a_change_of_anything_that_changes_the_file_is_another_run(change: dict[str, Any]) -> None:
    assert run_id(**RUN | change) != run_id(**RUN)


def test_runs_of_a_scene_follow_each_other_each_by_its_own_name() -> None:
    row = [run_id(**RUN)]
    for _ in range(20):
        row.append(successor_id(row[-1]))
    assert len(set(row)) == len(row)
    assert all(re.fullmatch("[0-9a-f]{32}", run) for run in row)
    assert successor_id(row[0]) == row[1]
    assert successor_id(run_id(**RUN | {"source_etag": "0e"})) not in row


@given(first=st.dictionaries(texts, texts, max_size=3), second=st.dictionaries(texts, texts, max_size=3))
def test_runs_are_equal_exactly_when_their_assets_are(first: dict[str, str], second: dict[str, str]) -> None:
    assert (run_id(**RUN | {"asset_etags": first}) == run_id(**RUN | {"asset_etags": second})) == (first == second)


@given(collection=st.none() | texts, item=texts.filter(bool), uri=texts, other=texts)
def test_an_item_is_its_collection_and_id_wherever_it_lies(
    collection: str | None, item: str, uri: str, other: str
) -> None:
    found = scene_hash(collection=collection, item=item, uri=uri)
    assert re.fullmatch("[0-9a-f]{12}", found)
    assert found == scene_hash(collection=collection, item=item, uri=other)
    assert found != scene_hash(collection=f"{collection}x", item=item, uri=uri)
    assert found != scene_hash(collection=collection, item=f"{item}x", uri=uri)


@given(uri=texts, other=texts)
def test_a_cog_is_its_uri(uri: str, other: str) -> None:
    assert (scene_hash(collection=None, item=None, uri=uri) == scene_hash(collection=None, item=None, uri=other)) == (
        uri == other
    )


def test_neighbouring_scenes_and_sensors_have_hashes_of_their_own() -> None:
    """Two quads of a day, granules _0_ and _1_, one id in two collections: the same file name, other prefixes."""
    names = [
        ("naip", "m_4609915_ne_14"),
        ("naip", "m_4609915_nw_14"),
        ("sentinel-2-l2a", "S2A_32UQD_20240601_0_L2A"),
        ("sentinel-2-l2a", "S2A_32UQD_20240601_1_L2A"),
        ("sentinel-2-c1-l2a", "S2A_32UQD_20240601_0_L2A"),
        (None, "S2A"),
    ]
    assert len({scene_hash(collection=collection, item=item, uri="s3://b/k") for collection, item in names}) == len(
        names
    )


def test_an_attempt_has_an_identity_of_its_own() -> None:
    every = {
        inference_id(run=run, batch=f"b{batch:05d}", attempt=attempt)
        for run in "ab"
        for batch in range(20)
        for attempt in (1, 2, 11)
    }
    assert len(every) == 2 * 20 * 3
    assert inference_id(run="a", batch="b00001", attempt=2) == "a-b00001-a2"


def test_a_refusal_is_one_for_each_object_message_model_and_options() -> None:
    given_: dict[str, Any] = {
        "source_uri": "s3://scenes/a.json",
        "source_etag": "1",
        "reason": "asset-missing",
        "message": "B04 is missing",
        "model": "starter-v1.0",
        "options": {"any_gsd": False},
    }
    changes: list[dict[str, Any]] = [
        {},
        {"source_uri": "s3://scenes/b.json"},
        {"source_etag": "2"},
        {"reason": "no-bands"},
        {"message": "B03 is missing"},
        {"model": "clay-v1.5"},
        {"options": {"any_gsd": True}},
    ]
    found = [failed_run_id(**given_ | change) for change in changes]
    assert len(set(found)) == len(changes)
    assert all(re.fullmatch("[0-9a-f]{32}", run) for run in found)


def test_a_put_is_one_of_an_object() -> None:
    puts = [
        landing_id(bucket=bucket, key=key, put=put)
        for bucket, key in (("a", "b"), ("ab", ""), ("a", "c"))
        for put in ({"sequencer": "1"}, {"sequencer": "2"}, {"version": "1"})
    ]
    assert len(set(puts)) == len(puts)
    assert all(re.fullmatch("[0-9a-f]{32}", put) for put in puts)


def test_objects_lie_where_the_architecture_says() -> None:
    work = WorkObjects(bucket="work", run="f" * 32)
    assert work.plan == f"s3://work/plans/{'f' * 32}/plan.json"
    assert work.chips == f"s3://work/plans/{'f' * 32}/chips.safetensors"
    assert work.request("b00042") == f"s3://work/requests/{'f' * 32}/b00042.safetensors"
    assert work.outcomes("b00042") == f"s3://work/outcomes/{'f' * 32}/b00042.json"
    assert work.settlement == f"s3://work/settlements/{'f' * 32}.json"
    assert work.verdict == f"s3://work/verdicts/{'f' * 32}.json"
    outputs = OutputObjects(prefix="s3://out/starter-v1.0-s2-rgb/abc/29UNU_20221005_20221005_v001")
    assert outputs.parquet.endswith("/29UNU_20221005_20221005_v001.parquet")
    assert outputs.metadata.endswith("_v001_metadata.json")
    assert outputs.item.endswith("_v001.json")
    assert outputs.receipt.endswith("_v001_receipt.json")


@given(bucket=st.from_regex(r"[a-z0-9.-]{3,20}", fullmatch=True), key=st.text(min_size=1))
def test_a_uri_splits_into_bucket_and_raw_key(bucket: str, key: str) -> None:
    assert parse_s3_uri(f"s3://{bucket}/{key}") == (bucket, key)


@pytest.mark.parametrize(
    "uri",
    ["", "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "https://bucket/key", "bucket/key", "S3://b/k", "None"],
)
def test_anything_else_is_no_s3_uri(uri: str) -> None:
    with pytest.raises(ValueError, match="not an s3://bucket/key URI"):
        parse_s3_uri(uri)
