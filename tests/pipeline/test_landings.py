"""Every landing gets an answer: what is done is told again, what failed is tried again; a delivery twice is nothing."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import Faults, Pipeline, failed

from clayline.aws.ledger import DynamoLedger
from clayline.run.plan import Plan
from clayline.steps.planning import Planned
from clayline.steps.tiling import TileJob

ITEM, COPY = "scene/item.json", "copies/item.json"
URI, COPY_URI = f"s3://scenes/{ITEM}", f"s3://scenes/{COPY}"
type Maker = Callable[..., Pipeline]


def absolute(files: dict[str, bytes]) -> dict[str, bytes]:
    """Let the Item name its assets where they lie, so that a copy of it is the same scene."""
    item = json.loads(files[ITEM])
    for asset in item["assets"].values():
        asset["href"] = f"s3://scenes/scene/{asset['href'].removeprefix('./')}"
    return {**files, ITEM: json.dumps(item).encode()}


@pytest.fixture
def landed(make_pipeline: Maker, sample: Path) -> Pipeline:
    pipeline = make_pipeline()
    for key, body in absolute(scenes.landsat(sample)).items():
        pipeline.put(key, body)
    return pipeline


def copy(pipeline: Pipeline) -> None:
    """Land the same Item in another place."""
    pipeline.put(COPY, pipeline.s3.get_object(Bucket="scenes", Key=ITEM)["Body"].read())


def fail_first(messages: list[Any]) -> list[Any]:
    """Let the endpoint fail on one batch."""
    first = messages[0]
    return [failed(first["requestParameters"]["inputLocation"], first["inferenceId"], "Expired"), *messages[1:]]


def told(pipeline: Pipeline) -> list[tuple[str, str, bool]]:
    """Give what was announced since the last look: type, which landing it answers, whether it repeats an outcome."""
    return [(event["type"], event["landed_uri"], event["repeated"]) for event in pipeline.announced()]


def plans(pipeline: Pipeline) -> list[Plan]:
    """Give every plan there is, by revision."""
    listed = pipeline.s3.list_objects_v2(Bucket="work", Prefix="plans/")["Contents"]
    keys = [entry["Key"] for entry in listed if entry["Key"].endswith("plan.json")]
    bodies = [pipeline.s3.get_object(Bucket="work", Key=key)["Body"].read() for key in keys]
    return sorted((Plan.model_validate_json(body) for body in bodies), key=lambda plan: plan.revision)


# What decides the outcome is part of the identity.


@pytest.mark.parametrize(
    "corrected",
    [
        "cog/LC08_L1TP_001002_20230519_x.tif",
        "cog/LC09_L1TP_001002_20230518_x.tif",
        "cog/again/LC08_L1TP_001002_20230518_x.tif",
    ],
    ids=["date", "satellite", "place"],
)
def test_a_cog_copied_under_a_corrected_name_is_another_scene(make_pipeline: Maker, corrected: str) -> None:
    pixels, names = scenes.noise(bands=3, height=64, width=64), ("red", "green", "blue")
    grid = scenes.utm_grid(gsd=30.0)
    body = scenes.geotiff(pixels, crs="EPSG:32621", transform=grid, nodata=0, names=names)
    pipeline, events = make_pipeline(), []
    for key in ("cog/LC08_L1TP_001002_20230518_x.tif", corrected):
        pipeline.put(key, body)
        pipeline.run(key)
        events += pipeline.announced()
    assert [event["type"] for event in events] == ["SceneEmbedded"] * 2
    assert [event["repeated"] for event in events] == [False, False]
    assert len({event["run"] for event in events}) == 2
    assert len([key for key in pipeline.outputs() if key.endswith(".parquet")]) == 2


# A scene that is done.


def test_a_new_landing_of_a_done_scene_is_answered_and_a_delivery_twice_is_not(landed: Pipeline) -> None:
    landed.run(ITEM)
    files = landed.outputs()
    assert told(landed) == [("SceneEmbedded", URI, False)]
    assert landed.plan(ITEM).kind is Planned.DUPLICATE
    landed.land_again(ITEM)
    assert landed.plan(ITEM).kind is Planned.REPEATED
    assert landed.plan(ITEM).kind is Planned.DUPLICATE
    landed.drain()
    [event] = landed.announced()
    receipt = landed.receipt()
    del receipt["chips"]
    assert event == {**receipt, "type": "SceneEmbedded", "landed_uri": URI, "repeated": True}
    assert landed.outputs() == files


def test_a_landing_of_a_scene_on_its_way_is_answered_by_the_event_at_its_end(landed: Pipeline) -> None:
    landed.plan(ITEM)
    landed.land_again(ITEM)
    assert landed.plan(ITEM).kind is Planned.DUPLICATE
    landed.drain()
    assert told(landed) == [("SceneEmbedded", URI, False)]
    assert landed.plan(ITEM).kind is Planned.DUPLICATE
    assert told(landed) == []


def test_each_place_where_a_scene_landed_is_answered(landed: Pipeline) -> None:
    """Whoever landed the copy waits for its URI: on the way there, and after."""
    landed.plan(ITEM)
    copy(landed)
    assert landed.plan(COPY).kind is Planned.DUPLICATE
    landed.drain()
    assert sorted(told(landed)) == [("SceneEmbedded", COPY_URI, True), ("SceneEmbedded", URI, False)]
    for key in (ITEM, COPY):
        assert landed.plan(key).kind is Planned.DUPLICATE
    landed.land_again(COPY)
    assert landed.plan(COPY).kind is Planned.REPEATED
    assert told(landed) == [("SceneEmbedded", COPY_URI, True)]


@pytest.mark.parametrize("when", ["before keeping", "before announced", "after announced"])
def test_a_landing_meets_collect(landed: Pipeline, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Collect ends between plan's look at the run and its note, or plan comes between collect's event and its look."""
    landed.plan(ITEM)
    copy(landed)
    keep, announced = DynamoLedger.keep_landing, DynamoLedger.announced

    def late_keep(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(DynamoLedger, "keep_landing", keep)
        landed.drain()
        keep(*args, **kwargs)

    def plan_then_announced(*args: Any, **kwargs: Any) -> None:
        landed.plan(COPY)
        announced(*args, **kwargs)

    def announced_then_plan(*args: Any, **kwargs: Any) -> None:
        announced(*args, **kwargs)
        landed.plan(COPY)

    if when == "before keeping":
        monkeypatch.setattr(DynamoLedger, "keep_landing", late_keep)
        landed.plan(COPY)
    else:
        between = plan_then_announced if when == "before announced" else announced_then_plan
        monkeypatch.setattr(DynamoLedger, "announced", between)
    landed.drain()
    assert sorted(told(landed)) == [("SceneEmbedded", COPY_URI, True), ("SceneEmbedded", URI, False)]


def test_a_scene_whose_receipt_is_gone_is_computed_again(landed: Pipeline) -> None:
    """Its user took the outputs away and wants them: there is nothing that could be announced."""
    landed.run(ITEM)
    for key in landed.outputs():
        landed.s3.delete_object(Bucket="embeddings", Key=key)
    landed.land_again(ITEM)
    landed.run(ITEM)
    assert told(landed) == [("SceneEmbedded", URI, False)] * 2
    assert landed.receipt()["outputs"]["parquet"].endswith("_v002.parquet")


def test_a_stranger_in_the_receipts_place_is_not_announced(landed: Pipeline) -> None:
    landed.run(ITEM)
    [key] = [key for key in landed.outputs() if key.endswith("_receipt.json")]
    other = {**landed.receipt(), "run": "0" * 32}
    for body in (b"{}", b"no json", json.dumps(other).encode()):
        landed.announced()
        landed.s3.put_object(Bucket="embeddings", Key=key, Body=body)
        landed.land_again(ITEM)
        assert landed.plan(ITEM).kind in {Planned.ENQUEUED, Planned.DUPLICATE}
        assert told(landed) == []


# A scene of which chips failed.


def test_a_scene_with_failed_chips_that_lands_again_is_its_next_revision(landed: Pipeline) -> None:
    landed.run(ITEM, change=fail_first)
    first = landed.outputs()
    assert landed.plan(ITEM).kind is Planned.DUPLICATE
    landed.land_again(ITEM)
    landed.run(ITEM)
    assert told(landed) == [("ScenePartial", URI, False), ("SceneEmbedded", URI, False)]
    before, after = plans(landed)
    assert (before.revision, after.revision) == (1, 2)
    assert (before.predecessor, after.predecessor) == (None, before.run)
    assert before.run != after.run
    files = landed.outputs()
    assert {key: files[key] for key in first} == first, "what was written stays"
    revisions = sorted(key.rpartition("_v")[2] for key in files if key.endswith(".parquet"))
    assert revisions == ["001.parquet", "002.parquet"]
    # each landing where it stands, whatever comes again
    landed.plan(ITEM)
    landed.puts[ITEM] -= 1
    assert landed.plan(ITEM).kind is Planned.DUPLICATE
    assert told(landed) == []
    landed.puts[ITEM] += 2
    assert landed.plan(ITEM).kind is Planned.REPEATED
    [event] = landed.announced()
    assert (event["run"], event["type"]) == (after.run, "SceneEmbedded")
    assert landed.outputs() == files


def test_a_scene_that_failed_as_a_whole_by_its_chips_is_computed_again(landed: Pipeline) -> None:
    landed.run(ITEM, change=lambda messages: [fail_first([message])[0] for message in messages])
    landed.land_again(ITEM)
    landed.run(ITEM)
    assert told(landed) == [("SceneFailed", URI, False), ("SceneEmbedded", URI, False)]


def test_chips_that_were_skipped_are_no_reason_to_compute_again(make_pipeline: Maker, sample: Path) -> None:
    pipeline = make_pipeline()
    for key, body in scenes.landsat(sample, row=0, col=1500).items():
        pipeline.put(key, body)
    pipeline.run(ITEM)
    pipeline.land_again(ITEM)
    assert pipeline.plan(ITEM).kind is Planned.REPEATED
    assert told(pipeline) == [("SceneFailed", URI, False), ("SceneFailed", URI, True)]


def test_without_retrying_the_last_outcome_is_announced_again(landed: Pipeline) -> None:
    landed.run(ITEM, change=fail_first)
    for retry, kind in ((False, Planned.REPEATED), (True, Planned.ENQUEUED), (False, Planned.DUPLICATE)):
        landed.land_again(ITEM)
        landed.choose(retry_failed=retry)
        assert landed.plan(ITEM).kind is kind
    landed.drain()
    landed.land_again(ITEM)
    assert landed.plan(ITEM).kind is Planned.REPEATED, "the second run is there, though none would be started"
    assert told(landed) == [
        ("ScenePartial", URI, False),
        ("ScenePartial", URI, True),
        ("SceneEmbedded", URI, False),
        ("SceneEmbedded", URI, True),
    ]


def test_two_new_landings_at_once_are_one_new_run(landed: Pipeline) -> None:
    landed.run(ITEM, change=fail_first)
    copy(landed)
    landed.land_again(ITEM)
    assert landed.plan(ITEM).kind is Planned.ENQUEUED
    assert landed.plan(COPY).kind is Planned.DUPLICATE
    landed.drain()
    assert len(plans(landed)) == 2
    events = [("ScenePartial", URI, False), ("SceneEmbedded", URI, False), ("SceneEmbedded", COPY_URI, True)]
    assert told(landed) == events


def test_a_scene_whose_chips_fail_each_time_is_refused_in_the_end(landed: Pipeline) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clayline.steps.succession.MAX_RUNS", 2)
        for _ in range(2):
            landed.run(ITEM, change=fail_first)
            landed.land_again(ITEM)
        assert landed.plan(ITEM).kind is Planned.FAILED
        assert landed.plan(ITEM).kind is Planned.DUPLICATE
    events = landed.announced()
    assert [event["reason"] for event in events] == [None, None, "too-many-runs"]


# A scene that is refused.


def test_a_refused_scene_is_judged_again(make_pipeline: Maker, sample: Path) -> None:
    """One missing asset after the other, as its user corrects them; the same refusal again, marked; then the scene."""
    pipeline = make_pipeline()
    files = scenes.landsat(sample)
    pipeline.put(ITEM, files[ITEM])
    missing = []
    for upload in (None, "scene/B2.tif", None, "scene/B3.tif", "scene/B4.tif"):
        if upload:
            pipeline.put(upload, files[upload])
        pipeline.land_again(ITEM)
        pipeline.plan(ITEM)
        pipeline.plan(ITEM)
        for event in pipeline.announced():
            assert (event["reason"], event["landed_uri"]) == ("asset-missing", URI)
            missing.append((event["message"].partition(", and nothing")[0].rpartition("/")[2], event["repeated"]))
            assert event["outputs"]["receipt"].removeprefix("s3://embeddings/") in pipeline.outputs()
    assert [name for name, repeated in missing if not repeated] == ["B2.tif", "B3.tif", "B4.tif"]
    assert [name for name, repeated in missing if repeated] == ["B3.tif"]
    pipeline.drain()
    assert told(pipeline) == [("SceneEmbedded", URI, False)]


def test_a_refusal_does_not_close_the_scenes_run(make_pipeline: Maker, sample: Path) -> None:
    """Refused within its claim, for a reason that is no part of the run's identity: landed again, it is planned."""
    pipeline = make_pipeline()
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clayline.steps.drafting.MAX_BATCHES", 1)
        assert pipeline.plan(ITEM).kind is Planned.FAILED
    pipeline.now += timedelta(days=3)
    pipeline.land_again(ITEM)
    planned = pipeline.now
    pipeline.run(ITEM)
    assert told(pipeline) == [("SceneFailed", URI, False), ("SceneEmbedded", URI, False)]
    [plan] = plans(pipeline)
    assert plan.created == planned, "creation is when it was planned, not when it was refused"


def test_a_refusal_under_other_options_is_another(make_pipeline: Maker, sample: Path) -> None:
    pipeline = make_pipeline()
    pipeline.put(ITEM, scenes.landsat(sample)[ITEM])
    pipeline.plan(ITEM)
    pipeline.choose(any_gsd=True)
    pipeline.plan(ITEM)
    assert told(pipeline) == [("SceneFailed", URI, False)] * 2


@pytest.mark.parametrize("name", ["items.json", "items.geojson"])
def test_json_that_was_meant_as_an_item_is_answered(make_pipeline: Maker, sample: Path, name: str) -> None:
    pipeline = make_pipeline()
    item = json.loads(scenes.landsat(sample)[ITEM])
    pipeline.put(name, json.dumps({"type": "FeatureCollection", "features": [item]}).encode())
    assert pipeline.plan(name).kind is Planned.FAILED
    receipt = pipeline.receipt()
    assert (receipt["status"], receipt["reason"]) == ("SceneFailed", "not-an-item")
    assert "FeatureCollection of 1 features. Give each Item as a file of its own." in receipt["message"]
    assert told(pipeline) == [("SceneFailed", f"s3://scenes/{name}", False)]


# Kills: an event may come twice, never not at all.


def done(pipeline: Pipeline) -> None:
    """A scene that is done lands again, and in another place."""
    pipeline.run(ITEM)
    pipeline.announced()
    pipeline.land_again(ITEM)
    copy(pipeline)


def on_its_way(pipeline: Pipeline) -> None:
    """It is settled, and lands in another place before collect has begun."""
    pipeline.plan(ITEM)
    while pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body))):
        pipeline.answer_all()
    while pipeline.deliver("result", pipeline.result):
        pass
    copy(pipeline)


def partly_failed(pipeline: Pipeline) -> None:
    """Chips failed; it lands again, and in another place."""
    pipeline.run(ITEM, change=fail_first)
    pipeline.announced()
    pipeline.land_again(ITEM)
    copy(pipeline)


def refused(pipeline: Pipeline) -> None:
    """It can never work, in neither place."""
    pipeline.s3.delete_object(Bucket="scenes", Key="scene/B4.tif")
    copy(pipeline)


def refused_before(pipeline: Pipeline) -> None:
    """It was refused, and lands again."""
    refused(pipeline)
    pipeline.plan(ITEM)
    pipeline.announced()
    pipeline.land_again(ITEM)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("prepare", [done, on_its_way, partly_failed, refused, refused_before])
def test_a_kill_at_any_write_of_an_answer_loses_none(
    make_pipeline: Maker, sample: Path, prepare: Callable[[Pipeline], None], *, after: bool
) -> None:
    def play(faults: Faults) -> tuple[list[tuple[str, str, bool]], set[str]]:
        pipeline = make_pipeline()
        for key, body in absolute(scenes.landsat(sample, height=64, width=128)).items():
            pipeline.put(key, body)
        prepare(pipeline)
        pipeline.faults = faults
        pipeline.again(lambda: pipeline.plan(COPY))
        pipeline.run(ITEM)
        pipeline.faults = Faults()
        events = told(pipeline)
        for key in (ITEM, COPY):
            assert pipeline.plan(key).kind is Planned.DUPLICATE, "all is said"
        assert told(pipeline) == []
        return events, set(pipeline.outputs())

    undisturbed = Faults()
    expected, files = play(undisturbed)
    assert Counter(uri for _, uri, _ in expected) == {URI: 1, COPY_URI: 1}
    for at in range(1, undisturbed.count + 1):
        events, found = play(Faults(at=at, after=after))
        where = f"killed {'after' if after else 'before'} write {at}, {undisturbed.log[at - 1]}"
        assert {(kind, uri) for kind, uri, _ in events} == {(kind, uri) for kind, uri, _ in expected}, where
        assert len(events) <= len(expected) + 1, where
        assert found == files, where
