"""The manifest: which objects of a dataset count. The one object that is replaced (docs/dataset.md, Layout)."""

from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clayline.dataset.scene_row import Box, Partition, SceneKey
from clayline.errors import DatasetError

MANIFEST: Final = "dataset/manifest.json"
FRAGMENTS: Final = "dataset/fragments/"
PARTS: Final = "dataset/parts/"
HISTORY: Final = "dataset/history/"
FILES: Final = "dataset/files/"
TIERS: Final = "dataset/tiers/"
"""Prefixes under a dataset's root."""
MOST_MANIFEST_BYTES: Final = 64 * 1024 * 1024

Href = Annotated[str, Field(pattern=r"^dataset/[A-Za-z0-9._/-]+\z", max_length=512)]
"""Relative to the root."""
TierName = Literal["int8", "bits"]
Degrees = Annotated[float, Field(ge=-180, le=180)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(_Strict):
    """An object that was written once."""

    href: Href
    size: int = Field(ge=0)
    """Bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]
    rows: int = Field(ge=0)


class Extent(_Strict):
    """Where and when the rows of a file are; over the antimeridian ``west`` is greater than ``east``."""

    west: Degrees
    south: Degrees
    east: Degrees
    north: Degrees
    start: datetime
    end: datetime

    @property
    def box(self) -> Box:
        """Its place."""
        return Box(west=self.west, south=self.south, east=self.east, north=self.north)


class Part(_Strict):
    """Rows of the index."""

    file: StoredFile
    extent: Extent


class Tier(_Strict):
    """A compact file's vectors again, smaller."""

    file: StoredFile
    codebook: Href


class CompactFile(_Strict):
    """Chips of one square and year."""

    file: StoredFile
    extent: Extent
    token: str
    square: str
    year: int
    tiers: dict[TierName, Tier] = {}

    @property
    def partition(self) -> Partition:
        """Whose chips these are."""
        return Partition(self.token, self.square, self.year)


class Revised(_Strict):
    """The highest revision taken in, of a scene that has several."""

    token: str
    scene: str
    revision: int


class Retired(_Strict):
    """An object that no longer counts, to be deleted after the grace period."""

    href: Href
    since: datetime


class Manifest(_Strict):
    """One state of a dataset."""

    format: Literal["clayline-dataset/1"] = "clayline-dataset/1"
    version: int = 0
    """Of this dataset, counted from 1; 0 is a dataset that has no manifest yet."""
    written: datetime | None = None
    scenes: int = 0
    """Rows of all parts."""
    parts: tuple[Part, ...] = ()
    history: tuple[StoredFile, ...] = ()
    absorbed: tuple[str, ...] = ()
    """Fragments that the parts or the history have, which may still be there."""
    revised: tuple[Revised, ...] = ()
    files: tuple[CompactFile, ...] = ()
    retired: tuple[Retired, ...] = ()

    @classmethod
    def parse(cls, content: bytes, *, root: str) -> Self:
        """Raises DatasetError for what is no manifest, or one of a later format."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the document"
            msg = (
                f"{root}/{MANIFEST} is no manifest that this version reads: {where}: {first['msg']}. Install the"
                " version of Clayline that wrote it; or, if it is damaged, move `dataset/` away and make it again from"
                " the scene files with `clayline index` and `clayline compact`."
            )
            raise DatasetError(msg) from error

    @property
    def newest(self) -> dict[SceneKey, int]:
        """The highest revision taken in, of the scenes that have several."""
        return {SceneKey(entry.token, entry.scene): entry.revision for entry in self.revised}
