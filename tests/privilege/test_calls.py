"""What each request needs, by the Service Authorization Reference; and that a request of another kind is never
guessed at.
"""

import json
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.awsrequest
import pytest
from tests.privilege.calls import Need, UnknownCallError, needs
from tests.privilege.recorder import Request

REGION = "eu-central-1"
QUEUE = "http://127.0.0.1:5000/123456789012/q"
ARN = f"arn:aws:{{}}:{REGION}:123456789012:{{}}"


class _SentError(Exception):
    pass


def asked(service: str, operation: str, *, status: int = 200, **parameters: Any) -> Request:
    """Give the request that boto3 itself makes of a call, stopped before it is sent."""
    client = boto3.client(
        service,  # type: ignore[call-overload]  # any name
        endpoint_url="http://127.0.0.1:1",
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    made: list[botocore.awsrequest.AWSPreparedRequest] = []

    def stop(request: botocore.awsrequest.AWSPreparedRequest, **_: Any) -> None:
        made.append(request)
        raise _SentError

    client.meta.events.register("before-send", stop)
    with pytest.raises(_SentError):
        getattr(client, operation)(**parameters)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in made[0].headers.items()
    }
    body = made[0].body or b""
    content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b""
    target = made[0].url.removeprefix("http://127.0.0.1:1")
    return Request(method=made[0].method, target=target, headers=headers, body=content, status=status)


CASES: list[tuple[str, str, dict[str, Any], list[Any]]] = [
    ("s3", "get_object", {"Bucket": "b", "Key": "Größe/a+b c%2F☃"},
     [("s3:GetObject", "arn:aws:s3:::b/Größe/a+b c%2F☃")]),
    ("s3", "head_object", {"Bucket": "b", "Key": "k"}, [("s3:GetObject", "arn:aws:s3:::b/k")]),
    ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x", "IfNoneMatch": "*"},
     [("s3:PutObject", "arn:aws:s3:::b/k")]),
    ("s3vectors", "put_vectors", {"vectorBucketName": "vvv", "indexName": "iii",
                                  "vectors": [{"key": "k", "data": {"float32": [1.0]}}]},
     [("s3vectors:PutVectors", ARN.format("s3vectors", "bucket/vvv/index/iii"))]),
    ("s3vectors", "delete_vectors", {"vectorBucketName": "vvv", "indexName": "iii", "keys": ["k"]},
     [("s3vectors:DeleteVectors", ARN.format("s3vectors", "bucket/vvv/index/iii"))]),
    ("s3vectors", "create_index", {"vectorBucketName": "vvv", "indexName": "iii", "dataType": "float32", "dimension": 1,
                                   "distanceMetric": "cosine"},
     [("s3vectors:CreateIndex", ARN.format("s3vectors", "bucket/vvv/index/iii"))]),
    ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "a"}}},
     [("dynamodb:GetItem", ARN.format("dynamodb", "table/t"))]),
    ("dynamodb", "query", {"TableName": "t", "KeyConditionExpression": "pk = :a"},
     [("dynamodb:Query", ARN.format("dynamodb", "table/t"))]),
    ("sqs", "send_message", {"QueueUrl": QUEUE, "MessageBody": "m"}, [("sqs:SendMessage", ARN.format("sqs", "q"))]),
    (
        "sqs",
        "send_message_batch",
        {"QueueUrl": QUEUE, "Entries": [{"Id": "1", "MessageBody": "m"}]},
        [("sqs:SendMessage", ARN.format("sqs", "q"))],
    ),
    (
        "sqs",
        "change_message_visibility_batch",
        {"QueueUrl": QUEUE, "Entries": [{"Id": "0", "ReceiptHandle": "r", "VisibilityTimeout": 60}]},
        [("sqs:ChangeMessageVisibility", ARN.format("sqs", "q"))],
    ),
    (
        "events",
        "put_events",
        {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}", "EventBusName": "bus"}, {"Source": "s"}]},
        [
            (
                "events:PutEvents",
                ARN.format("events", "event-bus/bus"),
                (("events:source", "s"), ("events:detail-type", "d")),
            ),
            ("events:PutEvents", ARN.format("events", "event-bus/default"), (("events:source", "s"),)),
        ],
    ),
    ("sns", "publish", {"TopicArn": ARN.format("sns", "t"), "Message": "m"}, [("sns:Publish", ARN.format("sns", "t"))]),
    (
        "sagemaker-runtime",
        "invoke_endpoint_async",
        {"EndpointName": "Stack-Endpoint", "InputLocation": "s3://b/k"},
        [("sagemaker:InvokeEndpointAsync", ARN.format("sagemaker", "endpoint/stack-endpoint"))],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_needs(service: str, operation: str, parameters: Mapping[str, Any], expected: list[Any]) -> None:
    assert needs(asked(service, operation, **parameters)) == tuple(
        Need(action=action, resource=arn, context=context[0] if context else ()) for action, arn, *context in expected
    )


@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_an_absent_object_needs_the_bucket_too(operation: str) -> None:
    found = needs(asked("s3", operation, status=404, Bucket="b", Key="k"))
    assert found == (
        Need(action="s3:GetObject", resource="arn:aws:s3:::b/k"),
        Need(action="s3:ListBucket", resource="arn:aws:s3:::b"),
    )


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("s3", "list_objects", {"Bucket": "b"}),
        ("s3", "delete_object", {"Bucket": "b", "Key": "k"}),
        ("s3", "get_object", {"Bucket": "b", "Key": "k", "VersionId": "1"}),
        ("s3", "put_object", {"Bucket": "b", "Key": "k", "Tagging": "a=b"}),
        ("s3", "put_object", {"Bucket": "b", "Key": "k", "ACL": "public-read"}),
        ("s3", "put_object", {"Bucket": "b", "Key": "k", "ServerSideEncryption": "aws:kms"}),
        ("s3", "create_multipart_upload", {"Bucket": "b", "Key": "k"}),
        (
            "dynamodb",
            "transact_write_items",
            {"TransactItems": [{"Delete": {"TableName": "t", "Key": {"pk": {"S": "a"}}}}]},
        ),
        ("dynamodb", "batch_get_item", {"RequestItems": {"t": {"Keys": [{"pk": {"S": "a"}}]}}}),
        ("sns", "list_topics", {}),
        ("events", "list_rules", {}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b"x"}),
        ("ssm", "get_parameter", {"Name": "p"}),
        ("s3vectors", "list_vectors", {"vectorBucketName": "vvv", "indexName": "iii"}),
    ],
)
def test_other_calls_are_an_error(service: str, operation: str, parameters: Mapping[str, Any]) -> None:
    with pytest.raises(UnknownCallError):
        needs(asked(service, operation, **parameters))


def test_an_unsigned_request_is_an_error() -> None:
    body = json.dumps({}).encode()
    with pytest.raises(UnknownCallError, match="not signed"):
        needs(Request(method="GET", target="/b/k", headers={}, body=body, status=200))
