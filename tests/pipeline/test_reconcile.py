"""Whatever is lost on the way, a scene comes to its end: messages, functions, answers."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import WORK, Killed, Pipeline, failed

from clayline.errors import TransientError
from clayline.run.state import RunState
from clayline.steps.planning import Planned
from clayline.steps.tiling import TileJob

KEY = "scene/item.json"
type Notifications = list[dict[str, Any]]


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline], sample: Path) -> Pipeline:
    """A landed scene of several jobs and batches."""
    made = make_pipeline()
    for key, body in scenes.landsat(sample).items():
        made.put(key, body)
    return made


def purge(pipeline: Pipeline, queue: str) -> int:
    """Lose every message of a queue; gives how many."""
    lost = 0
    while pipeline.deliver(queue, lambda _: None):
        lost += 1
    return lost


def tile(pipeline: Pipeline) -> None:
    """Do every job that was handed out."""
    while pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body))):
        pass


def settle(pipeline: Pipeline) -> None:
    """Do every job, answer every request, end every batch."""
    tile(pipeline)
    pipeline.answer_all()
    while pipeline.deliver("result", pipeline.result):
        pass


def rows(pipeline: Pipeline) -> list[dict[str, Any]]:
    return list(pipeline.table.scan()["Items"])


def run_of(pipeline: Pipeline) -> str:
    [run] = {row["pk"].removeprefix("run#") for row in rows(pipeline) if row["sk"] == "scene"}
    return str(run)


def state(pipeline: Pipeline) -> RunState:
    row = pipeline.ledger.run(run_of(pipeline))
    assert row is not None
    return row.state


def ended(pipeline: Pipeline, status: str = "SceneEmbedded") -> dict[str, Any]:
    """Give the receipt of a scene that came to its end, and was announced so."""
    events = pipeline.announced()
    assert {event["type"] for event in events} == {status}
    assert state(pipeline) is RunState.ANNOUNCED
    return pipeline.receipt()


@pytest.mark.parametrize("queue", ["tile", "settled"])
def test_messages_that_are_lost_are_sent_again(pipeline: Pipeline, queue: str) -> None:
    pipeline.plan(KEY)
    lost = 0
    if queue == "tile":
        lost = purge(pipeline, queue)
    else:
        settle(pipeline)
        assert state(pipeline) is RunState.SETTLED
        lost = purge(pipeline, queue)
    assert lost
    pipeline.drain()
    assert ended(pipeline)["counts"]["failed"] == {}


def test_notifications_that_are_lost_are_found_by_their_answers(pipeline: Pipeline) -> None:
    pipeline.plan(KEY)
    pipeline.drain(change=lambda _: [])
    assert ended(pipeline)["counts"]["failed"] == {}


def test_a_failure_that_nobody_tells_of_is_found_and_tried_again(pipeline: Pipeline) -> None:
    told = 0

    def fail_first(notifications: Notifications) -> Notifications:
        nonlocal told
        told += 1
        if told > 1:
            return notifications
        for each in notifications:
            identity = each["inferenceId"]
            pipeline.s3.delete_object(Bucket=WORK, Key=f"responses/{identity}.out")
            pipeline.s3.put_object(Bucket=WORK, Key=f"failures/{identity}-error.out", Body=b"out of memory")
        return []

    pipeline.plan(KEY)
    pipeline.drain(change=fail_first)
    assert ended(pipeline)["counts"]["failed"] == {}
    assert {row["attempt"] for row in rows(pipeline) if row["sk"].startswith("batch#")} >= {2}


def test_requests_that_expire_in_silence_are_tried_again_and_then_fail(pipeline: Pipeline) -> None:
    """Neither an answer nor an error nor a message, three times six hours."""

    def swallow(notifications: Notifications) -> Notifications:
        for each in notifications:
            pipeline.s3.delete_object(Bucket=WORK, Key=f"responses/{each['inferenceId']}.out")
        pipeline.now += timedelta(hours=7)
        return []

    pipeline.plan(KEY)
    pipeline.drain(change=swallow)
    receipt = ended(pipeline, "SceneFailed")
    assert set(receipt["counts"]["failed"]) == {"request-expired"}
    assert {row["attempt"] for row in rows(pipeline) if "since" in row} >= {3}


def test_a_claim_whose_planner_is_gone_is_planned_from_its_landing(pipeline: Pipeline) -> None:
    pipeline.faults.at = 3
    with pytest.raises(Killed):
        pipeline.plan(KEY)
    pipeline.faults.at = None
    assert state(pipeline) is RunState.CLAIMED
    pipeline.now += timedelta(minutes=30)
    pipeline.drain()
    ended(pipeline)


def test_a_claim_whose_source_was_replaced_ends_and_the_new_content_is_embedded(
    pipeline: Pipeline, sample: Path
) -> None:
    """Delivery 1 is killed, then the Item is replaced: the old run would be claimed for ever."""
    pipeline.faults.at = 3
    with pytest.raises(Killed):
        pipeline.plan(KEY)
    pipeline.faults.at = None
    old = run_of(pipeline)
    item = json.loads(scenes.landsat(sample)[KEY])
    item["properties"]["eo:cloud_cover"] = 99
    pipeline.put(KEY, json.dumps(item).encode())
    pipeline.now += timedelta(minutes=30)
    pipeline.drain()
    assert pipeline.ledger.run(old) is None
    assert {event["type"] for event in pipeline.announced()} == {"SceneEmbedded"}


@pytest.mark.parametrize("commit", ["receipt", "event"])
def test_a_receipt_without_an_event_is_announced(pipeline: Pipeline, commit: str) -> None:
    pipeline.plan(KEY)
    settle(pipeline)
    log = pipeline.faults.log
    start = len(log)
    purge(pipeline, "settled")
    # verdict, Parquet, metadata, model, Item, receipt; then the state; the requests; then the event
    pipeline.faults.at = pipeline.faults.count + (6 if commit == "receipt" else 9)
    pipeline.faults.after = True
    with pytest.raises(Killed):
        pipeline.collecting.collect(run_of(pipeline))
    assert log[start:] == ["put_new"] * 6 + (["enter", "discard", "announce"] if commit == "event" else [])
    pipeline.faults.at = None
    before = pipeline.outputs()
    pipeline.drain()
    ended(pipeline)
    assert pipeline.outputs() == before


def test_an_answer_that_comes_and_goes_does_not_give_two_truths(pipeline: Pipeline) -> None:
    """Missing at the first try, killed after the Parquet, there at the second: file and receipt say the same."""
    pipeline.plan(KEY)
    settle(pipeline)
    purge(pipeline, "settled")
    key = pipeline.s3.list_objects_v2(Bucket=WORK, Prefix="responses/")["Contents"][0]["Key"]
    body = pipeline.s3.get_object(Bucket=WORK, Key=key)["Body"].read()
    pipeline.s3.delete_object(Bucket=WORK, Key=key)
    pipeline.now += timedelta(minutes=11)  # long enough that a missing answer is missing for good
    pipeline.faults.at, pipeline.faults.after = pipeline.faults.count + 2, True
    with pytest.raises(Killed):
        pipeline.collecting.collect(run_of(pipeline))
    pipeline.faults.at = None
    pipeline.s3.put_object(Bucket=WORK, Key=key, Body=body)
    pipeline.drain()
    receipt = ended(pipeline, "ScenePartial")
    assert receipt["counts"]["failed"]["response-missing"] > 0
    [parquet] = [body for name, body in pipeline.outputs().items() if name.endswith(".parquet")]
    assert pq.read_table(BytesIO(parquet)).num_rows == receipt["counts"]["written"] > 0


def test_a_missing_answer_is_waited_for_before_it_counts_as_missing(pipeline: Pipeline) -> None:
    pipeline.plan(KEY)
    settle(pipeline)
    purge(pipeline, "settled")
    key = pipeline.s3.list_objects_v2(Bucket=WORK, Prefix="responses/")["Contents"][0]["Key"]
    body = pipeline.s3.get_object(Bucket=WORK, Key=key)["Body"].read()
    pipeline.s3.delete_object(Bucket=WORK, Key=key)
    with pytest.raises(TransientError, match="a moment ago"):
        pipeline.collecting.collect(run_of(pipeline))
    assert pipeline.outputs() == {}
    pipeline.s3.put_object(Bucket=WORK, Key=key, Body=body)
    pipeline.drain()
    assert ended(pipeline)["counts"]["failed"] == {}


def killed(**_: str) -> None:
    raise Killed


def test_a_request_that_has_expired_in_the_bucket_is_made_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcomes stand for a month, the request for two days: a job that comes again in between has neither answer
    nor request.
    """
    pipeline.plan(KEY)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.endpoint, "invoke", killed)
        with pytest.raises(Killed):
            pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body)))
    for entry in pipeline.s3.list_objects_v2(Bucket=WORK, Prefix="requests/")["Contents"]:
        pipeline.s3.delete_object(Bucket=WORK, Key=entry["Key"])
    pipeline.drain()
    assert ended(pipeline)["counts"]["failed"] == {}


def test_what_does_not_fit_waits_its_turn_and_no_scene_starves(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    """Two scenes of several jobs, room for two batches: both get their share, and end."""
    pipeline = make_pipeline(chips_per_batch=2, memory_budget=16_000_000)
    pipeline.most_in_flight = 2
    for row, folder in ((200, "one"), (600, "two")):
        for key, body in scenes.landsat(sample, folder=folder, row=row).items():
            pipeline.put(key, body)
        pipeline.plan(f"{folder}/item.json")
    flights = pipeline.ledger.flights()
    assert RunState.WAITING in {flight.state for flight in flights}
    pipeline.drain()
    assert [(event["type"], event["reason"]) for event in pipeline.announced()] == [("SceneEmbedded", None)] * 2
    assert list(pipeline.ledger.flights()) == []


@pytest.mark.parametrize("lost", ["jobs", "requests", "notifications"])
def test_what_is_lost_of_a_scene_that_waits_does_not_keep_the_room(
    make_pipeline: Callable[..., Pipeline], sample: Path, lost: str
) -> None:
    """Some jobs are handed out and fill the room, the others wait for it: for ever, if nobody looks."""
    pipeline = make_pipeline(chips_per_batch=2, memory_budget=200_000)
    pipeline.most_in_flight = 4
    for key, body in scenes.landsat(sample, row=600, height=600).items():
        pipeline.put(key, body)
    pipeline.plan(KEY)
    if lost == "jobs":
        assert purge(pipeline, "tile")
    else:
        tile(pipeline)
        if lost == "requests":
            pipeline.endpoint.taken.clear()
        else:
            pipeline.answer_all(change=lambda _: [])
    [flight] = pipeline.ledger.flights()
    assert (flight.state, flight.in_flight) == (RunState.WAITING, 4)
    if lost == "requests":
        pipeline.now += timedelta(hours=7)
    pipeline.drain()
    receipt = ended(pipeline)
    assert receipt["counts"]["failed"] == {}
    assert receipt["counts"]["written"] > 0


def test_a_scene_whose_asset_lands_after_its_item_waits_for_it(pipeline: Pipeline) -> None:
    pipeline.choose(asset_wait=timedelta(minutes=40))
    body = pipeline.s3.get_object(Bucket="scenes", Key="scene/B4.tif")["Body"].read()
    pipeline.s3.delete_object(Bucket="scenes", Key="scene/B4.tif")
    assert pipeline.plan(KEY).kind is Planned.WAITS
    assert pipeline.plan(KEY).kind is Planned.WAITS, "a delivery that comes twice waits as long as the first"
    waits = run_of(pipeline)
    pipeline.now += timedelta(minutes=1)
    assert pipeline.reconciling.reconcile() == {"claimed": 1}
    assert pipeline.deliver("scene", pipeline.receive)
    assert pipeline.announced() == []
    pipeline.put("scene/B4.tif", body)
    pipeline.drain()
    assert pipeline.ledger.run(waits) is None
    assert [(event["type"], event["repeated"]) for event in pipeline.announced()] == [("SceneEmbedded", False)]


def test_an_asset_that_never_lands_is_waited_for_no_longer_than_it_may(pipeline: Pipeline) -> None:
    pipeline.choose(asset_wait=timedelta(minutes=40))
    pipeline.s3.delete_object(Bucket="scenes", Key="scene/B4.tif")
    pipeline.plan(KEY)
    pipeline.drain()
    [event] = pipeline.announced()
    assert (event["type"], event["reason"], event["repeated"]) == ("SceneFailed", "asset-missing", False)
    assert {row["state"] for row in rows(pipeline) if row["sk"] == "scene" and "state" in row} == {"announced"}


def test_an_attempt_that_the_endpoint_did_not_take_is_not_one_that_failed(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint refuses for hours, then one invocation fails: that is the first failure, whatever its number."""

    def refuse(**_: str) -> None:
        raise TransientError("no capacity")

    pipeline.plan(KEY)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.endpoint, "invoke", refuse)
        for _ in range(5):
            with pytest.raises(TransientError):
                pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body)))
    failures = 0

    def fail_once(notifications: Notifications) -> Notifications:
        nonlocal failures
        failures += 1
        if failures > 1:
            return notifications
        first = notifications[0]
        return [failed(first["requestParameters"]["inputLocation"], first["inferenceId"]), *notifications[1:]]

    pipeline.drain(change=fail_once)
    assert ended(pipeline)["counts"]["failed"] == {}
