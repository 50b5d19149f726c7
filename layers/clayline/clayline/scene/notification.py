"""Messages of the scene queue: an object landed, or an archive published a STAC Item over SNS.

Archives publish the Item itself as the message (Cirrus, so Earth Search v1), or where it lies in S3. It comes in SNS's
envelope, or raw where the subscription says so.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, Json

from clayline.run.keys import landing_id
from clayline.scene.href import S3Object, locate
from clayline.scene.intake import Entrance, Landing, Mode, ObjectCreated

_MAX_SHOWN: Final = 100
_JSON: Final = (".json", ".geojson")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A published Item, or what stands in its place: it has no object in S3, and so no ETag."""

    content: bytes
    """The canonical document: JSON with sorted keys and without blanks, ASCII. Equal documents are equal bytes."""
    message: str
    """Id of the message that brought it."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document, 64 hex: the Item's identity in place of an ETag."""
        return hashlib.sha256(self.content).hexdigest()

    def landing(self, *, bucket: str) -> Landing:
        """Give the landing of this document once it is kept in the work bucket."""
        key = f"items/{self.digest}.json"
        return Landing(
            mode=Mode.ITEM,
            bucket=bucket,
            key=key,
            size=len(self.content),
            etag=self.digest,
            landing=landing_id(bucket=bucket, key=key, put={"message": self.message}),
            entrance=Entrance.DOCUMENT,
        )


class PlanAgain(BaseModel):
    """The reconciler's own message: a run was claimed and never planned."""

    model_config = ConfigDict(frozen=True)
    kind: Literal["clayline-plan-again/1"]
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\z")]
    landing: Json[Landing]
    """From which it is planned."""


class Order(BaseModel):
    """An operator's message, or the reconciler's: a run is to be ended as it is, or computed again where it failed."""

    model_config = ConfigDict(frozen=True)
    kind: Literal["clayline-abort/1", "clayline-give-up/1", "clayline-redrive/1"]
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\z")]


_OURS: Final[dict[str, type[PlanAgain | Order]]] = {
    "clayline-plan-again/1": PlanAgain,
    "clayline-abort/1": Order,
    "clayline-give-up/1": Order,
    "clayline-redrive/1": Order,
}


def read_message(body: str, *, message: str) -> ObjectCreated | Landing | Document | PlanAgain | Order | str:
    """Tell what a message of the scene queue is about; a sentence for what starts nothing.

    ``message`` is the queue's id of it, the same however often it is delivered. SNS's own id, where the envelope has
    one, goes before. Raises pydantic's ValidationError for an event of EventBridge that is none of S3's, and for a
    message of our own kinds that is none.
    """
    content = _parsed(body)
    if isinstance(content, dict) and "detail-type" in content:
        return ObjectCreated.model_validate(content)
    if isinstance(content, dict) and (ours := _OURS.get(str(content.get("kind")))):
        return ours.model_validate(content)
    if isinstance(content, dict) and isinstance(content.get("Type"), str) and "TopicArn" in content:
        if content["Type"] != "Notification":
            return f"SNS's message of type {content['Type'][:_MAX_SHOWN]!r} publishes nothing"
        message = str(content.get("MessageId") or message)[:_MAX_SHOWN]
        body = str(content.get("Message"))
        content = _parsed(body)
    if isinstance(content, dict) and set(content) == {"href"}:
        content = content["href"]
    if isinstance(content, dict | list):
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return Document(content=canonical.encode("ascii"), message=message)
    return _linked(content if isinstance(content, str) else body, message)


def _linked(text: str, message: str) -> Landing | str:
    """Read a message that says where an Item lies."""
    href = text.strip()
    found = locate(href, "")
    if not isinstance(found, S3Object) or not found.key.lower().endswith(_JSON):
        return f"the message {href[:_MAX_SHOWN]!r} is neither a STAC Item nor names one in S3"
    return Landing(
        mode=Mode.ITEM,
        bucket=found.bucket,
        key=found.key,
        size=0,
        etag="",
        landing=landing_id(bucket=found.bucket, key=found.key, put={"message": message}),
        entrance=Entrance.LINK,
    )


def _parsed(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def self_link(content: dict[str, Any]) -> str:
    """Give ``s3://bucket/key`` of an Item's ``self`` link, against which its hrefs are relative; else an empty text."""
    links = content.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "self" and isinstance(link.get("href"), str):
            found = locate(link["href"], "")
            return found.uri if isinstance(found, S3Object) else ""
    return ""
