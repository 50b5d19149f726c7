"""SqsQueue: all accepted, or TransientError."""

import json
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from tests.aws.conftest import REGION, Cloud

from clayline.aws.queues import SqsQueue
from clayline.errors import TransientError

URL = f"https://sqs.{REGION}.amazonaws.com/123456789012/tile"
ACCEPTED: dict[str, Any] = {"Successful": [], "Failed": []}


@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 20, 57])
def test_any_number_arrives_once_each(cloud: Cloud, number: int) -> None:
    bodies = [{"run": "f" * 32, "job": job} for job in range(number)]
    cloud.queue.send(bodies)
    received = [json.loads(body) for body in cloud.received()]
    assert sorted(received, key=lambda body: int(body["job"])) == bodies


def test_a_body_is_json_whatever_is_in_it(cloud: Cloud) -> None:
    body = {"key": "münchen/a+b c%2F 日本.tif", "quote": '"', "nested": {"b": [1, None]}}
    cloud.queue.send([body])
    assert [json.loads(text) for text in cloud.received()] == [body]


def send_to(stub: Stubber, client: Any, number: int = 12, delay: int = 0) -> None:
    with stub:
        SqsQueue(client, URL).send([{"job": job} for job in range(number)], delay=delay)


def test_one_message_that_was_not_accepted_is_an_error() -> None:
    client = boto3.client("sqs", region_name=REGION)
    stub = Stubber(client)
    failed = {"Id": "1", "SenderFault": False, "Code": "InternalError", "Message": "try again"}
    stub.add_response("send_message_batch", ACCEPTED, {"QueueUrl": URL, "Entries": ANY})
    stub.add_response(
        "send_message_batch",
        {"Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}], "Failed": [failed]},
    )
    with pytest.raises(TransientError, match=f"1 of 2 messages were not accepted by {URL}: try again"):
        send_to(stub, client)
    stub.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.NonExistentQueue", "AccessDenied", "RequestThrottled"])
def test_what_sqs_refuses_comes_again(code: str) -> None:
    client = boto3.client("sqs", region_name=REGION)
    stub = Stubber(client)
    stub.add_client_error("send_message_batch", code)
    with pytest.raises(TransientError, match=URL):
        send_to(stub, client)


def test_ten_a_call_in_order_under_ids_of_their_own() -> None:
    client = boto3.client("sqs", region_name=REGION)
    stub = Stubber(client)
    for first, last in ((0, 10), (10, 12)):
        stub.add_response("send_message_batch", ACCEPTED, {"QueueUrl": URL, "Entries": entries(first, last, delay=0)})
    send_to(stub, client)
    stub.assert_no_pending_responses()


def test_every_message_comes_after_the_delay_that_was_asked_for() -> None:
    client = boto3.client("sqs", region_name=REGION)
    stub = Stubber(client)
    for first, last in ((0, 10), (10, 12)):
        stub.add_response("send_message_batch", ACCEPTED, {"QueueUrl": URL, "Entries": entries(first, last, delay=30)})
    send_to(stub, client, delay=30)
    stub.assert_no_pending_responses()


def entries(first: int, last: int, *, delay: int) -> list[dict[str, Any]]:
    return [
        {"Id": str(job - first), "MessageBody": json.dumps({"job": job}), "DelaySeconds": delay}
        for job in range(first, last)
    ]
