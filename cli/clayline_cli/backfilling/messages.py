"""The messages of the live path, for what was there before: S3's event of an object, and SNS's of an Item.

Every message is read by plan's own parser before it is taken: what plan would pass over is not sent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from clayline.scene.href import S3Object, locate
from clayline.scene.intake import ObjectCreated, classify
from clayline.scene.notification import Document, read_message, self_link
from clayline_cli.backfilling.found import Found, FoundItem, FoundObject

MOST_BYTES: Final = 180_000
"""Of a message: a state of Step Functions holds 262,144 bytes, in which its quotes are escaped once more."""
_FORBIDDEN: Final = "lies in a bucket that is neither the scenes bucket nor among AllowedBuckets"
_NO_SCENE: Final = "starts no scene, as landing would not"
_LEFT_OUT: Final = "is not among what --only says"
_TOO_LARGE: Final = "is larger than a message may be: let the Item land in the scenes bucket"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What is sent for a scene."""

    body: str
    identity: str
    """What it is about: two messages of one identity are one."""
    called: str
    """What people call it: its URI, or the Item's id."""
    size: int
    uri: str | None = None
    """Where its Item or COG lies; None for an Item that is sent itself."""
    document: bytes = b""
    """The Item that is sent itself, canonical."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PassedOver:
    """Something that is not sent."""

    why: str
    called: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Messages:
    """How a backfill's messages are made."""

    name: str
    """The backfill's. It is part of each landing's identity: the same one again is the same landing."""
    sender: str
    """ARN of the state machine."""
    scenes_bucket: str
    allowed_buckets: frozenset[str]
    item_prefix: str
    cog_prefix: str
    only: str | None = None
    """What keys must be like, as a shell's pattern; None: anything."""

    def of(self, found: Found) -> Message | PassedOver:
        """Make the message for what a source names, or say why it is none."""
        if isinstance(found, FoundObject):
            return self._of_object(found)
        return self._of_item(found)

    def _of_object(self, found: FoundObject) -> Message | PassedOver:
        if self.only and not fnmatchcase(found.key, self.only):
            return PassedOver(why=_LEFT_OUT, called=found.uri, size=found.size)
        if found.bucket == self.scenes_bucket:
            body = self._landed(found)
        elif found.bucket in self.allowed_buckets:
            body = self._published(found.uri)
        else:
            return PassedOver(why=_FORBIDDEN, called=found.uri, size=found.size)
        if not self._starts_a_scene(body):
            return PassedOver(why=_NO_SCENE, called=found.uri, size=found.size)
        return Message(body=body, identity=found.uri, called=found.uri, uri=found.uri, size=found.size)

    def _of_item(self, found: FoundItem) -> Message | PassedOver:
        """Where an Item's own link leads to an object that the stack may read, that object is meant: it then is the
        same scene that landed there. Else the Item itself is sent, as an archive publishes it.
        """
        link = locate(self_link(dict(found.content)), "")
        if isinstance(link, S3Object) and link.bucket in {self.scenes_bucket, *self.allowed_buckets}:
            return self._of_object(FoundObject(bucket=link.bucket, key=link.key))
        body = self._published(json.dumps(found.content, sort_keys=True, separators=(",", ":")))
        if len(json.dumps(body)) > MOST_BYTES:
            return PassedOver(why=_TOO_LARGE, called=found.called, size=len(body))
        read = read_message(body, message="")
        if not isinstance(read, Document):
            return PassedOver(why=_NO_SCENE, called=found.called, size=len(body))
        return Message(
            body=body, identity=read.digest, called=found.called, size=len(read.content), document=read.content
        )

    def _starts_a_scene(self, body: str) -> bool:
        read = read_message(body, message="")
        if isinstance(read, ObjectCreated):
            read = classify(read, item_prefix=self.item_prefix, cog_prefix=self.cog_prefix)
        return not isinstance(read, str)

    def _landed(self, found: FoundObject) -> str:
        """Write what EventBridge says of an object that has landed; S3's sequencer alone is not known any more."""
        event: dict[str, Any] = {
            "version": "0",
            "id": self._id,
            "detail-type": "Object Created",
            "source": "aws.s3",
            "resources": [f"arn:aws:s3:::{found.bucket}"],
            "detail": {
                "version": "0",
                "bucket": {"name": found.bucket},
                "object": {"key": found.key, "size": found.size, "etag": found.etag},
                "reason": self._id,
            },
        }
        return _written(event)

    def _published(self, message: str) -> str:
        """Write what SNS says of an Item, or of where one lies."""
        return _written({"Type": "Notification", "MessageId": self._id, "TopicArn": self.sender, "Message": message})

    @property
    def _id(self) -> str:
        return f"backfill-{self.name}"


def _written(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))
