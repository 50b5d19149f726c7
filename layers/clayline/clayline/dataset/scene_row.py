"""What the index says of one scene's file."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class SceneKey(NamedTuple):
    """A scene under a model: what has revisions."""

    token: str
    """Model token."""
    scene: str
    """scene12 (docs/architecture.md, Identity)."""


class Partition(NamedTuple):
    """Whose chips lie in the same compact files."""

    token: str
    square: str
    """Grid zone and 100 km square, e.g. ``32UQD``; ``AYP`` in UPS."""
    year: int
    """In which the acquisition began."""

    @property
    def zone(self) -> str:
        """The MGRS grid zone, e.g. ``32U``; one letter in UPS."""
        return self.square[:-2]

    @property
    def path(self) -> str:
        """Folder of its files under ``files/`` and each tier."""
        return f"{self.token}/{self.zone}/{self.square[-2:]}/{self.year:04d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """Degrees, OGC:CRS84. ``west`` is greater than ``east`` over the antimeridian (RFC 7946, 5.2)."""

    west: float
    south: float
    east: float
    north: float

    def meets(self, other: "Box") -> bool:
        """Say whether the two share a point, edges included."""
        return any(
            west <= other_east and other_west <= east and south <= other_north and other_south <= north
            for west, south, east, north in flat_boxes(self)
            for other_west, other_south, other_east, other_north in flat_boxes(other)
        )


def flat_boxes(box: Box) -> list[tuple[float, float, float, float]]:
    """Give a box as boxes of which none crosses the antimeridian: west, south, east, north."""
    if box.west <= box.east:
        return [(box.west, box.south, box.east, box.north)]
    return [(box.west, box.south, 180.0, box.north), (-180.0, box.south, box.east, box.north)]


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneRow:
    """One revision of a scene under a model: a file of embeddings, and where it is (docs/dataset.md, A scene's row)."""

    token: str
    digest: str
    """Of the model's entry."""
    scene: str
    revision: int
    run: str
    status: str
    """``SceneEmbedded`` or ``ScenePartial``."""
    item_id: str
    """Of the STAC Item."""
    instrument: str
    start: datetime
    """Acquisition, UTC."""
    end: datetime
    created: datetime
    box: Box
    geometry: bytes
    """WKB, of the Item."""
    gsd: float
    """Metres."""
    square: str
    rows: int
    """Chips in the file."""
    size: int
    """Bytes of the file."""
    etag: str
    dimensions: int
    href: str
    """Of the Parquet file, relative to the root."""
    compacted: bool = False
    """Whether its chips are in its square's files."""

    @property
    def key(self) -> SceneKey:
        """What its revisions share."""
        return SceneKey(self.token, self.scene)

    @property
    def partition(self) -> Partition:
        """Where its chips are compacted."""
        return Partition(self.token, self.square, self.start.year)

    @property
    def fragment(self) -> str:
        """Name of its fragment, without a folder."""
        return f"{self.token}_{self.scene}_v{self.revision:03d}_{self.run[:12]}.parquet"
