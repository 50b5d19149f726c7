"""How scenes come: an object lands in the scenes bucket, or an archive publishes an Item over SNS.

What a landing is called, and which scene it is of, is said here apart from the code: the verdict goes by it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from random import Random
from typing import Final

from tests.faults.imagery import COGS, SCENES
from tests.faults.storage import Storage
from tests.faults.timeline import HOUR, Timeline

WORK: Final = "work"
KEPT: Final = f"s3://{WORK}/items/"
"""Under which published Items are kept."""
_COPY: Final = 2 * HOUR
"""Until when SNS delivers a message once more."""
_AGAIN: Final = 3 * HOUR
"""Until when an archive publishes again what SNS lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Landed:
    """A landing: an object in the scenes bucket whose event was sent, or a message of the topic."""

    uri: str
    """What the answer calls it."""
    scene: str
    """What the scene is called."""
    at: float
    """Seconds."""


@dataclass(kw_only=True)
class Entrances:
    """The scenes bucket and an archive's topic, before the scene queue."""

    storage: Storage
    timeline: Timeline
    chance: Random
    send: Callable[[str], None]
    """Puts a message onto the scene queue."""
    lost: float
    """Share of the topic's messages that SNS loses."""
    twice: float
    """Share of them that it delivers twice, under two ids of the queue's."""
    landed: list[Landed]

    def land(self, key: str, body: bytes) -> None:
        """Put an object that starts a scene: an Item, or a COG without one."""
        uri = f"s3://{SCENES}/{key}"
        etag = self.storage.put(uri, body)
        self._note(uri, uri if key.startswith(COGS) else key.split("/")[-2])
        found = {"key": key, "size": len(body), "etag": etag, "sequencer": f"{len(self.landed):016X}"}
        event = {
            "source": "aws.s3", "detail-type": "Object Created",
            "detail": {"bucket": {"name": SCENES}, "object": found},
        }  # fmt: skip
        self.send(json.dumps(event))

    def publish(self, item: bytes) -> None:
        """Publish an Item as a message. Its publisher writes equal documents in any order of their keys."""
        content = json.loads(item)
        digest = sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        self.storage.versions[digest] = item
        names = list(content)
        self.chance.shuffle(names)
        text = json.dumps({name: content[name] for name in names}, indent=self.chance.choice((None, 1)))
        self._notify(text, partial(self._note, f"{KEPT}{digest}.json", content["id"]))

    def link(self, key: str, item: bytes) -> None:
        """Put an Item of which S3 sends no event, and publish where it lies."""
        uri = f"s3://{SCENES}/{key}"
        self.storage.put(uri, item)
        text = self.chance.choice((uri, json.dumps({"href": uri})))
        self._notify(text, partial(self._note, uri, key.split("/")[-2]))

    def _notify(self, text: str, note: Callable[[], None]) -> None:
        """Have SNS send to the queue, in its envelope or raw; ``note`` is called for each landing that this makes."""
        if self.chance.random() < self.lost:
            again = partial(self._notify, text, note)
            self.timeline.after(self.chance.random() * _AGAIN, again)
            return
        raw = self.chance.random() < 0.3
        envelope = {
            "Type": "Notification", "MessageId": f"{self.chance.getrandbits(128):032x}",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:archive", "Message": text,
        }  # fmt: skip
        body = text if raw else json.dumps(envelope)
        note()
        self.send(body)
        if self.chance.random() < self.twice:
            late = self.chance.random() ** 2 * _COPY
            if raw:  # a copy has nothing of the first: it counts as published again
                self.timeline.after(late, note)
            self.timeline.after(late, partial(self.send, body))

    def _note(self, uri: str, scene: str) -> None:
        self.landed.append(Landed(uri=uri, scene=scene, at=self.timeline.seconds))
