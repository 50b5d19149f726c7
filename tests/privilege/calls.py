"""What an HTTP request to AWS needs: IAM actions on ARNs. Whatever is not known here is an error, not a guess.

The service is the one that the request was signed for. Sources: the Service Authorization Reference's page of each
service; for S3 also "Required permissions for Amazon S3 API operations": HeadObject and GetObject need s3:GetObject,
and s3:ListBucket on the bucket for a key that is not there to be answered 404; without it the answer is 403, and an
absent object looks like a forbidden one.
"""

import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.privilege.recorder import Request

from clayline_local.template import ACCOUNT

_SIGNED: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/[0-9]{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?SignedHeaders="
)
_ENDPOINT: Final = re.compile(r"/endpoints/([^/]+)/async-invocations")
# On an object's PUT these would need permissions beyond s3:PutObject.
_FURTHER: Final = (
    "x-amz-tagging",
    "x-amz-acl",
    "x-amz-grant-",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
    "x-amz-copy-source",
)


_OF_AN_EVENT: Final = {"events:source": "Source", "events:detail-type": "DetailType"}


class UnknownCallError(ValueError):
    """A request of which it is not known here what it needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """A permission that a request takes."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()
    """What conditions may ask of the request: keys and their values."""


def needs(request: Request) -> tuple[Need, ...]:
    """Give the permissions that a request takes. Raises UnknownCallError."""
    signed = _SIGNED.match(request.headers.get("authorization", ""))
    if not signed:
        raise UnknownCallError(f"{request.method} {request.target} is not signed")
    region, service = signed[1], signed[2]
    if service not in _SERVICES:
        raise UnknownCallError(f"{request.method} {request.target} goes to {service}")
    return _SERVICES[service](request, f"arn:aws:{service}:{region}:{ACCOUNT}:")


def operation(request: Request) -> str:
    """Give the operation that a request in AWS's JSON protocol names. Raises UnknownCallError."""
    prefix, _, name = request.headers.get("x-amz-target", "").rpartition(".")
    if not prefix:
        raise UnknownCallError(f"{request.method} {request.target} names no operation")
    return name


def _s3(request: Request, _arn: str) -> tuple[Need, ...]:
    path, _, query = request.target.partition("?")
    bucket, _, key = path.removeprefix("/").partition("/")
    if (request.method, key, query) == ("POST", "", "delete"):
        keys = re.findall(rb"<Key>(.*?)</Key>", request.body)
        return tuple(Need(action="s3:DeleteObject", resource=f"arn:aws:s3:::{bucket}/{name.decode()}") for name in keys)
    if (request.method, key) == ("GET", "") and "list-type=2" in query.split("&"):
        return (Need(action="s3:ListBucket", resource=f"arn:aws:s3:::{bucket}"),)
    if not key or query or request.method not in {"GET", "HEAD", "PUT"}:
        raise UnknownCallError(f"S3: {request.method} {request.target}")
    objects = f"arn:aws:s3:::{bucket}/{urllib.parse.unquote(key)}"
    if request.method == "PUT":
        if further := [name for name in request.headers if name.startswith(_FURTHER)]:
            raise UnknownCallError(f"S3: PUT {request.target} with {further}")
        return (Need(action="s3:PutObject", resource=objects),)
    needed = Need(action="s3:GetObject", resource=objects)
    return (
        (needed, Need(action="s3:ListBucket", resource=f"arn:aws:s3:::{bucket}"))
        if request.status == 404
        else (needed,)
    )


def _dynamodb(request: Request, arn: str) -> tuple[Need, ...]:
    name, body = operation(request), _json(request)
    if name == "TransactWriteItems":  # needs what each of its changes would need alone
        changes = [pair for change in body["TransactItems"] for pair in change.items()]
        if other := sorted({kind for kind, _ in changes} - {"Update"}):
            raise UnknownCallError(f"DynamoDB: TransactWriteItems with {other}")
        tables = sorted({change["TableName"] for _, change in changes})
        return tuple(Need(action="dynamodb:UpdateItem", resource=f"{arn}table/{table}") for table in tables)
    if name not in {"GetItem", "UpdateItem", "PutItem", "DeleteItem", "Query", "Scan"}:
        raise UnknownCallError(f"DynamoDB: {name}")
    resource = f"{arn}table/{body['TableName']}"
    if "IndexName" in body:
        resource += f"/index/{body['IndexName']}"
    return (Need(action=f"dynamodb:{name}", resource=resource),)


def _sqs(request: Request, arn: str) -> tuple[Need, ...]:
    name, body = operation(request), _json(request)
    queue = body["QueueName"] if name == "GetQueueUrl" else body["QueueUrl"].rpartition("/")[2]
    # Batches have no action of their own.
    return (Need(action=f"sqs:{name.removesuffix('Batch')}", resource=arn + queue),)


def _events(request: Request, arn: str) -> tuple[Need, ...]:
    if operation(request) != "PutEvents":
        raise UnknownCallError(f"EventBridge: {operation(request)}")
    entries = {
        (
            entry.get("EventBusName", "default"),
            tuple((key, entry[name]) for key, name in _OF_AN_EVENT.items() if name in entry),
        )
        for entry in _json(request)["Entries"]
    }
    return tuple(
        Need(action="events:PutEvents", resource=f"{arn}event-bus/{bus}", context=said) for bus, said in sorted(entries)
    )


def _sagemaker(request: Request, arn: str) -> tuple[Need, ...]:
    route = _ENDPOINT.fullmatch(request.target)
    if not route or request.method != "POST":
        raise UnknownCallError(f"SageMaker: {request.method} {request.target}")
    # Names are written in lower case in ARNs, and IAM compares these exactly.
    return (
        Need(
            action="sagemaker:InvokeEndpointAsync", resource=f"{arn}endpoint/{urllib.parse.unquote(route[1]).lower()}"
        ),
    )


def _sns(request: Request, _arn: str) -> tuple[Need, ...]:
    fields = dict(urllib.parse.parse_qsl(request.body.decode()))
    if fields.get("Action") != "Publish":
        raise UnknownCallError(f"SNS: {fields.get('Action')}")
    return (Need(action="sns:Publish", resource=fields["TopicArn"]),)


def _s3vectors(request: Request, arn: str) -> tuple[Need, ...]:
    name, body = request.target.removeprefix("/"), _json(request)
    if request.method != "POST" or name not in {"PutVectors", "DeleteVectors", "CreateIndex"}:
        raise UnknownCallError(f"S3 Vectors: {request.method} {request.target}")
    index = f"bucket/{body['vectorBucketName']}/index/{body['indexName']}"
    return (Need(action=f"s3vectors:{name}", resource=arn + index),)


def _json(request: Request) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(request.body)
    return content


_SERVICES: Final[Mapping[str, Callable[[Request, str], tuple[Need, ...]]]] = {
    "s3": _s3,
    "dynamodb": _dynamodb,
    "sqs": _sqs,
    "events": _events,
    "sagemaker": _sagemaker,
    "sns": _sns,
    "s3vectors": _s3vectors,
}
