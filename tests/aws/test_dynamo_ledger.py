"""The ledger on moto.

Leases with explicit times, stages that never fall, revisions, results in any order, and the size of items.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Lock
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto.dynamodb.models import DynamoDBBackend
from tests.aws.conftest import REGION, Cloud, moto_examples

from clayline.aws.ledger import DynamoLedger
from clayline.errors import TransientError
from clayline.run.ledger import BatchRow, Claim, LandingRow, Outcome, Stage
from clayline.run.result import BatchResult

RUN = "0123456789abcdef" * 2
RUNS = (f"{number:032x}" for number in count(1))
"""Hypothesis' examples share one table: each takes a run of its own."""
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE = timedelta(minutes=5)
MOST_BYTES = 400 * 1024
"""DynamoDB's limit for an item; moto does not know it."""


def claim(ledger: DynamoLedger, now: datetime, run: str = RUN) -> Claim:
    return ledger.claim(run, scene="S2A", now=now, lease_until=now + LEASE)


def result(status: Any, batch: str = "b00000", attempt: int = 1, **changes: Any) -> BatchResult:
    output = f"s3://work/responses/{batch}-{attempt}.out" if status == "succeeded" else None
    reason = "inference-failed" if status == "failed" else None
    return BatchResult(run=RUN, batch=batch, attempt=attempt, status=status, output=output, reason=reason, **changes)


def test_a_new_run_is_claimed(cloud: Cloud) -> None:
    assert claim(cloud.ledger, NOON) is Claim.GRANTED
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert (row.run, row.scene, row.stage, row.lease_until) == (RUN, "S2A", Stage.CLAIMED, NOON + LEASE)
    assert (row.batches, row.settled, row.claimed) == (None, frozenset(), NOON)


@pytest.mark.parametrize(
    ("after", "answer"),
    [
        (timedelta(0), Claim.HELD),
        (LEASE - timedelta(seconds=1), Claim.HELD),
        (LEASE, Claim.GRANTED),
        (timedelta(days=3), Claim.GRANTED),
    ],
)
def test_a_lease_holds_until_it_runs_out(cloud: Cloud, after: timedelta, answer: Claim) -> None:
    claim(cloud.ledger, NOON)
    assert claim(cloud.ledger, NOON + after) is answer
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert row.lease_until == (NOON + after + LEASE if answer is Claim.GRANTED else NOON + LEASE)
    assert row.claimed == NOON, "creation is the first claim's, whoever plans in the end"


def test_a_lease_that_is_released_can_be_taken_at_once(cloud: Cloud) -> None:
    claim(cloud.ledger, NOON)
    cloud.ledger.release(RUN, lease_until=NOON + LEASE)
    assert claim(cloud.ledger, NOON) is Claim.GRANTED


def test_nobody_releases_his_successors_lease(cloud: Cloud) -> None:
    claim(cloud.ledger, NOON)
    assert claim(cloud.ledger, NOON + LEASE) is Claim.GRANTED
    cloud.ledger.release(RUN, lease_until=NOON + LEASE)
    assert claim(cloud.ledger, NOON + LEASE) is Claim.HELD


def test_releasing_what_nobody_claimed_makes_no_row(cloud: Cloud) -> None:
    cloud.ledger.release(RUN, lease_until=NOON)
    assert cloud.ledger.run(RUN) is None


@pytest.mark.parametrize("stage", [Stage.CLAIMED, Stage.PLANNED])
def test_a_run_that_is_not_enqueued_can_be_resumed_and_keeps_its_stage(cloud: Cloud, stage: Stage) -> None:
    claim(cloud.ledger, NOON)
    cloud.ledger.advance(RUN, stage, batches=7)
    assert claim(cloud.ledger, NOON + LEASE) is Claim.GRANTED
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert row.stage is stage


@pytest.mark.parametrize("stage", [Stage.ENQUEUED, Stage.SETTLED, Stage.ANNOUNCED])
@pytest.mark.parametrize("after", [timedelta(0), timedelta(days=3)])
def test_a_run_that_is_enqueued_is_done_however_late_the_event_comes(
    cloud: Cloud, stage: Stage, after: timedelta
) -> None:
    claim(cloud.ledger, NOON)
    cloud.ledger.advance(RUN, stage)
    assert claim(cloud.ledger, NOON + after) is Claim.DONE


@moto_examples
@given(st.lists(st.sampled_from(list(Stage)), max_size=8))
def test_the_stage_never_falls(cloud: Cloud, stages: list[Stage]) -> None:
    run = next(RUNS)
    claim(cloud.ledger, NOON, run)
    highest = Stage.CLAIMED
    for stage in stages:
        cloud.ledger.advance(run, stage)
        highest = max(highest, stage)
        row = cloud.ledger.run(run)
        assert row is not None
        assert row.stage is highest


def test_the_number_of_batches_is_kept(cloud: Cloud) -> None:
    claim(cloud.ledger, NOON)
    cloud.ledger.advance(RUN, Stage.PLANNED, batches=15)
    cloud.ledger.advance(RUN, Stage.PLANNED, batches=99)
    cloud.ledger.advance(RUN, Stage.ENQUEUED)
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert row.batches == 15


def test_a_run_nobody_knows(cloud: Cloud) -> None:
    cloud.ledger.advance(RUN, Stage.SETTLED)
    assert cloud.ledger.run(RUN) is None
    assert cloud.ledger.batch(RUN, "b00000") is None
    assert list(cloud.ledger.batches(RUN)) == []
    assert cloud.ledger.settle(RUN, "b00000") is None
    assert cloud.ledger.run(RUN) is None, "settling must not make a run"


PARTIAL = Outcome(status="ScenePartial", receipt="s3://out/a_receipt.json", failed=True)
REFUSED = Outcome(status="SceneFailed", receipt="s3://out/failed/b_receipt.json", failed=False)


def test_a_refusal_is_over_at_once(cloud: Cloud) -> None:
    cloud.ledger.announced_refusal(RUN, REFUSED, scene="S2A")
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert (row.stage, row.scene, row.outcome) == (Stage.ANNOUNCED, "S2A", REFUSED)
    cloud.ledger.announced_refusal(RUN, PARTIAL, scene="S2B")
    assert cloud.ledger.run(RUN) == row, "what was announced stays"


def test_what_was_announced_is_kept_once(cloud: Cloud) -> None:
    claim(cloud.ledger, NOON)
    cloud.ledger.advance(RUN, Stage.SETTLED)
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert row.outcome is None
    cloud.ledger.announced(RUN, PARTIAL)
    cloud.ledger.announced(RUN, REFUSED)
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert (row.stage, row.outcome) == (Stage.ANNOUNCED, PARTIAL)


def test_announcing_what_nobody_knows_makes_no_row(cloud: Cloud) -> None:
    cloud.ledger.announced(RUN, PARTIAL)
    assert cloud.ledger.run(RUN) is None


def test_a_refused_scenes_run_is_as_new(cloud: Cloud) -> None:
    claim(cloud.ledger, NOON)
    cloud.ledger.refuse(RUN, lease_until=NOON + LEASE)
    assert claim(cloud.ledger, NOON + timedelta(days=30)) is Claim.GRANTED
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert (row.stage, row.claimed) == (Stage.CLAIMED, NOON + timedelta(days=30)), "creation is when it was planned"


def test_nobody_refuses_under_his_successors_lease(cloud: Cloud) -> None:
    claim(cloud.ledger, NOON)
    assert claim(cloud.ledger, NOON + LEASE) is Claim.GRANTED
    cloud.ledger.refuse(RUN, lease_until=NOON + LEASE)
    assert claim(cloud.ledger, NOON + LEASE) is Claim.HELD
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert row.claimed == NOON


def test_a_stored_plan_keeps_its_time_whoever_refuses(cloud: Cloud) -> None:
    claim(cloud.ledger, NOON)
    cloud.ledger.advance(RUN, Stage.PLANNED, batches=7)
    cloud.ledger.refuse(RUN, lease_until=NOON + LEASE)
    assert claim(cloud.ledger, NOON + timedelta(seconds=1)) is Claim.GRANTED
    row = cloud.ledger.run(RUN)
    assert row is not None
    assert (row.claimed, row.batches) == (NOON, 7)


def test_refusing_what_nobody_claimed_makes_no_row(cloud: Cloud) -> None:
    cloud.ledger.refuse(RUN, lease_until=NOON)
    assert cloud.ledger.run(RUN) is None


FIRST, SECOND = "a" * 32, "b" * 32


def test_a_landing_stands_where_it_was_kept_and_nowhere_else(cloud: Cloud) -> None:
    assert cloud.ledger.landing(RUN, FIRST) is None
    cloud.ledger.keep_landing(RUN, FIRST, uri="s3://scenes/a.json")
    assert cloud.ledger.landing(RUN, FIRST) == LandingRow(landing=FIRST, uri="s3://scenes/a.json", answered=False)
    assert cloud.ledger.landing(RUN, SECOND) is None
    assert cloud.ledger.landing(next(RUNS), FIRST) is None
    assert cloud.ledger.run(RUN) is None, "a landing makes no run"


@pytest.mark.parametrize("kept", [True, False])
def test_a_landing_that_was_answered_stays_answered(cloud: Cloud, *, kept: bool) -> None:
    if kept:
        cloud.ledger.keep_landing(RUN, FIRST, uri="s3://scenes/a.json")
    cloud.ledger.answer_landing(RUN, FIRST, uri="s3://scenes/a.json")
    answered = LandingRow(landing=FIRST, uri="s3://scenes/a.json", answered=True)
    assert cloud.ledger.landing(RUN, FIRST) == answered
    cloud.ledger.keep_landing(RUN, FIRST, uri="s3://scenes/a.json")  # a delivery that comes late
    assert cloud.ledger.landing(RUN, FIRST) == answered


def test_the_landings_of_a_run_are_given_without_its_batches(cloud: Cloud) -> None:
    claim(cloud.ledger, NOON)
    cloud.ledger.record_result(SUCCESS)
    for landing in (SECOND, FIRST):
        cloud.ledger.keep_landing(RUN, landing, uri=f"s3://scenes/{landing[0]}.json")
    cloud.ledger.answer_landing(RUN, SECOND, uri="s3://scenes/b.json")
    cloud.ledger.keep_landing(next(RUNS), FIRST, uri="s3://scenes/other.json")
    assert cloud.ledger.landings(RUN) == [
        LandingRow(landing=FIRST, uri="s3://scenes/a.json", answered=False),
        LandingRow(landing=SECOND, uri="s3://scenes/b.json", answered=True),
    ]
    assert [row.batch for row in cloud.ledger.batches(RUN)] == ["b00000"]


def test_revisions_count_the_runs_of_a_scene_under_a_model(cloud: Cloud) -> None:
    def revision(run: str, token: str = "m-v1-a", scene: str = "s" * 12) -> int:  # noqa: S107 - a model's name
        return cloud.ledger.revision(token=token, scene_hash=scene, run=run)

    assert [revision("one"), revision("two"), revision("one"), revision("three"), revision("two")] == [1, 2, 1, 3, 2]
    assert revision("two", token="m-v1-b") == 1
    assert revision("two", scene="t" * 12) == 1


@moto_examples
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=15))
def test_a_run_keeps_its_revision(cloud: Cloud, runs: list[str]) -> None:
    run = next(RUNS)
    first_seen = list(dict.fromkeys(runs))
    found = [cloud.ledger.revision(token="m", scene_hash=run, run=each) for each in runs]
    assert found == [first_seen.index(each) + 1 for each in runs]


def test_runs_at_the_same_time_get_different_revisions(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread with a client of its own, as functions have; each run asks twice."""
    # DynamoDB changes one item one caller at a time; moto checks a condition and then writes, and another thread may
    # come between.
    lock, update = Lock(), DynamoDBBackend.update_item

    def one_at_a_time(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return update(*args, **kwargs)

    monkeypatch.setattr(DynamoDBBackend, "update_item", one_at_a_time)
    assert cloud.ledger.revision(token="m", scene_hash="s", run="first") == 1

    def ask(number: int) -> tuple[str, int]:
        table = boto3.session.Session().resource("dynamodb", region_name=REGION).Table("ledger")
        run = f"run{number // 2}"
        return run, DynamoLedger(table).revision(token="m", scene_hash="s", run=run)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(16)))
    revisions = dict(found)
    assert set(found) == set(revisions.items()), "a run was given two revisions"
    assert sorted(revisions.values()) == list(range(2, 10))


SUCCESS, AGAIN = result("succeeded"), result("succeeded", attempt=2)
FAILURE, EXPIRED = result("failed"), result("failed", attempt=2, message="later")
NOTHING = result("nothing-sent")


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ([SUCCESS], SUCCESS),
        ([FAILURE], FAILURE),
        ([NOTHING], NOTHING),
        ([FAILURE, SUCCESS], SUCCESS),
        ([SUCCESS, FAILURE], SUCCESS),
        ([FAILURE, EXPIRED], FAILURE),
        ([EXPIRED, FAILURE], EXPIRED),
        ([SUCCESS, AGAIN], SUCCESS),
        ([AGAIN, SUCCESS], AGAIN),
        ([FAILURE, SUCCESS, AGAIN, FAILURE, EXPIRED, SUCCESS], SUCCESS),
        ([NOTHING, FAILURE], NOTHING),
    ],
)
def test_the_first_success_holds_else_the_first_failure(
    cloud: Cloud, order: list[BatchResult], kept: BatchResult
) -> None:
    for each in order:
        cloud.ledger.record_result(each)
    row = cloud.ledger.batch(RUN, "b00000")
    assert row is not None
    assert row.result == kept


@moto_examples
@given(st.lists(st.sampled_from([SUCCESS, AGAIN, FAILURE, EXPIRED]), min_size=1, max_size=8))
def test_whatever_the_order(cloud: Cloud, order: list[BatchResult]) -> None:
    run = next(RUNS)
    for each in order:
        cloud.ledger.record_result(each.model_copy(update={"run": run}))
    row = cloud.ledger.batch(run, "b00000")
    successes = [each for each in order if each.status == "succeeded"]
    assert row is not None
    assert row.result is not None
    assert row.result.model_copy(update={"run": RUN}) == (successes or order)[0]


def raw_batch(cloud: Cloud) -> dict[str, Any]:
    return cloud.table.get_item(Key={"pk": f"run#{RUN}", "sk": "batch#b00000"})["Item"]


def test_a_second_success_is_noted_as_late_and_the_same_one_is_not(cloud: Cloud) -> None:
    cloud.ledger.record_result(SUCCESS)
    cloud.ledger.record_result(SUCCESS)
    assert "late_result" not in raw_batch(cloud)
    cloud.ledger.record_result(AGAIN)
    assert raw_batch(cloud)["late_result"]["output"] == AGAIN.output


def test_a_result_before_tiles_row_is_kept_when_the_row_comes(cloud: Cloud) -> None:
    cloud.ledger.record_result(SUCCESS)
    assert cloud.ledger.batch(RUN, "b00000") == BatchRow(
        batch="b00000", attempt=None, inference_id=None, output=None, result=SUCCESS
    )
    cloud.ledger.record_request(RUN, "b00000", attempt=1, inference_id="f" * 40)
    cloud.ledger.record_invocation(RUN, "b00000", attempt=1, output="s3://work/responses/x.out")
    assert cloud.ledger.batch(RUN, "b00000") == BatchRow(
        batch="b00000", attempt=1, inference_id="f" * 40, output="s3://work/responses/x.out", result=SUCCESS
    )


def test_an_earlier_attempt_does_not_undo_a_later_one(cloud: Cloud) -> None:
    cloud.ledger.record_request(RUN, "b00000", attempt=2, inference_id="2")
    cloud.ledger.record_request(RUN, "b00000", attempt=1, inference_id="1")
    cloud.ledger.record_invocation(RUN, "b00000", attempt=1, output="s3://work/1")
    row = cloud.ledger.batch(RUN, "b00000")
    assert row is not None
    assert (row.attempt, row.inference_id, row.output) == (2, "2", None)


def test_a_new_attempt_was_not_invoked_yet(cloud: Cloud) -> None:
    """Else tile would take the first attempt's answer for the second's and never invoke it."""
    cloud.ledger.record_request(RUN, "b00000", attempt=1, inference_id="1")
    cloud.ledger.record_invocation(RUN, "b00000", attempt=1, output="s3://work/1")
    cloud.ledger.record_request(RUN, "b00000", attempt=1, inference_id="1")
    row = cloud.ledger.batch(RUN, "b00000")
    assert row is not None
    assert row.output == "s3://work/1", "the same attempt again keeps what it knows"
    cloud.ledger.record_request(RUN, "b00000", attempt=2, inference_id="2")
    row = cloud.ledger.batch(RUN, "b00000")
    assert row is not None
    assert (row.attempt, row.inference_id, row.output) == (2, "2", None)


@moto_examples
@given(st.lists(st.integers(0, 5), max_size=12))
def test_the_settled_set_counts_distinct_batches(cloud: Cloud, order: list[int]) -> None:
    run = next(RUNS)
    claim(cloud.ledger, NOON, run)
    for seen, number in enumerate(order, start=1):
        row = cloud.ledger.settle(run, f"b{number:05d}")
        assert row is not None
        assert row.settled == {f"b{each:05d}" for each in order[:seen]}
    row = cloud.ledger.run(run)
    assert row is not None
    assert len(row.settled) == len(set(order))


class CountedQueries:
    """A table that counts its queries."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.queries = 0

    def __getattr__(self, name: str) -> Any:
        self.queries += name == "query"
        return getattr(self._table, name)


def test_all_batches_are_given_page_by_page(cloud: Cloud) -> None:
    """1,100 rows of over 1 kB: more than DynamoDB gives in one answer (1 MB)."""
    claim(cloud.ledger, NOON)
    message = "é" * 500
    with cloud.table.batch_writer() as writer:
        for number in range(1100):
            kept = result("failed", f"b{number:05d}", message=message).model_dump(exclude_none=True)
            writer.put_item(Item={"pk": f"run#{RUN}", "sk": f"batch#b{number:05d}", "result": kept})
        writer.put_item(Item={"pk": f"run#{'f' * 32}", "sk": "batch#b00000"})
    table: Any = CountedQueries(cloud.table)
    rows = DynamoLedger(table).batches(RUN)
    assert table.queries > 1, "one page held all: the test shows nothing"
    assert [row.batch for row in rows] == [f"b{number:05d}" for number in range(1100)]
    assert all(row.result is not None and row.result.message == message for row in rows)


def item_bytes(item: dict[str, Any]) -> int:
    """Size as DynamoDB counts it (developer guide, "DynamoDB item sizes and formats"), upper bounds where it only says
    "approximately".
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(typed: dict[str, Any]) -> int:
    [(kind, value)] = typed.items()
    if kind == "S":
        return len(value.encode())
    if kind == "N":
        return 21
    if kind in {"BOOL", "NULL"}:
        return 1
    if kind == "SS":
        return 3 + sum(1 + len(member.encode()) for member in value)
    if kind == "L":
        return 3 + sum(1 + _value_bytes(member) for member in value)
    assert kind == "M"
    return 3 + sum(1 + len(name.encode()) + _value_bytes(member) for name, member in value.items())


def sizes() -> dict[str, int]:
    """Give the size of every item by its sort key, from the items as they travel."""
    client = boto3.client("dynamodb", region_name=REGION)
    items = [item for page in client.get_paginator("scan").paginate(TableName="ledger") for item in page["Items"]]
    return {item["sk"]["S"]: item_bytes(item) for item in items}


def test_the_run_of_152_000_chips_stays_far_below_the_limit_of_an_item(cloud: Cloud) -> None:
    batches = [f"b{number:05d}" for number in range(152_000 // 64)]
    claim(cloud.ledger, NOON)
    cloud.ledger.advance(RUN, Stage.PLANNED, batches=len(batches))
    for start in range(0, len(batches) - 1, 500):  # moto is slow at one by one; the last goes through the ledger
        part = set(batches[start : min(start + 500, len(batches) - 1)])
        cloud.table.update_item(
            Key={"pk": f"run#{RUN}", "sk": "scene"},
            UpdateExpression="ADD settled :b",
            ExpressionAttributeValues={":b": part},
        )
    row = cloud.ledger.settle(RUN, batches[-1])
    assert row is not None
    assert row.settled == frozenset(batches)
    assert len(batches) == 2375
    size = sizes()["scene"]
    assert 2375 * 6 < size < MOST_BYTES / 10


def test_a_batchs_row_stays_small_whatever_it_was_told(cloud: Cloud) -> None:
    location = "s3://" + "b" * 63 + "/" + "k" * 1024
    worst = {"message": "\U0001f6f0" * 500, "output": location}
    cloud.ledger.record_request(RUN, "b00000", attempt=999_999, inference_id="f" * 64)
    cloud.ledger.record_invocation(RUN, "b00000", attempt=999_999, output=location)
    for attempt in (1, 2):
        cloud.ledger.record_result(result("succeeded", attempt=attempt).model_copy(update=worst))
    assert 5_000 < sizes()["batch#b00000"] < MOST_BYTES / 10


def test_a_thousand_revisions_of_a_scene_fit(cloud: Cloud) -> None:
    for number in range(3):
        cloud.ledger.revision(token="m" * 48, scene_hash="s" * 12, run=f"{number:032x}")
    cloud.table.update_item(
        Key={"pk": f"scene#{'m' * 48}#{'s' * 12}", "sk": "runs"},
        UpdateExpression="SET runs = list_append(runs, :more)",
        ExpressionAttributeValues={":more": [f"{number:032x}" for number in range(3, 1000)]},
    )
    assert cloud.ledger.revision(token="m" * 48, scene_hash="s" * 12, run="f" * 32) == 1001
    assert sizes()["runs"] < MOST_BYTES / 10


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "AccessDeniedException",
        "ResourceNotFoundException",
        "InternalServerError",
    ],
)
def test_what_dynamodb_refuses_comes_again(code: str) -> None:
    table = boto3.resource("dynamodb", region_name=REGION).Table("ledger")
    with Stubber(table.meta.client) as stub:
        for method in ("update_item", "get_item", "query"):
            stub.add_client_error(method, code)
        ledger = DynamoLedger(table)
        with pytest.raises(TransientError, match=RUN):
            ledger.settle(RUN, "b00000")
        with pytest.raises(TransientError, match=RUN):
            ledger.run(RUN)
        with pytest.raises(TransientError, match=RUN):
            ledger.batches(RUN)
        stub.add_client_error("query", code)
        with pytest.raises(TransientError, match=RUN):
            ledger.landings(RUN)


def test_a_network_that_fails_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    table = boto3.resource("dynamodb", region_name=REGION).Table("ledger")

    def fail(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(table.meta.client, "_make_api_call", fail)
    with pytest.raises(TransientError):
        DynamoLedger(table).run(RUN)


def test_reads_are_consistent() -> None:
    """An eventually consistent read could miss the batch that was settled a moment ago, and the scene would wait for
    ever.
    """
    table = boto3.resource("dynamodb", region_name=REGION).Table("ledger")
    asked: list[dict[str, Any]] = []
    table.meta.client.meta.events.register("provide-client-params.dynamodb.*", lambda params, **_: asked.append(params))
    with Stubber(table.meta.client) as stub:
        for operation in ("get_item", "query"):
            stub.add_response(operation, {"Items": []} if operation == "query" else {})
            stub.add_response(operation, {"Items": []} if operation == "query" else {})
        DynamoLedger(table).run(RUN)
        DynamoLedger(table).landing(RUN, FIRST)
        DynamoLedger(table).batches(RUN)
        DynamoLedger(table).landings(RUN)
    assert [params["ConsistentRead"] for params in asked] == [True] * 4
