"""A call of InvokeEndpointAsync as it arrives over HTTP, held to the service's documented limits.

The header names are those of botocore's service model (sagemaker-runtime 2017-05-13), the limits those of the API
reference. botocore checks only some of them before it sends, so what it lets through has to be refused here as the
service would refuse it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from clayline.errors import ClaylineError

MAX_INLINE_BODY: Final = 128_000
MAX_INPUT: Final = 1_000_000_000
"""Bytes of an input object, which the service checks when it fetches it."""
_PRINTABLE: Final = r"[\x20-\x7e]*"


class InvocationRejectedError(ClaylineError):
    """The service would answer ValidationError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What one parameter may be."""

    header: str
    """Its name on the wire."""
    pattern: str
    """Of the whole value."""
    longest: int
    """Characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberLimit:
    """What one number may be, and its default."""

    header: str
    """Its name on the wire."""
    lowest: int
    highest: int
    default: int


LIMITS: Final = {
    "ContentType": Limit(header="X-Amzn-SageMaker-Content-Type", pattern=_PRINTABLE, longest=1024),
    "Accept": Limit(header="X-Amzn-SageMaker-Accept", pattern=_PRINTABLE, longest=1024),
    "CustomAttributes": Limit(header="X-Amzn-SageMaker-Custom-Attributes", pattern=_PRINTABLE, longest=1024),
    "InferenceId": Limit(header="X-Amzn-SageMaker-Inference-Id", pattern=r"[\x21-\x7e][\x20-\x7e]*", longest=64),
    "InputLocation": Limit(header="X-Amzn-SageMaker-InputLocation", pattern=r"s3://[^/]+/.+", longest=1024),
    "S3OutputPathExtension": Limit(
        header="X-Amzn-SageMaker-S3OutputPathExtension", pattern=r"(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+", longest=512
    ),
    "Filename": Limit(
        header="X-Amzn-SageMaker-Filename", pattern=r"(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9_.-]*", longest=32
    ),
}
NUMBER_LIMITS: Final = {
    "RequestTTLSeconds": NumberLimit(
        header="X-Amzn-SageMaker-RequestTTLSeconds", lowest=60, highest=21_600, default=21_600
    ),
    "InvocationTimeoutSeconds": NumberLimit(
        header="X-Amzn-SageMaker-InvocationTimeoutSeconds", lowest=1, highest=3_600, default=900
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """One accepted call."""

    texts: Mapping[str, str]
    """Values of the parameters in ``LIMITS`` that were given."""
    ttl_seconds: int
    """After so long in the queue the request expires."""
    timeout_seconds: int
    """So long the container may take."""
    body: bytes | None
    """The inline payload, None where InputLocation was given."""

    @classmethod
    def from_http(cls, headers: Mapping[str, str], body: bytes) -> Self:
        """Check a call's headers (names in any case) and body. Raises InvocationRejectedError, naming the parameter."""
        given = {name.lower(): value for name, value in headers.items()}
        texts = {name: given[limit.header.lower()] for name, limit in LIMITS.items() if limit.header.lower() in given}
        for name, value in texts.items():
            _check_text(name, value)
        if ("InputLocation" in texts) == bool(body):
            msg = "exactly one of InputLocation and Body must be given"
            raise InvocationRejectedError(msg)
        if len(body) > MAX_INLINE_BODY:
            msg = f"Body has {len(body)} bytes; at most {MAX_INLINE_BODY} may be sent inline"
            raise InvocationRejectedError(msg)
        numbers = {name: _number(name, given.get(limit.header.lower())) for name, limit in NUMBER_LIMITS.items()}
        return cls(
            texts=texts,
            ttl_seconds=numbers["RequestTTLSeconds"],
            timeout_seconds=numbers["InvocationTimeoutSeconds"],
            body=body or None,
        )


def _check_text(name: str, value: str) -> None:
    limit = LIMITS[name]
    if len(value) > limit.longest:
        msg = f"{name} has {len(value)} characters; at most {limit.longest} are allowed"
        raise InvocationRejectedError(msg)
    if not re.fullmatch(limit.pattern, value):
        msg = f"{name} {value!r} does not match {limit.pattern}"
        raise InvocationRejectedError(msg)


def _number(name: str, value: str | None) -> int:
    limit = NUMBER_LIMITS[name]
    if value is None:
        return limit.default
    if not re.fullmatch(r"[0-9]{1,9}", value) or not limit.lowest <= int(value) <= limit.highest:
        msg = f"{name} is {value!r}; a whole number from {limit.lowest} to {limit.highest} is allowed"
        raise InvocationRejectedError(msg)
    return int(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class AsyncEndpointConfig:
    """What AWS::SageMaker::EndpointConfig says of an asynchronous endpoint."""

    endpoint_name: str
    output_path: str
    """S3OutputPath, an S3 URI."""
    failure_path: str | None
    """S3FailurePath; without it an error's body is lost and only the notification's failureReason tells."""
    success_topic: str | None
    """ARN; without it a success is silent."""
    error_topic: str | None
    """ARN; failures and expiries."""
    max_concurrent: int
    """MaxConcurrentInvocationsPerInstance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A queued request."""

    invocation: Invocation
    inference_id: str
    received: float
    """Seconds since the epoch."""
    output: str
    """S3 URI of the response, whether or not there will be one."""
    failure: str | None
    """S3 URI of the error's body."""

    @property
    def expires(self) -> float:
        """Seconds since the epoch after which nobody computes it any more."""
        return self.received + self.invocation.ttl_seconds
