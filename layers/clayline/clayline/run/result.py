"""SageMaker's notifications, and our own for batches that sent nothing: what each says of which batch."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clayline.errors import bounded
from clayline.run.keys import inference_id, is_response, parse_s3_uri

_RUN = "[0-9a-f]{32}"
_BATCH = "b(?:[0-9]{5}|[1-9][0-9]{5,8})"  # one spelling a number: b000042 beside b00042 would settle one batch twice
_REQUEST_KEY = re.compile(rf"requests/({_RUN})/({_BATCH})\.safetensors\Z")
_ATTEMPT = re.compile(r".*-a([1-9][0-9]{0,5})\Z")
_MODEL_CHANGED = re.compile(r'"reason\\?": *\\?"model-changed\\?"')
"""In the server's own error (docs/wire.md), as SageMaker quotes it."""
MAX_MESSAGE = 500


class BatchResult(BaseModel):
    """One message about one attempt of one batch."""

    model_config = ConfigDict(frozen=True)
    run: str
    batch: str
    attempt: int
    status: Literal["succeeded", "failed", "nothing-sent"]
    output: str | None = None
    reason: str | None = None
    message: str | None = None
    found: Literal["reconcile"] | None = None
    """Who found it out, where no message told of it: kept for people."""


class NothingSent(BaseModel):
    """Tile's own message: every chip of the batch was skipped or failed, so nothing was invoked."""

    model_config = ConfigDict(frozen=True)
    kind: Literal["clayline-nothing-sent/1"] = "clayline-nothing-sent/1"
    run: Annotated[str, Field(pattern=rf"^{_RUN}\z")]
    batch: Annotated[str, Field(pattern=rf"^{_BATCH}\z")]
    attempt: int = Field(ge=1)


class UnknownResultError(ValueError):
    """A message that is about no batch of ours; nothing could ever cure it."""


def parse_result(body: str, *, work_bucket: str) -> BatchResult:
    """Read a result queue's body: an SNS envelope, SNS's raw delivery, or ``NothingSent``. Raises UnknownResultError.

    Anything but ``Completed`` is not done: ``Failed``, ``Expired`` and whatever may come later count as failed.
    """
    content = _json(body)
    if content.get("Type") == "Notification" and isinstance(content.get("Message"), str):
        content = _json(content["Message"])
    if content.get("kind"):
        try:
            own = NothingSent.model_validate(content)
        except ValidationError as error:
            msg = bounded(f"not a message of ours: {error}")
            raise UnknownResultError(msg) from error
        return BatchResult(run=own.run, batch=own.batch, attempt=own.attempt, status="nothing-sent")
    return _notification(content, work_bucket)


def _notification(content: Mapping[str, Any], work_bucket: str) -> BatchResult:
    request, response = _mapping(content, "requestParameters"), _mapping(content, "responseParameters")
    status, identity = content.get("invocationStatus"), content.get("inferenceId")
    try:
        bucket, key = parse_s3_uri(str(request.get("inputLocation")))
    except ValueError as error:
        msg = bounded(f"a notification without an input location: {error}")
        raise UnknownResultError(msg) from error
    found = _REQUEST_KEY.match(key)
    if bucket != work_bucket or not found:
        msg = bounded(f"a notification about s3://{bucket}/{key}, which is no request of ours")
        raise UnknownResultError(msg)
    run, batch = found[1], found[2]
    named = _ATTEMPT.match(identity) if isinstance(identity, str) else None
    if named is None or identity != inference_id(run=run, batch=batch, attempt=int(named[1])):
        msg = bounded(f"a notification about {key} under InferenceId {identity!r}, which is no attempt of that")
        raise UnknownResultError(msg)
    attempt = int(named[1])
    if status == "Completed" and isinstance(output := response.get("outputLocation"), str):
        if is_response(output, bucket=work_bucket):
            return BatchResult(run=run, batch=batch, attempt=attempt, status="succeeded", output=output)
        message = _sendable(
            f"the response is said to lie at {output}, which is not under s3://{work_bucket}/responses/"
        )
        return BatchResult(
            run=run, batch=batch, attempt=attempt, status="failed", reason="response-elsewhere", message=message
        )
    message = str(content.get("failureReason") or f"invocationStatus {status}")
    if status == "Expired" and not _MODEL_CHANGED.search(message):
        return BatchResult(
            run=run,
            batch=batch,
            attempt=attempt,
            status="failed",
            reason="request-expired",
            message=_sendable(message),
        )
    return failed_result(run=run, batch=batch, attempt=attempt, message=message)


def failed_result(*, run: str, batch: str, attempt: int, message: str) -> BatchResult:
    """Give the failure of an attempt of which ``message`` is what the endpoint said.

    That the folder was replaced between plan and endpoint is told from a failure to compute.
    """
    reason = "model-changed" if _MODEL_CHANGED.search(message) else "inference-failed"
    return BatchResult(
        run=run, batch=batch, attempt=attempt, status="failed", reason=reason, message=_sendable(message)
    )


def _sendable(message: str) -> str:
    """Cut a message to what a batch's row keeps, half a surrogate pair replaced: no store takes one."""
    return bounded(message[:MAX_MESSAGE])


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _json(text: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise UnknownResultError(msg) from error
    if not isinstance(content, dict):
        msg = "not a JSON object"
        raise UnknownResultError(msg)
    return content
