"""SageMaker's asynchronous endpoint in memory: latency, failures, expiry, lies, and notifications that get lost."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

import numpy as np
from tests.faults.model import DIMENSIONS, Model
from tests.faults.storage import Storage
from tests.faults.timeline import HOUR, Timeline

from clayline.errors import TransientError
from clayline.model.wire import Request, Response
from clayline.run.ledger import Invocation
from clayline.steps.settling import MAX_ATTEMPTS

TTL: Final = 6 * HOUR
GOOD: Final = "good"
FAILED: Final = "the model server answered 500"
REFUSED: Final = '{"reason": "model-changed"}'
FAILURES: Final = frozenset({"failed", "expired", "mute failure", "silent"})
"""After which another attempt may succeed."""
DISCARDED: Final = "discarded"
"""Its request is gone because the receipt stands: whatever is answered comes too late."""
LATE: Final = "late"
"""The notification comes before the response can be read."""
MUTE: Final = "mute"
"""Answered, and the notification is lost."""
TWICE: Final = "computed twice"
"""Answered once more over the first answer, which took other seconds."""
REASONS: Final = {
    "failed": "inference-failed", "expired": "request-expired", "mute failure": "inference-failed",
    "refused": "model-changed", "other digest": "model-changed", "other batch": "response-mismatch",
    "other chips": "response-mismatch", "more dimensions": "response-mismatch", "no loss": "response-mismatch",
    "garbage": "response-unreadable", "cut off": "response-unreadable", "silent": "request-expired",
    "far too long": "response-too-large", "very late": "response-missing",
    "nothing there": "response-missing", "elsewhere": "response-elsewhere", "not a number": "non-finite",
    "said to be bad": "non-finite",
}  # fmt: skip
"""The reason with which a fate fails chips."""


@dataclass(kw_only=True, slots=True)
class Call:
    """An invocation."""

    input_uri: str
    inference_id: str
    output: str
    failure: str
    fate: str = ""
    size: int = 0
    """Bytes of its request; 0 where that was gone."""
    notified: float | None = None
    """When the result queue had its notification first, seconds."""


@dataclass(kw_only=True)
class PlayedEndpoint:
    """The port Endpoint, and what becomes of invocations."""

    storage: Storage
    timeline: Timeline
    chance: Random
    notify: Callable[[str], None]
    work_bucket: str
    fates: dict[str, float]
    """How often each fate but ``good`` comes, from 0 to 1."""
    fickle: bool
    """Whether two invocations of one batch may fare differently."""
    heals: bool
    """Whether the last attempt of a batch does not fail."""
    latency: float
    """Of the slowest invocation, seconds."""
    outage: float
    """How long it refuses every invocation at first, seconds."""
    repeats: float
    """Share of notifications that come again."""
    served: dict[str, Model] = field(default_factory=dict)
    """By folder."""
    calls: list[Call] = field(default_factory=list)
    spoken: Counter[str] = field(default_factory=Counter)
    """Fates that came."""
    _known: dict[str, str] = field(default_factory=dict)

    def invoke(self, *, input_uri: str, inference_id: str) -> Invocation:
        if self.timeline.seconds < self.outage:
            raise TransientError("injected: the endpoint takes no invocation")
        output = f"s3://{self.work_bucket}/responses/{len(self.calls):08x}.out"
        failure = f"s3://{self.work_bucket}/failures/{len(self.calls):08x}-error.out"
        call = Call(input_uri=input_uri, inference_id=inference_id, output=output, failure=failure)
        self.calls.append(call)
        self.timeline.after(self.chance.random() ** 3 * self.latency, lambda: self._work(call))
        return Invocation(output=output, failure=failure)

    def _work(self, call: Call) -> None:
        request = self.storage.find(call.input_uri)
        parsed = Request.from_bytes(request.body) if request else None
        call.size = len(request.body) if request else 0
        call.fate = self._fate(call, parsed)
        self.spoken[call.fate] += 1
        match call.fate:
            case "failed" | "refused" | "request gone" | "discarded":
                self._write(call.failure, (REFUSED if call.fate == "refused" else FAILED).encode())
                self._tell(call, 0, status="Failed")
            case "expired":
                self._tell(call, TTL, status="Expired")
            case "mute failure":
                self._write(call.failure, FAILED.encode())
            case "silent":
                pass
            case _:
                assert parsed is not None
                self._answer(call, parsed)

    def _fate(self, call: Call, request: Request | None) -> str:
        if request is None:
            return DISCARDED if call.input_uri in self.storage.discarded else "request gone"
        if call.input_uri in self._known and not self.fickle:
            return self._known[call.input_uri]
        model = self.served.get(request.header.folder)
        fate = GOOD
        drawn = self.chance.random()
        for name, rate in self.fates.items():
            if drawn < rate:
                fate = name
                break
            drawn -= rate
        if self.heals and int(call.inference_id.rpartition("-a")[2]) >= MAX_ATTEMPTS and fate in FAILURES:
            fate = GOOD
        if model is None or (model.entry.token, model.entry.digest) != (request.header.token, request.header.digest):
            fate = "refused"
        return self._known.setdefault(call.input_uri, fate) if not self.fickle else fate

    def _answer(self, call: Call, request: Request) -> None:
        model = self.served[request.header.folder]
        # Of each call other seconds: answers to one batch are compared by all else.
        seconds = (len(self.calls) % 97 + 1) / 64
        body = _body(call.fate, replace(model.answer(request), compute_seconds=seconds))
        said = f"s3://{self.work_bucket}/elsewhere/x.out" if call.fate == "elsewhere" else call.output
        wait = 0.0
        if call.fate == "very late":
            wait = 600 + self.chance.random() * 12_000
        if call.fate == LATE:
            wait = 10 + self.chance.random() * 500
        if call.fate != "nothing there":
            self.timeline.after(wait, lambda: self._write(said, body))
        if call.fate == TWICE:
            other = replace(model.answer(request), compute_seconds=seconds + 1)
            self.timeline.after(self.chance.random() * 2 * HOUR, lambda: self._write(said, other.to_bytes()))
        if call.fate != MUTE:
            self._tell(call, 0.001, status="Completed", output=said)

    def _write(self, uri: str, body: bytes) -> None:
        self.storage.put(uri, body)

    def _tell(self, call: Call, wait: float, *, status: str, output: str | None = None) -> None:
        text = notification(call.input_uri, call.inference_id, status=status, output=output, fate=call.fate)
        for _ in range(2 if self.chance.random() < self.repeats else 1):
            self.timeline.after(wait, lambda: self._send(call, text))
            wait += self.chance.random() * HOUR

    def _send(self, call: Call, text: str) -> None:
        call.notified = self.timeline.seconds if call.notified is None else call.notified
        self.notify(text)


def notification(input_uri: str, inference_id: str, *, status: str, output: str | None, fate: str = "") -> str:
    """Give SageMaker's notification in SNS's envelope."""
    content: dict[str, Any] = {
        "invocationStatus": status, "eventName": "InferenceResult", "eventSource": "aws:sagemaker",
        "requestParameters": {"inputLocation": input_uri}, "inferenceId": inference_id,
        "responseParameters": {"outputLocation": output} if output else {},
    }  # fmt: skip
    if status == "Failed":
        refused = f'Received client error (400) from model with message "{REFUSED}"'
        content["failureReason"] = refused if fate == "refused" else FAILED
    return json.dumps({"Type": "Notification", "Message": json.dumps(content)})


def _body(fate: str, honest: Response) -> bytes:
    """Serialise a response, or the lie that stands in its place."""
    match fate:
        case "garbage":
            return b"<html>502 Bad Gateway</html>"
        case "cut off":
            return honest.to_bytes()[:-3]
        case "far too long":
            return honest.to_bytes() + bytes(200_000)
        case _:
            return _LIES.get(fate, _honest)(honest).to_bytes()


def _honest(response: Response) -> Response:
    return response


def _other_digest(response: Response) -> Response:
    header = replace(response.header, digest=f"sha256:{'f' * 64}")
    return replace(response, header=header, embeddings=response.embeddings + np.float32(1))


def _other_batch(response: Response) -> Response:
    header = replace(response.header, batch=f"b{int(response.header.batch[1:]) + 1:05d}")
    return replace(response, header=header, embeddings=response.embeddings + np.float32(2))


def _other_chips(response: Response) -> Response:
    return replace(response, index=response.index + 1)


def _more_dimensions(response: Response) -> Response:
    return replace(response, embeddings=np.zeros((len(response.index), DIMENSIONS + 1), np.float32))


def _no_loss(response: Response) -> Response:
    return replace(response, loss=None, loss_metric=None)


def _not_a_number(response: Response) -> Response:
    """Every second vector is none, and is said to be good."""
    embeddings = response.embeddings.copy()
    embeddings[::2, 0] = np.nan
    return replace(response, embeddings=embeddings)


def _said_to_be_bad(response: Response) -> Response:
    """Every second vector is zeros, and is said to be none."""
    status, embeddings = response.status.copy(), response.embeddings.copy()
    status[::2], embeddings[::2] = 1, 0
    return replace(response, status=status, embeddings=embeddings)


_LIES: Final[dict[str, Callable[[Response], Response]]] = {
    "other digest": _other_digest,
    "other batch": _other_batch,
    "other chips": _other_chips,
    "more dimensions": _more_dimensions,
    "no loss": _no_loss,
    "not a number": _not_a_number,
    "said to be bad": _said_to_be_bad,
}
