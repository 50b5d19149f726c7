"""A published Item is planned as if it had landed: its identity is the digest of the document."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline
from tests.pipeline.test_landings import ITEM, absolute

from clayline.scene.intake import Landing
from clayline.scene.notification import Document, read_message
from clayline.steps.keeping import Keeping
from clayline.steps.planning import Planned, PlanOutcome

type Maker = Callable[..., Pipeline]


@pytest.fixture
def files(sample: Path) -> dict[str, bytes]:
    return absolute(scenes.landsat(sample))


@pytest.fixture
def pipeline(make_pipeline: Maker, files: dict[str, bytes]) -> Pipeline:
    """Has the assets, and no Item."""
    made = make_pipeline()
    for key, body in files.items():
        if key != ITEM:
            made.put(key, body)
    return made


def publish(pipeline: Pipeline, body: bytes | str, message: str = "first") -> PlanOutcome:
    found = read_message(body if isinstance(body, str) else body.decode(), message=message)
    if isinstance(found, Document):
        found = Keeping(objects=pipeline.planning.objects, work_bucket="work").keep(found)
    assert isinstance(found, Landing), found
    return pipeline.planning.plan(found)


def kept(pipeline: Pipeline) -> list[str]:
    listed = pipeline.s3.list_objects_v2(Bucket="work", Prefix="items/").get("Contents", [])
    return [entry["Key"] for entry in listed]


def told(pipeline: Pipeline) -> list[tuple[str, str, bool]]:
    return [(event["type"], event["landed_uri"], event["repeated"]) for event in pipeline.announced()]


def test_it_is_embedded_and_the_answer_says_which_document(pipeline: Pipeline, files: dict[str, bytes]) -> None:
    assert publish(pipeline, files[ITEM]).kind is Planned.ENQUEUED
    pipeline.drain()
    [key] = kept(pipeline)
    assert told(pipeline) == [("SceneEmbedded", f"s3://work/{key}", False)]
    assert json.loads(pipeline.s3.get_object(Bucket="work", Key=key)["Body"].read()) == json.loads(files[ITEM])
    [metadata] = [body for name, body in pipeline.outputs().items() if name.endswith("_metadata.json")]
    source = json.loads(metadata)["clayline"]["source"]
    assert (source["uri"], source["etag"]) == (f"s3://work/{key}", key.removeprefix("items/").removesuffix(".json"))


def test_twice_late_and_out_of_order_is_as_with_a_landing(pipeline: Pipeline, files: dict[str, bytes]) -> None:
    newer = json.loads(files[ITEM])
    newer["properties"]["updated"] = "2030-01-01T00:00:00Z"
    assert publish(pipeline, json.dumps(newer), "second").kind is Planned.ENQUEUED
    assert publish(pipeline, files[ITEM], "first").kind is Planned.ENQUEUED  # late: another document, another run
    assert publish(pipeline, files[ITEM], "first").kind is Planned.DUPLICATE
    pipeline.drain()
    assert [kind for kind, _, repeated in told(pipeline) if not repeated] == ["SceneEmbedded"] * 2
    assert publish(pipeline, files[ITEM], "first").kind is Planned.DUPLICATE
    assert publish(pipeline, files[ITEM], "third").kind is Planned.REPEATED  # published again: announced again
    assert len(kept(pipeline)) == 2


def test_relative_hrefs_start_at_a_self_link_in_s3(pipeline: Pipeline, sample: Path) -> None:
    content = json.loads(scenes.landsat(sample)[ITEM])
    refused = publish(pipeline, json.dumps({**content, "links": []}))
    assert refused.kind is Planned.FAILED
    assert "no self link there" in refused.message
    linked = {**content, "links": [{"rel": "self", "href": f"s3://scenes/{ITEM}"}]}
    assert publish(pipeline, json.dumps(linked), "second").kind is Planned.ENQUEUED


def test_an_asset_that_is_not_there_yet_fails_and_the_same_item_again_succeeds(
    pipeline: Pipeline, files: dict[str, bytes]
) -> None:
    pipeline.s3.delete_object(Bucket="scenes", Key="scene/B4.tif")
    assert publish(pipeline, files[ITEM]).kind is Planned.FAILED
    [event] = pipeline.announced()
    assert (event["type"], event["reason"]) == ("SceneFailed", "asset-missing")
    pipeline.put("scene/B4.tif", files["scene/B4.tif"])
    assert publish(pipeline, files[ITEM], "second").kind is Planned.ENQUEUED
    pipeline.drain()
    assert [kind for kind, *_ in told(pipeline)] == ["SceneEmbedded"]


def test_a_link_into_an_allowed_bucket_is_followed_and_no_other(pipeline: Pipeline, files: dict[str, bytes]) -> None:
    pipeline.put("archive/item.json", files[ITEM])
    assert publish(pipeline, "s3://scenes/archive/item.json").kind is Planned.ENQUEUED
    refused = publish(pipeline, "s3://elsewhere/archive/item.json")
    assert refused.kind is Planned.FAILED
    assert "not in an allowed bucket" in refused.message


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"type": "FeatureCollection", "features": []}, Planned.FAILED),
        ({"status": "all is well"}, Planned.IGNORED),
        ({"type": "Feature", "stac_version": "1.0.0", "assets": {}, "id": ""}, Planned.FAILED),
        ({"type": "Feature", "stac_version": "1.0.0", "assets": {}, "id": "\ud800"}, Planned.FAILED),
    ],
)
def test_what_is_no_item_ends_as_if_it_had_landed(pipeline: Pipeline, content: dict[str, Any], kind: Planned) -> None:
    assert publish(pipeline, json.dumps(content)).kind is kind
