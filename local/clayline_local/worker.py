"""One function's worker.

Polls the queue that template.yaml maps to the function, and calls its handler as Lambda would; or calls it by the
clock, where template.yaml has a schedule.

Started by ``start_worker``, as ``python -m clayline_local.worker --spec FILE`` with the function's own environment.
SIGTERM ends it after the messages in hand. Its limits: one call at a time whatever MaximumConcurrency says, and a
timeout is told to the handler, not enforced.
"""

import argparse
import base64
import hashlib
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import boto3
from awslambdaric.lambda_context import LambdaContext  # type: ignore[import-untyped]  # publishes no types
from botocore.config import Config

from clayline_local.children import child_environment, start_child
from clayline_local.errors import LocalCloudError
from clayline_local.function import FunctionSpec

type Handler = Callable[[Mapping[str, Any], LambdaContext], Any]
RECEIVE_AT_MOST: Final = 10
"""What SQS gives in one call."""
WAIT_SECONDS: Final = 2
"""Of one long poll, and so of the longest wait for SIGTERM to be seen."""
PASS_SECONDS: Final = 5
"""The longest time between two calls by the clock, whatever the schedule: on one machine it costs nothing."""
LOG: Final = logging.getLogger("clayline_local.worker")
USER_AGENT: Final = "clayline-local-worker"
"""In the requests of a worker itself, which are not those of its function."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """When a message comes again, in seconds.

    None leaves it to the queue's visibility timeout, six times the function's.
    """

    failed: int | None = None
    """After the function failed on it, whatever it said itself of when."""
    killed: int | None = None
    """After this worker was killed with it in hand."""


def lambda_environment(spec: FunctionSpec) -> dict[str, str]:
    """Give the variables that Lambda itself sets for a function, and the template's."""
    return {
        "AWS_LAMBDA_FUNCTION_NAME": spec.arn.rsplit(":", 1)[1],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(spec.timeout),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_REGION": spec.region,
        "AWS_DEFAULT_REGION": spec.region,
        "LAMBDA_TASK_ROOT": str(spec.code),
        "TZ": ":UTC",
        **spec.environment,
    }


def start_worker(
    spec: FunctionSpec, *, spec_folder: Path, environment: Mapping[str, str], retry: Retry, log: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a worker process for ``spec``. End it with ``children.end_process``.

    ``environment`` says where AWS is (``MotoServer.environment()`` and the endpoint's); the specification goes through
    a file in ``spec_folder``. ``log`` takes its standard output and error. Raises LocalCloudError if the function has
    no queue or its mapping is off.
    """
    if spec.every is None and (spec.source is None or not spec.source.enabled):
        raise LocalCloudError(
            f"{spec.name} has no queue to poll, or its event source mapping is off (EndpointMode none)"
        )
    path = spec_folder / f"{spec.name}.json"
    path.write_text(spec.model_dump_json(), encoding="utf-8")
    arguments = ["--spec", str(path)]
    for option, seconds in (("--retry-seconds", retry.failed), ("--visibility-seconds", retry.killed)):
        arguments += [option, str(seconds)] if seconds is not None else []
    search_path = os.pathsep.join(map(str, (*spec.search_path, Path(__file__).parents[1])))
    variables = child_environment(environment, lambda_environment(spec), {"PYTHONPATH": search_path})
    return start_child("clayline_local.worker", arguments, environment=variables, log=log)


def load_handler(spec: FunctionSpec) -> Handler:
    """Import ``module.function`` from the function's folder, before anything else of that name.

    Raises LocalCloudError if it is absent.
    """
    sys.path[:0] = [str(folder) for folder in spec.search_path if str(folder) not in sys.path[: len(spec.search_path)]]
    module, _, name = spec.handler.rpartition(".")
    if not (spec.code / f"{module}.py").is_file():
        raise LocalCloudError(f"{spec.name}: there is no {module}.py in {spec.code}")
    handler: Handler = getattr(importlib.import_module(module), name)
    return handler


class Worker:
    """Polls one queue for one handler."""

    def __init__(self, spec: FunctionSpec, handler: Handler, *, sqs: Any, retry: Retry) -> None:  # noqa: ANN401 -- a generated client
        """Take the boto3 SQS client to poll with. Raises LocalCloudError if the function has no queue."""
        if spec.source is None:
            raise LocalCloudError(f"{spec.name} has no queue to poll")
        self._spec = spec
        self._source = spec.source
        self._handler = handler
        self._sqs = sqs
        self._retry = retry
        self._url: str = sqs.get_queue_url(QueueName=spec.source.arn.rsplit(":", 1)[1])["QueueUrl"]

    def poll_once(self, *, wait_seconds: int = WAIT_SECONDS) -> int:
        """Receive at most a batch, call the handler, delete what it did not fail on.

        Give the number of messages received.
        """
        options: dict[str, Any] = {} if self._retry.killed is None else {"VisibilityTimeout": self._retry.killed}
        messages: Sequence[Mapping[str, Any]] = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(RECEIVE_AT_MOST, self._source.batch_size),
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
            **options,
        ).get("Messages", [])
        if messages:
            failed = self._failures(messages)
            for message in messages:
                self._finish(message, failed=message["MessageId"] in failed)
        return len(messages)

    def _failures(self, messages: Sequence[Mapping[str, Any]]) -> set[str]:
        """Call the handler; give the ids that it failed on.

        All if it raised, or if its answer names a message that it was not given.
        """
        known = {message["MessageId"] for message in messages}
        arn, region = self._source.arn, self._spec.region
        event = {"Records": [sqs_record(_stamped(message), arn, region) for message in messages]}
        try:
            answer = self._handler(event, self._context())
        except Exception:  # as in Lambda, whatever a handler raises fails its batch and not the runtime
            LOG.exception("%s raised on %d messages", self._spec.name, len(messages))
            return known
        failed = {failure.get("itemIdentifier") for failure in (answer or {}).get("batchItemFailures") or []}
        if failed - known:
            LOG.error(
                "%s named failures that are no messages of its batch: %s",
                self._spec.name,
                sorted(map(str, failed - known)),
            )
            return known
        return failed & known

    def _finish(self, message: Mapping[str, Any], *, failed: bool) -> None:
        receipt = message["ReceiptHandle"]
        if not failed:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)
        elif self._retry.failed is not None:
            self._sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=self._retry.failed
            )

    def _context(self) -> LambdaContext:
        return context(self._spec)


class Clockwork:
    """Calls one handler by the clock. What it raises is logged, and the next call comes as if nothing had been."""

    def __init__(self, spec: FunctionSpec, handler: Handler) -> None:
        """Take the function and its handler."""
        self._spec = spec
        self._handler = handler
        self._next = time.monotonic()

    def poll_once(self) -> None:
        """Call the handler if it is time, else wait a little."""
        if (left := self._next - time.monotonic()) > 0:
            time.sleep(min(left, WAIT_SECONDS))
            return
        self._next = time.monotonic() + min(self._spec.every or 0, PASS_SECONDS)
        try:
            self._handler({}, context(self._spec))
        except Exception:  # as in Lambda, whatever a handler raises fails its call and not the runtime
            LOG.exception("%s raised", self._spec.name)


def context(spec: FunctionSpec) -> LambdaContext:
    """Give what Lambda tells a handler of its call."""
    deadline = int(time.time() * 1000) + spec.timeout * 1000
    return LambdaContext(str(uuid.uuid4()), None, None, deadline, spec.arn)


def _stamped(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a message; S3's `Object Created` with a sequencer of its PUT's own: moto's is a constant, as is its id.

    It follows from the message's id: received again, it has the same. A backfill's event has none, and keeps its id.
    """
    try:
        event = json.loads(message["Body"])
        if (event["source"], event["detail-type"]) != ("aws.s3", "Object Created"):
            return message
        if "sequencer" not in event["detail"]["object"]:
            return message
        put = hashlib.sha256(message["MessageId"].encode()).hexdigest()
        event["detail"]["object"]["sequencer"] = put[:16].upper()
    except (ValueError, KeyError, TypeError):  # another kind of message, which the function judges
        return message
    body = json.dumps(event)
    md5 = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    return {**message, "Body": body, "MD5OfBody": md5}


def sqs_record(message: Mapping[str, Any], queue_arn: str, region: str) -> dict[str, Any]:
    """Give one entry of ``Records`` as Lambda's poller makes it of what ReceiveMessage gave."""
    attributes = {
        name: {
            **({"stringValue": value["StringValue"]} if "StringValue" in value else {}),
            **({"binaryValue": base64.b64encode(value["BinaryValue"]).decode()} if "BinaryValue" in value else {}),
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": value["DataType"],
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Poll until SIGTERM."""
    parser = argparse.ArgumentParser(description="One function's worker of the local cloud.")
    parser.add_argument("--spec", type=Path, required=True, help="the function's specification, JSON")
    parser.add_argument("--retry-seconds", type=int, help="when a message comes again that the function failed on")
    parser.add_argument(
        "--visibility-seconds", type=int, help="when a message comes again that a killed worker had in hand"
    )
    options = parser.parse_args(arguments)
    spec = FunctionSpec.model_validate(json.loads(options.spec.read_text(encoding="utf-8")))
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    retry = Retry(failed=options.retry_seconds, killed=options.visibility_seconds)
    handler = load_handler(spec)
    sqs = boto3.client("sqs", config=Config(user_agent_extra=USER_AGENT))
    worker = Clockwork(spec, handler) if spec.source is None else Worker(spec, handler, sqs=sqs, retry=retry)
    while not stopping:
        worker.poll_once()
    return 0


if __name__ == "__main__":
    sys.exit(main())
