"""What a landed object's event means: a scene to plan, or nothing to do."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from clayline.run.keys import landing_id

_IGNORE = ConfigDict(frozen=True, extra="ignore")


class _Bucket(BaseModel):
    model_config = _IGNORE
    name: str


class _Object(BaseModel):
    model_config = _IGNORE
    key: Annotated[str, Field(min_length=1)]
    """Raw: EventBridge does not URL-encode keys, so a literal + or % stays what it is."""
    size: int = 0
    etag: str = Field(default="", validation_alias=AliasChoices("etag", "eTag"))
    """S3 writes ``etag`` in EventBridge's events, ``eTag`` in its classic ones; moto writes the latter in both."""
    sequencer: str | None = None
    """Of this PUT among those of the key."""
    version_id: str | None = Field(default=None, alias="version-id")
    """Only of a bucket with versions."""


class _Detail(BaseModel):
    model_config = _IGNORE
    bucket: _Bucket
    object: _Object


class ObjectCreated(BaseModel):
    """EventBridge's event of S3 for a created object, as far as we read it."""

    model_config = _IGNORE
    source: Literal["aws.s3"]
    detail_type: Literal["Object Created"] = Field(alias="detail-type")
    id: str | None = None
    """Of the event: the same when EventBridge delivers it again."""
    detail: _Detail


class Mode(StrEnum):
    """How the landed object describes a scene."""

    ITEM = "item"
    COG = "cog"


class Entrance(StrEnum):
    """How a scene comes to us."""

    BUCKET = "bucket"
    """An object landed in the scenes bucket."""
    DOCUMENT = "document"
    """An Item was published as a message, and is kept in the work bucket under its digest."""
    LINK = "link"
    """A message says where an Item lies."""


class Landing(BaseModel):
    """An object that starts a scene."""

    model_config = ConfigDict(frozen=True)
    mode: Mode
    bucket: str
    key: str
    size: int
    etag: str
    """The digest, for a published document."""
    landing: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\z")]
    """Which PUT of the object this is: a delivery that comes twice has the same, an object put again has another."""
    entrance: Entrance = Entrance.BUCKET

    @property
    def uri(self) -> str:
        """``s3://bucket/key``, the key raw."""
        return f"s3://{self.bucket}/{self.key}"


def classify(event: ObjectCreated, *, item_prefix: str, cog_prefix: str) -> Landing | str:
    """Decide by the key alone (the longest matching prefix wins), so that a COG and its Item never both start a scene.

    Gives the Landing, or the sentence that says why this object starts nothing.
    """
    bucket, item = event.detail.bucket.name, event.detail.object
    prefixes = sorted(((item_prefix, Mode.ITEM), (cog_prefix, Mode.COG)), key=lambda pair: -len(pair[0]))
    mode = next((mode for prefix, mode in prefixes if item.key.startswith(prefix)), None)
    wanted = (".json", ".geojson") if mode is Mode.ITEM else (".tif", ".tiff")
    if mode is None:
        return f"s3://{bucket}/{item.key} lies under no intake prefix"
    if not item.key.lower().endswith(wanted):
        return f"s3://{bucket}/{item.key} does not start a scene in mode {mode}: only {' and '.join(wanted)} do"
    landing = landing_id(bucket=bucket, key=item.key, put=_put(event))
    return Landing(mode=mode, bucket=bucket, key=item.key, size=item.size, etag=item.etag, landing=landing)


def _put(event: ObjectCreated) -> dict[str, str]:
    """Give what tells this PUT from others of the key: S3's sequencer, the version, the event's id; else the ETag."""
    item = event.detail.object
    named = (("sequencer", item.sequencer), ("version", item.version_id), ("event", event.id))
    return next(({name: value} for name, value in named if value), {"etag": item.etag})
