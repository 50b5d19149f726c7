"""The state machine of template.yaml, run by moto's interpreter of the States Language on its own SQS, S3 and DynamoDB.

What it asks of them is held against its role.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import resource_eval_s3 as reading
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval import (
    resource_eval_s3 as writing,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk as tasks
from tests.privilege.calls import Need
from tests.privilege.roles import grants_of, judge

from clayline.run.state import RunState
from clayline_local.state_machine import definition
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand

BODIES = [f"message {number}" for number in range(23)]
BATCHES = [BODIES[:10], BODIES[10:20], BODIES[20:]]
ACTIONS = {
    "get_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    "send_message_batch": "sqs:SendMessage",
    "query": "dynamodb:Query",
}
REASONS = {
    ("ReadListAndWriteResults", "s3:AbortMultipartUpload"): "large results are written in parts; moto writes none",
    ("ReadListAndWriteResults", "s3:ListMultipartUploadParts"): "the same",
    ("StartBatches", "states:StartExecution"): "moto runs a map's executions in one",
    ("WatchBatches", "states:DescribeExecution"): "the same",
    ("WatchBatches", "states:StopExecution"): "the same",
    ("WatchBatches", "states:RedriveExecution"): "the same",
}


@pytest.fixture(scope="module")
def stack() -> Stack:
    return expand(TEMPLATE, LOCAL_PARAMETERS)


@dataclass
class Watched:
    """A client of the interpreter: it writes down what it is asked, and answers a few times as it is told."""

    client: Any
    calls: list[tuple[str, dict[str, Any]]]
    once: set[str]
    """Messages that SQS does not take the first time."""
    ever: set[str]
    """Messages that it never takes."""

    def __getattr__(self, name: str) -> Any:
        def call(**given: Any) -> Any:
            self.calls.append((name, given))
            if name == "send_message_batch":
                return self.refuse(given)
            return getattr(self.client, name)(**given)

        return call

    def refuse(self, given: dict[str, Any]) -> dict[str, Any]:
        """Send a batch but for what is refused, of which SQS then says so."""
        refused = [entry["Id"] for entry in given["Entries"] if entry["MessageBody"] in self.once | self.ever]
        self.once.difference_update(entry["MessageBody"] for entry in given["Entries"])
        left = [entry for entry in given["Entries"] if entry["Id"] not in refused]
        failed = [{"Id": identity, "SenderFault": False, "Code": "InternalError"} for identity in refused]
        return {**self.client.send_message_batch(**{**given, "Entries": left}), "Failed": failed}


@dataclass
class Machine:
    """The state machine with what it works on."""

    stack: Stack
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    once: set[str] = field(default_factory=set)
    ever: set[str] = field(default_factory=set)

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=self.stack.place.region)  # type: ignore[call-overload]

    def make(self) -> None:
        place = {"LocationConstraint": self.stack.place.region}
        bucket, table = self.stack.resources["WorkBucket"], self.stack.resources["Ledger"]
        self.client("s3").create_bucket(Bucket=bucket.physical.ref, CreateBucketConfiguration=place)
        self.client("sqs").create_queue(QueueName=self.stack.resources["SceneQueue"].physical.attributes["QueueName"])
        names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        self.client("dynamodb").create_table(
            TableName=table.physical.ref, **{name: table.properties[name] for name in names}
        )
        machine = self.stack.resources["Backfill"]
        self.client("stepfunctions").create_state_machine(
            name=machine.physical.attributes["Name"],
            definition=definition(machine),
            roleArn=machine.properties["RoleArn"],
        )

    def start(self, *, ahead: int = 100) -> str:
        listed = [
            {"entries": [{"Id": str(place), "MessageBody": body} for place, body in enumerate(batch)]}
            for batch in BATCHES
        ]
        self.client("s3").put_object(
            Bucket=self.stack.resources["WorkBucket"].physical.ref,
            Key="backfills/one/list.json",
            Body=json.dumps(listed).encode(),
        )
        given = {"list": "backfills/one/list.json", "results": "backfills/one/results", "ahead": ahead, "pause": 0}
        answer = self.client("stepfunctions").start_execution(
            stateMachineArn=self.stack.resources["Backfill"].physical.ref, name="one", input=json.dumps(given)
        )
        return str(answer["executionArn"])

    def end(self, execution: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = dict(self.client("stepfunctions").describe_execution(executionArn=execution))
            return None if found["status"] == "RUNNING" else found

        found: dict[str, Any] = _until(ended)
        return found

    def waiting(self, number: int, state: str) -> None:
        self.client("dynamodb").put_item(
            TableName=self.stack.resources["Ledger"].physical.ref,
            Item={"pk": {"S": f"run#{number}"}, "sk": {"S": "scene"}, "state": {"S": state}, "due": {"N": "1"}},
        )

    def sent(self) -> list[str]:
        """Give what lies in the scene queue."""
        queue, found = self.stack.resources["SceneQueue"].physical.ref, []
        while some := self.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            found += [message["Body"] for message in some]
        return sorted(found)

    def looked(self) -> int:
        return sum(name == "get_queue_attributes" for name, _ in self.calls)


@pytest.fixture
def machine(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    found = Machine(stack)
    for module in (reading, writing, tasks):
        make: Callable[..., Any] = module.boto_client_for
        watched = partial(_watched, make, found)
        monkeypatch.setattr(module, "boto_client_for", watched)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        found.make()
        yield found


def _watched(make: Callable[..., Any], machine: Machine, **given: Any) -> Watched:
    return Watched(make(**given), machine.calls, machine.once, machine.ever)


def _until(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come to this"
        time.sleep(0.01)
    return found


def test_every_message_of_the_list_is_sent_once_in_its_batch(machine: Machine) -> None:
    assert machine.end(machine.start())["status"] == "SUCCEEDED"
    assert machine.sent() == sorted(BODIES)
    batches = [given["Entries"] for name, given in machine.calls if name == "send_message_batch"]
    assert sorted(len(batch) for batch in batches) == [3, 10, 10]


def test_what_it_asks_for_is_allowed_and_nothing_else_or_has_its_reason(machine: Machine, stack: Stack) -> None:
    machine.end(machine.start())
    resources: dict[str, Callable[[dict[str, Any]], str]] = {
        "Bucket": lambda given: f"arn:aws:s3:::{given['Bucket']}/{given['Key']}",
        "QueueUrl": lambda _: stack.resources["SceneQueue"].physical.attributes["Arn"],
        "TableName": lambda given: f"{stack.resources['Ledger'].physical.attributes['Arn']}/index/{given['IndexName']}",
    }
    needed = {
        Need(action=ACTIONS[name], resource=arn(given))
        for name, given in machine.calls
        for key, arn in resources.items()
        if key in given
    }
    assert {need.action for need in needed} == set(ACTIONS.values())
    verdict = judge(grants_of(stack.resources["BackfillRole"]), needed)
    assert not verdict.refused
    assert {(grant.sid, grant.action) for grant in verdict.idle} == set(REASONS)
    assert {given["QueueUrl"] for _, given in machine.calls if "QueueUrl" in given} == {
        stack.resources["SceneQueue"].physical.ref
    }


@pytest.mark.parametrize("full", ["queue", "line"])
def test_without_room_nothing_is_sent_until_there_is_some(machine: Machine, full: str) -> None:
    """Neither behind messages that plan has not taken, nor behind runs that wait for admission."""
    queue = machine.stack.resources["SceneQueue"].physical.ref
    for number in range(4):
        if full == "queue":
            machine.client("sqs").send_message(QueueUrl=queue, MessageBody="landed")
        else:
            machine.waiting(number, RunState.WAITING.value)
    execution = machine.start(ahead=4)
    _until(lambda: machine.looked() > 2 * len(BATCHES))
    assert "send_message_batch" not in {name for name, _ in machine.calls}
    if full == "queue":
        machine.client("sqs").purge_queue(QueueUrl=queue)
    else:
        machine.waiting(0, RunState.RUNNING.value)
    found: list[str] = []

    def all_sent() -> bool:
        found.extend(machine.sent())  # as plan does, which makes room
        return len(found) >= len(BODIES)

    _until(all_sent)
    assert machine.end(execution)["status"] == "SUCCEEDED"
    assert sorted(found) == sorted(BODIES)


def test_a_message_that_sqs_could_not_take_is_sent_again(machine: Machine) -> None:
    machine.once.add("message 11")
    assert machine.end(machine.start())["status"] == "SUCCEEDED"
    again = [body for body in BATCHES[1] if body != "message 11"]  # its batch came whole, again
    assert machine.sent() == sorted([*BODIES, *again])


def test_a_message_that_sqs_will_never_take_fails_its_batch_and_none_is_tolerated(machine: Machine) -> None:
    """Where AWS ends a map run by its first failure, moto goes on, and counts it."""
    machine.ever.add("message 11")
    execution = machine.start()
    machine.end(execution)
    assert machine.sent().count("message 12") == 5
    states = machine.client("stepfunctions")
    [run] = states.list_map_runs(executionArn=execution)["mapRuns"]
    found = states.describe_map_run(mapRunArn=run["mapRunArn"])
    assert (found["itemCounts"]["failed"], found["itemCounts"]["succeeded"]) == (1, 2)
    assert (found["toleratedFailureCount"], found["toleratedFailurePercentage"]) == (0, 0.0)


def test_the_name_of_the_state_is_the_ledgers(stack: Stack) -> None:
    text = definition(stack.resources["Backfill"])
    assert json.loads(text)["States"]["Batches"]["ItemProcessor"]["States"]["LookWhoWaits"]["Parameters"][
        "ExpressionAttributeValues"
    ] == {":waiting": {"S": RunState.WAITING.value}}
    index = stack.resources["Ledger"].properties["GlobalSecondaryIndexes"][0]
    assert (index["IndexName"], index["KeySchema"][0]["AttributeName"]) == ("by-state", "state")
    assert "${" not in text
