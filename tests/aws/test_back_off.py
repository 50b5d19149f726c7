"""A message that a retry may cure comes again in a minute, not when its queue's visibility timeout runs out."""

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from awslambdaric.lambda_context import LambdaContext  # type: ignore[import-untyped]  # publishes no types
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from moto.sqs.models import Queue, sqs_backends
from tests.aws.conftest import REGION, Cloud

from clayline.aws.messages import WAITS, Messages, wait_before_again
from clayline.errors import LeaseHeldError, TransientError
from clayline_local.template import ACCOUNT
from clayline_local.worker import sqs_record

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

VISIBILITY = 5400
CONTEXT = LambdaContext("id", None, None, 0, f"arn:aws:lambda:{REGION}:123456789012:function:f")
THROTTLED = TransientError("ledger: throttled")
BODIES = {
    "well": None,
    "throttled": THROTTLED,
    "another": TransientError("endpoint: refused"),
    "held": LeaseHeldError("planned elsewhere", wait=timedelta(minutes=5)),
    "broken": ValueError("nobody foresaw this"),
}


class Consumer:
    """A queue and what handles its messages, over a client that can be made to fail."""

    def __init__(self, cloud: Cloud, client: Callable[[], "SQSClient"] | None = None) -> None:
        self._sqs = cloud.sqs
        self._url = cloud.queue_url
        cloud.sqs.set_queue_attributes(QueueUrl=cloud.queue_url, Attributes={"VisibilityTimeout": str(VISIBILITY)})
        self.clients = count()
        self._made = client or (lambda: cloud.sqs)
        metrics = Metrics(namespace="test", service="test")
        self._messages = Messages(Logger(service="test"), metrics, client=self._client)

    def _client(self) -> "SQSClient":
        next(self.clients)
        return self._made()

    @property
    def queue(self) -> Queue:
        return sqs_backends[ACCOUNT][REGION].queues["settled"]

    def deliver(self, *bodies: str, received: int = 1) -> list[str]:
        """Send messages, handle them together; gives the bodies of those that were given back."""
        for body in bodies:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body)
        taken = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )["Messages"]
        records = [sqs_record(message, self.queue.queue_arn, REGION) for message in taken]
        for record in records:
            record["attributes"]["ApproximateReceiveCount"] = str(received)

        def take(record: SQSRecord) -> None:
            if error := BODIES[record.body]:
                raise error

        answer = self._messages.handle({"Records": records}, take, CONTEXT)
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return sorted(record["body"] for record in records if record["messageId"] in failed)

    def again_in(self) -> dict[str, float]:
        """Give after how many minutes each message can be received, by its body."""
        left = {message.body: message.visible_at / 1000 - time.time() for message in self.queue._messages}
        return {body: round(seconds / 60) for body, seconds in left.items()}


@pytest.mark.parametrize(("received", "minutes"), [(1, 1), (2, 4), (3, 90), (5, 90)])
def test_a_transient_error_waits_shortly_then_longer_then_as_the_queue_has_it(
    cloud: Cloud, received: int, minutes: int
) -> None:
    consumer = Consumer(cloud)
    assert consumer.deliver("throttled", received=received) == ["throttled"]
    assert consumer.again_in() == {"throttled": minutes}


def test_only_what_a_retry_may_cure_comes_sooner(cloud: Cloud) -> None:
    consumer = Consumer(cloud)
    assert consumer.deliver(*BODIES) == sorted(BODIES.keys() - {"well"})
    assert consumer.again_in() == {"well": 90, "throttled": 1, "another": 1, "held": 5, "broken": 90}
    assert consumer.deliver("broken") == ["broken"]
    assert consumer.again_in()["throttled"] == 1  # nothing is told twice


def test_where_nothing_fails_nothing_is_asked(cloud: Cloud) -> None:
    consumer = Consumer(cloud)
    assert consumer.deliver("well") == []
    assert consumer.deliver("broken") == ["broken"]
    assert next(consumer.clients) == 0


def _unreachable(client: "SQSClient") -> None:
    def raise_(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://sqs")

    client.meta.events.register("before-send.sqs.ChangeMessageVisibilityBatch", raise_)


def _denied(client: "SQSClient") -> None:
    stubber = Stubber(client)
    stubber.add_client_error("change_message_visibility_batch", "AccessDenied", http_status_code=403)
    stubber.activate()


def _not_in_flight(client: "SQSClient") -> None:
    stubber = Stubber(client)
    failed = {"Id": "0", "SenderFault": True, "Code": "MessageNotInflight", "Message": "it is not in flight"}
    stubber.add_response("change_message_visibility_batch", {"Successful": [], "Failed": [failed]})
    stubber.activate()


@pytest.mark.parametrize("breaks", [_unreachable, _denied, _not_in_flight])
def test_what_cannot_be_told_comes_as_the_queue_has_it(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, breaks: Callable[["SQSClient"], None]
) -> None:
    client = boto3.client("sqs", region_name=REGION)
    breaks(client)
    consumer = Consumer(cloud, lambda: client)
    assert consumer.deliver("well", "throttled") == ["throttled"]
    assert consumer.again_in()["throttled"] == VISIBILITY / 60
    assert "not to be tried again sooner" in caplog.messages


def test_waits_grow_and_stand_only_for_what_a_retry_may_cure() -> None:
    assert list(WAITS) == sorted(set(WAITS))
    for received, wait in enumerate((*WAITS, None, None), start=1):
        assert wait_before_again(THROTTLED, received) == wait
        assert wait_before_again(LeaseHeldError("held", wait=timedelta(seconds=7)), received) == timedelta(seconds=7)
        assert wait_before_again(RuntimeError("broken"), received) is None
