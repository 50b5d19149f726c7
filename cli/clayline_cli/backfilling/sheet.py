"""The list of a backfill: its messages in batches, as the state machine reads them, and the count of them."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Final

from clayline_cli.backfilling.found import Found
from clayline_cli.backfilling.messages import Message, Messages, PassedOver

BATCH: Final = 10
"""Messages of a call of SQS, at most."""
_BATCH_BYTES: Final = 190_000
"""Of JSON: with its `Failed` beside it, a batch stays within the 262,144 bytes of a state."""
_NAMED_TWICE: Final = "is named twice: it is sent once"


@dataclass(kw_only=True, slots=True)
class Left:
    """How much of a kind is not sent."""

    count: int = 0
    bytes: int = 0
    example: str = ""


@dataclass(kw_only=True, slots=True)
class Evenly:
    """Some of a sequence of unknown length, evenly spread, the first among them."""

    most: int
    _kept: list[Message] = field(default_factory=list)
    _seen: int = 0
    _every: int = 1

    def add(self, one: Message) -> None:
        """Take the next one: it is kept, or not."""
        if self.most and self._seen % self._every == 0:
            self._kept.append(one)
            if len(self._kept) > 2 * self.most:
                del self._kept[1::2]
                self._every *= 2
        self._seen += 1

    def taken(self) -> list[Message]:
        """Give so many at most."""
        if len(self._kept) <= self.most:
            return list(self._kept)
        return [self._kept[number * len(self._kept) // self.most] for number in range(self.most)]


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a list holds, and what was left out of it."""

    scenes: int = 0
    bytes: int = 0
    """Of the Items and COGs that are named; assets of Items are not among them."""
    batches: int = 0
    left: dict[str, Left] = field(default_factory=dict)
    """By the reason."""
    sample: Evenly
    """What the costs are estimated by."""
    digest: str = ""
    """SHA-256 of the list."""

    def values(self) -> dict[str, Any]:
        """Give it as JSON can say it."""
        left = [{"why": why, **asdict(each)} for why, each in self.left.items()]
        return {"scenes": self.scenes, "bytes": self.bytes, "batches": self.batches, "passed_over": left}

    def leave(self, one: PassedOver) -> None:
        """Count what is not sent."""
        left = self.left.setdefault(one.why, Left(example=one.called))
        left.count += 1
        left.bytes += one.size


def write_sheet(found: Iterable[Found], messages: Messages, target: IO[bytes], *, sample: int) -> Tally:
    """Write the list of what was found, a JSON array of batches; give the count, with a sample of so many messages.

    Raises what reading on raises.
    """
    tally, digest, seen = Tally(sample=Evenly(most=sample)), hashlib.sha256(), set[str]()

    def write(text: str) -> None:
        body = text.encode("ascii")
        digest.update(body)
        target.write(body)

    write("[")
    for batch in _batches(_taken(found, messages, tally, seen)):
        write(f"{',' if tally.batches else ''}\n{json.dumps({'entries': batch}, separators=(',', ':'))}")
        tally.batches += 1
    write("\n]\n")
    tally.digest = digest.hexdigest()
    return tally


def _taken(found: Iterable[Found], messages: Messages, tally: Tally, seen: set[str]) -> Iterator[Message]:
    for one in found:
        made = messages.of(one)
        if isinstance(made, Message) and made.identity in seen:
            made = PassedOver(why=_NAMED_TWICE, called=made.called, size=made.size)
        if isinstance(made, PassedOver):
            tally.leave(made)
            continue
        seen.add(made.identity)
        tally.scenes += 1
        tally.bytes += made.size
        tally.sample.add(made)
        yield made


def _batches(messages: Iterable[Message]) -> Iterator[list[dict[str, str]]]:
    batch: list[dict[str, str]] = []
    held = 0
    for message in messages:
        size = len(json.dumps(message.body))
        if batch and (len(batch) == BATCH or held + size > _BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append({"Id": str(len(batch)), "MessageBody": message.body})
        held += size
    if batch:
        yield batch
