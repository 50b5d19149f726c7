"""What is done stays done: only what failed is computed again, what returns is the newest again, a run can be ended."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.aws.conftest import ledger_schema
from tests.pipeline import scenes
from tests.pipeline.harness import OUT, WORK, Killed, Pipeline, aws, failed

from clayline.aws.ledger import DynamoLedger
from clayline.errors import LeaseHeldError
from clayline.run.keys import JSON, WorkObjects
from clayline.run.receipt import BatchOutcomes
from clayline.run.state import RunState
from clayline.steps.making import Making
from clayline.steps.planning import Planned
from clayline.steps.tiling import TileJob

ITEM = "scene/item.json"
type Maker = Callable[..., Pipeline]


@pytest.fixture
def pipeline(make_pipeline: Maker, sample: Path) -> Pipeline:
    """A landed scene of six batches."""
    return land(make_pipeline(chips_per_batch=2), sample)


@pytest.fixture
def several(make_pipeline: Maker, sample: Path) -> Pipeline:
    """One of five jobs of four batches."""
    return land(make_pipeline(chips_per_batch=2, memory_budget=200_000), sample, height=600)


def land(pipeline: Pipeline, sample: Path, *, height: int = 150) -> Pipeline:
    for key, body in scenes.landsat(sample, row=600, height=height).items():
        pipeline.put(key, body)
    return pipeline


def fail_first(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let the endpoint fail on the first of what it was asked."""
    first = messages[0]
    return [failed(first["requestParameters"]["inputLocation"], first["inferenceId"]), *messages[1:]]


def change_item(pipeline: Pipeline, **properties: Any) -> None:
    """Land other content of the scene."""
    item = json.loads(pipeline.s3.get_object(Bucket="scenes", Key=ITEM)["Body"].read())
    item["properties"] |= properties
    pipeline.put(ITEM, json.dumps(item).encode())


def scene_rows(pipeline: Pipeline) -> dict[str, RunState]:
    items: list[Any] = pipeline.table.scan()["Items"]
    return {
        row["pk"].removeprefix("run#"): RunState(row["state"])
        for row in items
        if row["sk"] == "scene" and "state" in row
    }


def run_of(pipeline: Pipeline) -> str:
    [run] = scene_rows(pipeline)
    return run


def files(pipeline: Pipeline) -> dict[str, pa.Table]:
    """Give every file's rows, by revision."""
    return {
        key.rpartition("_")[2].removesuffix(".parquet"): pq.read_table(io.BytesIO(body))
        for key, body in pipeline.outputs().items()
        if key.endswith(".parquet")
    }


def receipts(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    return {
        key.removesuffix("_receipt.json").rpartition("_")[2]: json.loads(body)
        for key, body in pipeline.outputs().items()
        if key.endswith("_receipt.json") and not key.startswith("failed/")
    }


def told(pipeline: Pipeline) -> list[tuple[str, bool]]:
    return [(event["type"], event["repeated"]) for event in pipeline.announced()]


def count_invocations(pipeline: Pipeline) -> list[str]:
    """Give the list to which each invocation's id is added from now on."""
    ids: list[str] = []
    invoke = pipeline.endpoint.invoke

    def counted(*, input_uri: str, inference_id: str) -> Any:
        ids.append(inference_id)
        return invoke(input_uri=input_uri, inference_id=inference_id)

    pipeline.endpoint.invoke = counted  # type: ignore[method-assign]
    return ids


def tile(pipeline: Pipeline, jobs: int) -> None:
    for _ in range(jobs):
        assert pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body)))


def settle(pipeline: Pipeline) -> None:
    while pipeline.deliver("result", pipeline.result):
        pass


# Computing again what failed.


def test_a_redrive_computes_only_what_failed_and_gives_what_a_quiet_run_gives(
    pipeline: Pipeline, make_pipeline: Maker, sample: Path
) -> None:
    pipeline.run(ITEM, change=fail_first)
    first, run = pipeline.outputs(), run_of(pipeline)
    before = receipts(pipeline)["v001"]
    assert 0 < sum(before["counts"]["failed"].values()) < before["counts"]["planned"]
    invoked = count_invocations(pipeline)
    assert pipeline.order("redrive", run).kind is Planned.ENQUEUED
    pipeline.drain()
    assert len({identity.rpartition("-a")[0] for identity in invoked}) == len(invoked) < 4, "one batch of twenty"
    after = receipts(pipeline)["v002"]
    assert (after["status"], after["counts"]["failed"], after["predecessor"]) == ("SceneEmbedded", {}, run)
    assert after["taken_over"] == after["counts"]["planned"] - 2 * len(invoked)
    assert told(pipeline) == [("ScenePartial", False), ("SceneEmbedded", False)]
    assert {key: pipeline.outputs()[key] for key in first} == first, "what was written stays"
    again = files(pipeline)["v002"]
    quiet = land(make_pipeline(chips_per_batch=2), sample)
    quiet.run(ITEM)
    assert again.equals(files(quiet)["v001"])


def test_a_redrive_that_comes_twice_is_one_and_of_what_is_whole_none(pipeline: Pipeline) -> None:
    pipeline.run(ITEM, change=fail_first)
    run = run_of(pipeline)
    pipeline.order("redrive", run)
    assert pipeline.order("redrive", run).kind is Planned.DUPLICATE
    pipeline.drain()
    assert pipeline.order("redrive", run).kind is Planned.DUPLICATE
    [second] = set(scene_rows(pipeline)) - {run}
    assert pipeline.order("redrive", second).kind is Planned.IGNORED, "no chip failed"
    assert pipeline.order("redrive", "f" * 32).kind is Planned.IGNORED
    assert set(files(pipeline)) == {"v001", "v002"}


def test_a_redrive_is_done_although_new_landings_do_not_retry(pipeline: Pipeline) -> None:
    pipeline.choose(retry_failed=False)
    pipeline.run(ITEM, change=fail_first)
    pipeline.order("redrive", run_of(pipeline))
    pipeline.drain()
    assert receipts(pipeline)["v002"]["status"] == "SceneEmbedded"


def test_a_redrive_that_was_killed_goes_on_although_new_landings_do_not_retry(pipeline: Pipeline) -> None:
    pipeline.choose(retry_failed=False)
    pipeline.run(ITEM, change=fail_first)
    run = run_of(pipeline)
    log = pipeline.faults.log
    pipeline.faults.at, pipeline.faults.after = pipeline.faults.count + 1, True
    with pytest.raises(Killed):
        pipeline.order("redrive", run)
    assert log[-1] == "claim"
    pipeline.faults.at = None
    pipeline.now += timedelta(minutes=30)
    pipeline.drain()
    assert receipts(pipeline)["v002"]["status"] == "SceneEmbedded"
    assert set(scene_rows(pipeline).values()) == {RunState.ANNOUNCED}


def test_a_refused_scene_is_read_again(pipeline: Pipeline) -> None:
    body = pipeline.s3.get_object(Bucket="scenes", Key="scene/B4.tif")["Body"].read()
    pipeline.s3.delete_object(Bucket="scenes", Key="scene/B4.tif")
    pipeline.run(ITEM)
    assert told(pipeline) == [("SceneFailed", False)]
    refused = run_of(pipeline)
    pipeline.put("scene/B4.tif", body)
    assert pipeline.order("redrive", refused).kind is Planned.ENQUEUED
    pipeline.drain()
    assert told(pipeline) == [("SceneEmbedded", False)]


@pytest.mark.parametrize("lost", [".parquet", "_receipt.json"])
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_what_was_taken_away_before_it_was_planned_is_computed_again(pipeline: Pipeline, lost: str, how: str) -> None:
    """Replaced by the same bytes, but not by that run: nobody knows whose they are."""
    pipeline.run(ITEM, change=fail_first)
    run = run_of(pipeline)
    [key] = [key for key in pipeline.outputs() if key.endswith(lost)]
    body = pipeline.outputs()[key]
    pipeline.s3.delete_object(Bucket=OUT, Key=key)
    if how == "replaced":
        pipeline.s3.put_object(Bucket=OUT, Key=key, Body=body)
    pipeline.order("redrive", run)
    pipeline.drain()
    after = receipts(pipeline)["v002"]
    assert (after["status"], after["taken_over"], after["predecessor"]) == ("SceneEmbedded", 0, None)


def test_what_is_taken_away_on_the_way_fails_and_a_redrive_cures_it(pipeline: Pipeline) -> None:
    pipeline.run(ITEM, change=fail_first)
    first = run_of(pipeline)
    pipeline.order("redrive", first)
    [second] = set(scene_rows(pipeline)) - {first}
    [key] = [key for key in pipeline.outputs() if key.endswith(".parquet")]
    pipeline.s3.put_object(Bucket=OUT, Key=key, Body=b"another file")
    pipeline.drain()
    assert set(receipts(pipeline)["v002"]["counts"]["failed"]) == {"predecessor-missing"}
    pipeline.order("redrive", second)
    pipeline.drain()
    assert receipts(pipeline)["v003"]["status"] == "SceneEmbedded"


# Content that returns.


def test_content_that_returns_is_the_newest_and_computes_nothing(pipeline: Pipeline) -> None:
    original = pipeline.s3.get_object(Bucket="scenes", Key=ITEM)["Body"].read()
    pipeline.run(ITEM)
    change_item(pipeline, **{"eo:cloud_cover": 99})
    pipeline.run(ITEM)
    invoked = count_invocations(pipeline)
    pipeline.put(ITEM, original)
    assert pipeline.plan(ITEM).kind is Planned.ENQUEUED
    pipeline.drain()
    assert invoked == []
    assert told(pipeline) == [("SceneEmbedded", False)] * 3
    found = files(pipeline)
    assert set(found) == {"v001", "v002", "v003"}
    assert found["v003"].equals(found["v001"])
    again = receipts(pipeline)["v003"]
    assert again["taken_over"] == again["counts"]["planned"]
    pipeline.land_again(ITEM)
    assert pipeline.plan(ITEM).kind is Planned.REPEATED, "it is the newest now"


def test_what_lands_while_another_content_is_planned_is_the_newest(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivery 1 has read A; B lands, and its delivery is faster: A is not planned after it."""
    compare = Making._compare
    overtaken: list[str] = []

    def overtake(making: Making, *given: Any) -> None:
        if not overtaken:
            overtaken.append("once")
            change_item(pipeline, **{"eo:cloud_cover": 99})
            assert pipeline.plan(ITEM).kind is Planned.ENQUEUED
        compare(making, *given)

    slow = pipeline.landing(ITEM)
    monkeypatch.setattr(Making, "_compare", overtake)
    assert pipeline.planning.plan(slow).kind is Planned.DUPLICATE, "it stands at the run of what lies there"
    pipeline.drain()
    assert set(scene_rows(pipeline).values()) == {RunState.ANNOUNCED}
    [(revision, _)] = files(pipeline).items()
    assert revision == "v002", "the place of what is not planned is not given again"
    assert told(pipeline) == [("SceneEmbedded", False)]


def test_a_ledger_younger_than_its_bucket_takes_no_place_that_is_taken(pipeline: Pipeline) -> None:
    pipeline.run(ITEM)
    before = pipeline.outputs()
    pipeline.table = aws().resource("dynamodb").create_table(TableName="younger", **ledger_schema())
    pipeline.ledger = DynamoLedger(pipeline.table)
    for entry in pipeline.s3.list_objects_v2(Bucket=WORK)["Contents"]:
        pipeline.s3.delete_object(Bucket=WORK, Key=entry["Key"])
    invoked = count_invocations(pipeline)
    pipeline.land_again(ITEM)
    pipeline.run(ITEM)
    assert invoked, "nothing but the files says that it was done"
    assert {key: body for key, body in pipeline.outputs().items() if key in before} == before
    assert set(files(pipeline)) == {"v001", "v002"}
    assert told(pipeline) == [("SceneEmbedded", False)] * 2


# Ending a run.


@pytest.mark.parametrize("room", [1_000, 4], ids=["running", "waiting"])
def test_an_aborted_run_writes_what_is_done_and_a_redrive_computes_the_rest(several: Pipeline, room: int) -> None:
    pipeline = several
    pipeline.most_in_flight = room
    pipeline.plan(ITEM)
    run = run_of(pipeline)
    row = pipeline.ledger.run(run)
    assert row is not None
    batches = row.batches
    assert row.state is (RunState.RUNNING if room > 4 else RunState.WAITING)
    tile(pipeline, 1)
    pipeline.answer_all()
    settle(pipeline)
    assert pipeline.order("abort", run).kind is Planned.FAILED
    pipeline.drain()
    receipt = receipts(pipeline)["v001"]
    assert receipt["status"] == "ScenePartial"
    assert set(receipt["counts"]["failed"]) == {"aborted"}
    assert receipt["counts"]["written"] == files(pipeline)["v001"].num_rows > 0
    pipeline.most_in_flight = 1_000
    invoked = count_invocations(pipeline)
    pipeline.order("redrive", run)
    pipeline.drain()
    assert len(invoked) == batches - 4, "all but the first job's"
    assert receipts(pipeline)["v002"]["counts"]["failed"] == {}
    assert pipeline.order("abort", run).kind is Planned.IGNORED, "it is over"


def test_what_tile_or_the_endpoint_does_after_an_abort_changes_nothing(pipeline: Pipeline) -> None:
    """A kill after the verdict; then outcomes of a tile come that was under way: the receipt is that of the verdict."""
    pipeline.plan(ITEM)
    run = run_of(pipeline)
    pipeline.order("abort", run)
    pipeline.faults.at, pipeline.faults.after = pipeline.faults.count + 1, True
    with pytest.raises(Killed):
        pipeline.collecting.collect(run)
    pipeline.faults.at = None
    uri = WorkObjects(bucket=WORK, run=run).outcomes("b00000")
    late = BatchOutcomes.all_failed(run, "b00000", [0, 1], "unreadable-pixels")
    pipeline.objects.put_new(uri, late.model_dump_json().encode(), run=run, content_type=JSON)
    pipeline.drain()
    assert pipeline.endpoint.taken == [], "tile leaves a run alone that was ended"
    receipt = receipts(pipeline)["v001"]
    assert receipt["counts"]["failed"] == {"aborted": receipt["counts"]["planned"]}
    assert files(pipeline) == {}


def test_a_claimed_run_is_ended_when_nobody_plans_it(pipeline: Pipeline) -> None:
    pipeline.faults.at = 3
    with pytest.raises(Killed):
        pipeline.plan(ITEM)
    pipeline.faults.at = None
    run = run_of(pipeline)
    with pytest.raises(LeaseHeldError, match="at this moment"):
        pipeline.order("abort", run)
    pipeline.now += timedelta(minutes=6)
    assert pipeline.order("abort", run).kind is Planned.FAILED
    [event] = pipeline.announced()
    assert (event["type"], event["reason"]) == ("SceneFailed", "aborted")
    assert RunState.CLAIMED not in scene_rows(pipeline).values()


@pytest.mark.parametrize("stuck", ["claimed", "waiting"])
def test_a_run_does_not_stand_for_ever(pipeline: Pipeline, stuck: str) -> None:
    if stuck == "claimed":
        pipeline.faults.at = 3
        with pytest.raises(Killed):
            pipeline.plan(ITEM)
        pipeline.faults.at = None
        planning = pipeline.options
        pipeline.choose(memory_budget=0)  # a mistake that planning raises at each time
    else:
        planning = pipeline.options
        pipeline.most_in_flight = 0
        pipeline.plan(ITEM)
    pipeline.now += timedelta(days=14)
    pipeline.options = planning
    assert pipeline.again(pipeline.reconciling.reconcile)
    pipeline.drain()
    events = pipeline.announced()
    assert [(event["type"], event["reason"]) for event in events] == [("SceneFailed", "not-finished")]


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.SETTLED])
def test_a_run_whose_plan_is_gone_ends_and_keeps_no_other_waiting(pipeline: Pipeline, state: RunState) -> None:
    pipeline.plan(ITEM)
    run = run_of(pipeline)
    if state is RunState.SETTLED:
        tile(pipeline, 1)
        pipeline.answer_all()
        settle(pipeline)
    assert scene_rows(pipeline)[run] is state
    pipeline.s3.delete_object(Bucket=WORK, Key=f"plans/{run}/plan.json")
    for queue in ("tile", "settled"):
        while pipeline.deliver(queue, lambda _: None):
            pass
    pipeline.land_again(ITEM)
    pipeline.plan(ITEM)
    pipeline.now += timedelta(days=14 if state is RunState.SETTLED else 0, minutes=20)
    assert pipeline.again(pipeline.reconciling.reconcile)
    assert pipeline.deliver("scene", pipeline.receive)
    [event] = pipeline.announced()
    assert (event["type"], event["reason"], event["run"]) == ("SceneFailed", "plan-missing", run)
    assert all(row.answered for row in pipeline.ledger.landings(run))
    assert pipeline.order("redrive", run).kind is Planned.ENQUEUED
    pipeline.drain()
    assert told(pipeline) == [("SceneEmbedded", False)]
