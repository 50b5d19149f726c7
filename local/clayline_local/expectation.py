"""What must be true after a function has taken an event.

``events/NAME.expected.json``, and how it is held against what happened.

Everything is exact but what a run cannot repeat: a text with ``*`` in it is a pattern, a JSON object is a subset
(further keys may be there), and not compared are the times of SageMaker's notifications, and of EventBridge's events
the time, the id, and what the run took. ``${run}`` stands for the
run that the event itself names.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from clayline_local.errors import LocalCloudError

REGENERATE: Final = ".venv/bin/python events/make_events.py"
_RUN: Final = re.compile(r'(?:"run": "|/requests/)([0-9a-f]{32})\b')
_TIMES: Final = frozenset({"eventTime", "receivedTime"})
_OF_AN_EVENT: Final = frozenset({"time", "id"})
_FROZEN: Final = ConfigDict(frozen=True, extra="forbid")


class Sent(BaseModel):
    """Messages that one queue got."""

    model_config = _FROZEN
    count: int
    same_as: tuple[str, ...] = ()
    """Names of events whose records, taken together, have the bodies of these messages: the chain's next hop."""


class Expected(BaseModel):
    """An expected outcome.

    What is not named has not happened: no other message, no other object, no other announcement.
    """

    model_config = _FROZEN
    note: str
    """What the event is, in a sentence."""
    function: str
    """Logical id in template.yaml."""
    after: tuple[str, ...] = ()
    """Events that come before."""
    kept: tuple[str, ...] = ()
    """Keys of the embeddings bucket under which something lies before the event comes: the file in ``events/kept``."""
    overdue: tuple[str, ...] = ()
    """Patterns of scenes: before the event comes, the deadlines of their runs pass."""
    reply: Any
    messages: dict[str, Sent] = {}
    """By the queue's logical id."""
    objects: dict[str, int] = {}
    """How many objects whose URI has this pattern were written."""
    ledger: tuple[dict[str, Any], ...] = ()
    """Each is a subset of some row."""
    documents: dict[str, Any] = {}
    """A JSON object in S3, by a URI pattern that one object has: a subset of its content."""
    announced: tuple[dict[str, Any], ...] = ()
    """Each is a subset of an event on the bus."""
    log: tuple[dict[str, Any], ...] = ()
    """Each is a subset of a line of its own in the function's log. Metrics are lines, too."""

    @classmethod
    def read(cls, path: Path, *, event: Mapping[str, Any]) -> Self:
        """Read an expectation beside its event. Raises LocalCloudError."""
        text = path.read_text(encoding="utf-8")
        runs = {run for body in bodies_of(event) for run in _RUN.findall(json.dumps(parsed(body)))}
        if "${run}" in text:
            if len(runs) != 1:
                raise LocalCloudError(f"{path} speaks of ${{run}}, and its event names {len(runs)} runs")
            text = text.replace("${run}", runs.pop())
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise LocalCloudError(f"{path}: {error}") from error


def bodies_of(event: Mapping[str, Any]) -> list[str]:
    """Give the bodies of an SQS event's records; what the clock sends has none."""
    return [record["body"] for record in event.get("Records", ())]


def having(pattern: str, uris: Iterable[str]) -> list[str]:
    """Give the URIs that have a pattern."""
    return [uri for uri in uris if fnmatchcase(uri, pattern)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What an invocation did."""

    reply: Any
    failed: bool
    log: Sequence[Mapping[str, Any]]
    messages: Mapping[str, Sequence[str]]
    """Bodies, by the queue's logical id; only queues that got any."""
    objects: Sequence[str]
    """URIs that were not there before."""
    announced: Sequence[Mapping[str, Any]]
    """Events on the bus."""
    ledger: Sequence[Mapping[str, Any]]
    """Every row there is now."""
    documents: Mapping[str, Any]
    """Content of the JSON objects that the expectation asks for, by pattern; None where not exactly one object has
    it."""
    peak: int | None = None
    """MB of memory that the function has had at most so far, where that is known."""


def differences(expected: Expected, observed: Observed, *, bodies: Mapping[str, Sequence[str]]) -> list[str]:
    """Say everything that is not as expected.

    ``bodies`` gives the records' bodies of each event that ``same_as`` names.
    """
    return [
        *_reply(expected, observed),
        *_messages(expected, observed, bodies),
        *_objects(expected, observed),
        *_documents(expected, observed),
        *_each("ledger row", expected.ledger, observed.ledger),
        *_each("log line", expected.log, observed.log),
        *_announcements(expected, observed),
    ]


def _reply(expected: Expected, observed: Observed) -> list[str]:
    if observed.failed or observed.reply != expected.reply:
        return [f"the reply is {observed.reply!r}, expected {expected.reply!r}"]
    return []


def _messages(expected: Expected, observed: Observed, bodies: Mapping[str, Sequence[str]]) -> list[str]:
    found = []
    for queue in sorted({*expected.messages, *observed.messages}):
        wanted, sent = expected.messages.get(queue, Sent(count=0)), observed.messages.get(queue, ())
        if len(sent) != wanted.count:
            found.append(f"{queue} got {len(sent)} messages, expected {wanted.count}: {list(sent)[:3]}")
        elif wanted.same_as:
            next_hop = [body for name in wanted.same_as for body in bodies[name]]
            if sorted(map(comparable, sent)) != sorted(map(comparable, next_hop)):
                names = ", ".join(wanted.same_as)
                found.append(
                    f"what {queue} got is not what the events {names} hold: these are stale; `{REGENERATE}` makes them"
                    " again"
                )
    return found


def _objects(expected: Expected, observed: Observed) -> list[str]:
    rest, found = list(observed.objects), []
    for pattern, count in expected.objects.items():
        written = having(pattern, rest)
        rest = [uri for uri in rest if uri not in written]
        if len(written) != count:
            found.append(f"{len(written)} objects {pattern} were written, expected {count}")
    return [*found, *(f"{uri} was written, and nobody expected it" for uri in rest)]


def _documents(expected: Expected, observed: Observed) -> list[str]:
    return [
        f"{uri} holds {found!r}, and {content!r} is expected of it"
        for uri, content in expected.documents.items()
        if not is_part(content, found := observed.documents[uri])
    ]


def _announcements(expected: Expected, observed: Observed) -> list[str]:
    number, wanted = len(observed.announced), len(expected.announced)
    wrong_number = [f"{number} announcements, expected {wanted}"] if number != wanted else []
    return [*wrong_number, *_each("announcement", expected.announced, observed.announced)]


def _each(what: str, wanted: Iterable[Mapping[str, Any]], there: Iterable[Mapping[str, Any]]) -> list[str]:
    """Find a partner of its own for each that is wanted."""
    rest, found = list(there), []
    for one in wanted:
        partner = next((number for number, other in enumerate(rest) if is_part(one, other)), None)
        if partner is None:
            found.append(f"no {what} has {json.dumps(one)}")
        else:
            del rest[partner]
    return found


def is_part(wanted: object, found: object) -> bool:
    """Tell whether ``found`` has everything that ``wanted`` has."""
    if isinstance(wanted, dict):
        return isinstance(found, Mapping) and all(
            name in found and is_part(value, found[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, str) and "*" in wanted:
        return isinstance(found, str) and fnmatchcase(found, wanted)
    return wanted == found


def comparable(body: str) -> str:
    """Write a message's body so that two of the same content are equal."""
    content = parsed(body)
    if isinstance(content, dict):
        content = _without(content, _TIMES)
        if "detail-type" in content:
            content = _without(content, _OF_AN_EVENT) | {"detail": _without(content["detail"], {"measured"})}
    return json.dumps(content, sort_keys=True)


def _without(content: Mapping[str, Any], names: AbstractSet[str]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


def parsed(body: str) -> Any:  # noqa: ANN401 - any JSON, or a text that is none
    """Read a body, an SNS envelope opened."""
    content = json.loads(body)
    if isinstance(content, dict) and content.get("Type") == "Notification":
        return json.loads(content["Message"])
    return content
