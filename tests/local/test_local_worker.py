"""A worker against Lambda's documented contract with SQS, with handlers written for the purpose."""

import hashlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.local.local_stack import LocalCloud

from clayline_local.children import end_process
from clayline_local.errors import LocalCloudError
from clayline_local.function import FunctionSpec
from clayline_local.template import ACCOUNT, LOCAL_PARAMETERS, REGION, TEMPLATE, expand
from clayline_local.worker import Retry, Worker, _stamped, load_handler, start_worker

pytestmark = pytest.mark.pipeline


@pytest.fixture
def settle(cloud: LocalCloud) -> FunctionSpec:
    """Settle's specification (ten messages a batch) over a queue of this test's own."""
    spec = cloud.stack.functions()["SettleFunction"]
    assert spec.source
    name = f"worker-{uuid.uuid4().hex}"
    cloud.client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": "360"})
    return spec.model_copy(
        update={"source": spec.source.model_copy(update={"arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"})}
    )


def url(cloud: LocalCloud, spec: FunctionSpec) -> str:
    assert spec.source
    return f"{cloud.server.url}/{ACCOUNT}/{spec.source.arn.rsplit(':', 1)[1]}"


def send(cloud: LocalCloud, spec: FunctionSpec, *bodies: str, **options: Any) -> None:
    for body in bodies:
        cloud.client("sqs").send_message(QueueUrl=url(cloud, spec), MessageBody=body, **options)


def left(cloud: LocalCloud, spec: FunctionSpec) -> tuple[int, int]:
    """Messages that can be received now, and those in flight."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = cloud.client("sqs").get_queue_attributes(QueueUrl=url(cloud, spec), AttributeNames=names)["Attributes"]
    return int(answer[names[0]]), int(answer[names[1]])


def worker(
    cloud: LocalCloud, spec: FunctionSpec, handler: Callable[[Mapping[str, Any], Any], Any], retry: Retry | None = None
) -> Worker:
    return Worker(spec, handler, sqs=cloud.client("sqs"), retry=retry or Retry())


def test_the_event_is_lambdas(cloud: LocalCloud, settle: FunctionSpec) -> None:
    seen: list[Mapping[str, Any]] = []
    attributes = {
        "text": {"DataType": "String", "StringValue": "v"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    send(cloud, settle, "böse", MessageAttributes=attributes)
    assert worker(cloud, settle, lambda event, _: seen.append(event)).poll_once() == 1
    (record,) = seen[0]["Records"]
    # The keys of AWS's documented example event of an SQS queue.
    assert set(record) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert record["body"] == "böse"
    assert record["md5OfBody"] == hashlib.md5("böse".encode(), usedforsecurity=False).hexdigest()
    assert record["eventSource"] == "aws:sqs"
    assert settle.source
    assert record["eventSourceARN"] == settle.source.arn
    assert record["awsRegion"] == "eu-central-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(record["attributes"])
    empty: dict[str, list[str]] = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "text": {"stringValue": "v", **empty, "dataType": "String"},
        "bytes": {"binaryValue": "AP8=", **empty, "dataType": "Binary"},
    }
    json.dumps(seen[0])  # Lambda's event is JSON


def test_the_context_counts_down_from_the_functions_timeout(cloud: LocalCloud, settle: FunctionSpec) -> None:
    seen: list[tuple[int, float, str]] = []

    def handler(_: Mapping[str, Any], context: Any) -> None:
        seen.append((context.get_remaining_time_in_millis(), time.time(), context.invoked_function_arn))

    send(cloud, settle, "one")
    before = time.time()
    worker(cloud, settle, handler).poll_once()
    ((remaining, after, arn),) = seen
    assert 60_000 - (after - before) * 1000 - 2 < remaining <= 60_000  # two roundings to whole milliseconds
    assert arn == settle.arn


def test_each_put_has_a_sequencer_of_its_own_and_keeps_it_when_it_comes_again(cloud: LocalCloud) -> None:
    """Two PUTs of one object, one message given back once; by the template's rule and queue. Moto's is a constant."""
    spec = cloud.stack.functions()["PlanFunction"]
    assert spec.source
    key = f"{uuid.uuid4().hex}/a.json"
    for _ in range(2):
        cloud.client("s3").put_object(Bucket=spec.environment["CLAYLINE_SCENES_BUCKET"], Key=key, Body=b"{}")
    seen: list[tuple[str, str]] = []

    def handler(event: Mapping[str, Any], _: Any) -> dict[str, Any]:
        (record,) = event["Records"]
        content = json.loads(record["body"])
        assert content["detail"]["object"]["key"] == key
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest()
        seen.append((record["messageId"], content["detail"]["object"]["sequencer"]))
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}] if len(seen) == 1 else []}

    polling = worker(cloud, spec, handler, Retry(failed=0))
    while len(seen) < 3:
        polling.poll_once(wait_seconds=1)
    assert len({message for message, _ in seen}) == 2
    assert len(set(seen)) == 2, "the same message has the same sequencer"
    assert len({sequencer for _, sequencer in seen}) == 2, "another PUT has another"
    assert all(len(bytes.fromhex(sequencer)) == 8 for _, sequencer in seen)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        "no json",
        '{"source": "aws.s3"}',
        '{"source": "aws.s3", "detail-type": "Object Created"}',
        '{"source": "aws.s3", "detail-type": "Object Deleted", "detail": {"object": {"sequencer": "3"}}}',
    ],
)
def test_other_messages_stay_as_they_are(body: str) -> None:
    message = {"MessageId": "1", "Body": body, "MD5OfBody": "x"}
    assert _stamped(message) == message


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_an_answer_without_failures_finishes_the_batch(cloud: LocalCloud, settle: FunctionSpec, answer: object) -> None:
    send(cloud, settle, "one", "two")
    polling = worker(cloud, settle, lambda _, __: answer)
    assert polling.poll_once() + polling.poll_once(wait_seconds=0) == 2
    assert left(cloud, settle) == (0, 0)


def test_only_failed_messages_come_again_with_their_count(cloud: LocalCloud, settle: FunctionSpec) -> None:
    seen: list[tuple[str, str]] = []

    def handler(event: Mapping[str, Any], _: Any) -> dict[str, Any]:
        seen.extend((record["body"], record["attributes"]["ApproximateReceiveCount"]) for record in event["Records"])
        return {
            "batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in event["Records"] if r["body"] == "bad"]
        }

    send(cloud, settle, "good", "bad", "fine")
    polling = worker(cloud, settle, handler, Retry(failed=0))
    while len(seen) < 4:
        polling.poll_once(wait_seconds=1)
    assert sorted(seen) == [("bad", "1"), ("bad", "2"), ("fine", "1"), ("good", "1")]


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"wrong": "key"}]},
        {"batchItemFailures": [{"itemIdentifier": "nobody"}]},
    ],
)
def test_an_answer_that_makes_no_sense_fails_the_whole_batch(
    cloud: LocalCloud, settle: FunctionSpec, answer: object
) -> None:
    send(cloud, settle, "one")
    worker(cloud, settle, lambda _, __: answer, Retry(failed=0)).poll_once()
    assert left(cloud, settle) == (1, 0)


def test_a_handler_that_raises_fails_the_whole_batch(cloud: LocalCloud, settle: FunctionSpec) -> None:
    def handler(_: Mapping[str, Any], __: Any) -> None:
        raise ZeroDivisionError

    send(cloud, settle, "one", "two")
    polling = worker(cloud, settle, handler, Retry(failed=600))
    assert polling.poll_once() + polling.poll_once(wait_seconds=0) == 2
    assert left(cloud, settle) == (0, 2)


def test_a_failed_message_waits_for_the_queues_own_timeout_unless_told_otherwise(
    cloud: LocalCloud, settle: FunctionSpec
) -> None:
    send(cloud, settle, "one")
    worker(
        cloud, settle, lambda event, _: {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    ).poll_once()
    assert left(cloud, settle) == (0, 1)


@pytest.mark.parametrize(("size", "calls"), [(1, 3), (3, 1)])
def test_a_call_gets_at_most_the_batch_size(cloud: LocalCloud, settle: FunctionSpec, size: int, calls: int) -> None:
    assert settle.source
    spec = settle.model_copy(update={"source": settle.source.model_copy(update={"batch_size": size})})
    sizes: list[int] = []
    send(cloud, settle, "one", "two", "three")
    polling = worker(cloud, spec, lambda event, _: sizes.append(len(event["Records"])))
    while sum(sizes) < 3:
        polling.poll_once(wait_seconds=1)
    assert sizes == [size] * calls


HANDLER = """
import json, os, pathlib, time

def handler(event, context):
    out = pathlib.Path(os.environ["OUT"])
    for record in event["Records"]:
        (out / record["body"]).write_text(json.dumps({
            "name": context.function_name, "memory": context.memory_limit_in_mb, "root": os.environ["LAMBDA_TASK_ROOT"],
            "table": os.environ["CLAYLINE_LEDGER_TABLE"], "theirs": os.environ.get("AWS_ENDPOINT_URL_SQS"),
            "count": record["attributes"]["ApproximateReceiveCount"],
        }))
        time.sleep(float(os.environ["SLEEP"]))
"""


def own_function(settle: FunctionSpec, folder: Path, *, sleep: float) -> FunctionSpec:
    (folder / "app.py").write_text(HANDLER)
    return settle.model_copy(
        update={"code": folder, "environment": {**settle.environment, "OUT": str(folder), "SLEEP": str(sleep)}}
    )


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None, "the worker ended"
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_worker_process_runs_the_function_and_ends_after_what_it_has_in_hand(
    cloud: LocalCloud, settle: FunctionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")  # a setting of the user's own
    spec = own_function(settle, tmp_path, sleep=1.5)
    send(cloud, settle, "one")
    process = start_worker(spec, spec_folder=tmp_path, environment=cloud.server.environment(), retry=Retry())
    try:
        assert wait_for(tmp_path / "one", process) == {
            "name": "clayline-SettleFunction",
            "memory": "512",
            "root": str(tmp_path),
            "table": "clayline-Ledger",
            "theirs": None,
            "count": "1",
        }
        os.kill(process.pid, signal.SIGTERM)  # while the handler sleeps
        assert process.wait(timeout=120) == 0
    finally:
        end_process(process, seconds=5)
    assert left(cloud, settle) == (0, 0)


def test_a_killed_workers_message_comes_again(cloud: LocalCloud, settle: FunctionSpec, tmp_path: Path) -> None:
    spec = own_function(settle, tmp_path, sleep=30)
    send(cloud, settle, "one")
    options: dict[str, Any] = {
        "spec_folder": tmp_path,
        "environment": cloud.server.environment(),
        "retry": Retry(killed=2),
    }
    process = start_worker(spec, **options)
    try:
        assert wait_for(tmp_path / "one", process)["count"] == "1"
    finally:
        process.kill()
        process.wait()
    (tmp_path / "one").unlink()
    process = start_worker(spec, **options)
    try:
        assert wait_for(tmp_path / "one", process)["count"] == "2"
    finally:
        process.kill()
        process.wait()


def test_a_function_without_its_app_is_an_error(settle: FunctionSpec, tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match=r"no app\.py"):
        load_handler(settle.model_copy(update={"code": tmp_path}))


def test_a_mapping_that_is_off_starts_no_worker(tmp_path: Path) -> None:
    plan = expand(TEMPLATE, {}).functions()["PlanFunction"]
    with pytest.raises(LocalCloudError, match="mapping is off"):
        start_worker(plan, spec_folder=tmp_path, environment={}, retry=Retry())
    assert expand(TEMPLATE, LOCAL_PARAMETERS).functions()["PlanFunction"].source is not None
