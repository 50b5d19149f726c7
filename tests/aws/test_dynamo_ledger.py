"""The ledger on moto: what only a table can get wrong. Callers at the same time, pages, sizes of items, refusals.

What any ledger does is in test_ledger_contract.py.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from moto.dynamodb.models import DynamoDBBackend
from tests.aws.conftest import REGION, Cloud
from tests.aws.test_ledger_contract import FIRST, NOON, RUN, claim, plan, result, send

from clayline.aws.ledger import DynamoLedger
from clayline.errors import TransientError
from clayline.run.ledger import Closing, Invocation
from clayline.run.state import RunState

MOST_BYTES = 400 * 1024
"""DynamoDB's limit for an item; moto does not know it."""


def test_runs_at_the_same_time_get_different_revisions(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread with a client of its own, as functions have."""
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
        run = f"run{number}"
        return run, DynamoLedger(table).revision(token="m", scene_hash="s", run=run)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert sorted(revision for _, revision in found) == list(range(2, 10))


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
    claim(cloud.ledger)
    message = "é" * 500
    with cloud.table.batch_writer() as writer:
        for number in range(1100):
            kept = result("failed", f"b{number:05d}", message=message).model_dump(exclude_none=True)
            begun = {"job": 0, "attempt": 1, "since": 0}
            writer.put_item(Item={"pk": f"run#{RUN}", "sk": f"batch#b{number:05d}", "result": kept, **begun})
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


def test_the_last_of_40_000_batches_ends_at_the_cost_of_the_first(cloud: Cloud) -> None:
    """One transaction of two small items, whatever has ended before."""
    calls: Counter[str] = Counter()
    client = cloud.table.meta.client
    client.meta.events.register("before-call.dynamodb", lambda model, **_: calls.update([model.name]))
    plan(cloud.ledger, jobs=1, batches=40_000)
    cloud.ledger.hand_out(RUN, start=0, stop=1, out=40_000, due=NOON)
    seen = []
    for still in (40_000, 20_000, 1):
        cloud.table.update_item(
            Key={"pk": f"run#{RUN}", "sk": "scene"},
            UpdateExpression="SET #open = :still",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":still": still},
        )
        batch = f"b{40_000 - still:05d}"
        send(cloud.ledger, batch)
        calls.clear()
        assert cloud.ledger.close(result("succeeded", batch)) is Closing.CLOSED
        row = cloud.ledger.run(RUN)
        assert row is not None
        assert row.open == still - 1
        found = sizes()
        seen.append((dict(calls), found["scene"], found[f"batch#{batch}"]))
        calls.clear()
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == {"TransactWriteItems": 1, "GetItem": 1}
    assert seen[0][1] < 1_024


def cancel(stub: Stubber, *codes: str) -> None:
    reasons = [{"Code": code} for code in codes]
    error = "TransactionCanceledException"
    stub.add_client_error("transact_write_items", error, modeled_fields={"CancellationReasons": reasons})


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_that_was_throttled_comes_again(code: str) -> None:
    """It says nothing of the batch: taken for a batch that has ended, it would never be counted."""
    table = boto3.resource("dynamodb", region_name=REGION).Table("ledger")
    with Stubber(table.meta.client) as stub:
        cancel(stub, "ConditionalCheckFailed", code)
        with pytest.raises(TransientError, match=RUN):
            DynamoLedger(table).close(result("succeeded"))


def test_a_transaction_that_met_another_is_tried_again_at_once() -> None:
    """Batches of one run end at the same moment, and meet at its row: a message given back would wait for minutes."""
    table, waited = boto3.resource("dynamodb", region_name=REGION).Table("ledger"), list[float]()
    with Stubber(table.meta.client) as stub:
        cancel(stub, "None", "TransactionConflict")
        cancel(stub, "ConditionalCheckFailed", "TransactionConflict")
        stub.add_response("transact_write_items", {})
        assert DynamoLedger(table, sleep=waited.append).close(result("succeeded")) is Closing.CLOSED
        stub.assert_no_pending_responses()
    assert len(waited) == 2


def test_a_transaction_that_meets_others_for_ever_comes_again_later() -> None:
    table, waited = boto3.resource("dynamodb", region_name=REGION).Table("ledger"), list[float]()
    with Stubber(table.meta.client) as stub:
        for _ in range(6):
            cancel(stub, "None", "TransactionConflict")
        with pytest.raises(TransientError, match=RUN):
            DynamoLedger(table, sleep=waited.append).close(result("succeeded"))
    assert (len(waited), sum(waited) < 2) == (5, True)


def test_a_batchs_row_stays_small_whatever_it_was_told(cloud: Cloud) -> None:
    location = "s3://" + "b" * 63 + "/" + "k" * 1024
    worst = {"message": "\U0001f6f0" * 500, "output": location}
    plan(cloud.ledger)
    cloud.ledger.begin(RUN, "b00000", job=99_999, attempt=999_999, now=NOON)
    invocation = Invocation(output=location, failure=location)
    cloud.ledger.invoked(RUN, "b00000", attempt=999_999, invocation=invocation)
    assert cloud.ledger.lose(result("failed", attempt=999_999).model_copy(update=worst))
    cloud.ledger.close(result("succeeded").model_copy(update=worst))
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
            ledger.enter(RUN, RunState.SETTLED, due=NOON)
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
