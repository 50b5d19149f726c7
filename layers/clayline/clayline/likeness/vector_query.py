"""What is asked of a vector bucket's indexes, and their answers put together (docs/vectors.md, Asking)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from clayline.dataset.asking import box_of
from clayline.dataset.scene_row import Box, flat_boxes
from clayline.dataset.terms import check_kind
from clayline.errors import DatasetError
from clayline.likeness.probe import Probe
from clayline.likeness.taking_part import Filters
from clayline.likeness.vector_index import VectorModel
from clayline.likeness.vector_records import FRACTION_DIGITS
from clayline.scene.instrument_family import named_by

MOST_NEIGHBOURS: Final = 100
"""Of a query, S3 Vectors' limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorQuestion:
    """Which chips take part."""

    filters: Filters = field(default_factory=Filters)
    box: Box | None = None
    """Holds the centre of the chip's footprint, edges included."""
    start: datetime | None = None
    end: datetime | None = None
    """Both included, aware."""
    instruments: frozenset[str] | None = None
    """Satellites' or families'; None: any."""
    uci_begins: str | None = None
    """Only in indexes of the mode ENHANCED."""

    def __post_init__(self) -> None:
        """Refuse a box, or filters, that are none. Raises DatasetError."""
        check_kind(self.filters, Filters, name="filters")
        box_of(self.box)

    def document(self) -> dict[str, Any]:
        """Give the filter in S3 Vectors' words. What is unknown of a chip meets no condition about it."""
        parts: list[dict[str, Any]] = [{"valid": {"$gte": round(self.filters.valid_least, FRACTION_DIGITS)}}]
        for name, most in (("cloud", self.filters.cloud_most), ("loss", self.filters.loss_most)):
            if most is not None:
                parts.append({name: {"$lte": round(most, FRACTION_DIGITS)}})
        if self.start is not None:
            parts.append(_begun(self.start))
        if self.end is not None:
            parts.append({"epoch": {"$lte": self.end.timestamp()}})
        if self.instruments is not None:
            parts.append({"instrument": {"$in": sorted(named_by(self.instruments))}})
        if self.uci_begins is not None:
            parts.append({"uci": {"$startsWith": self.uci_begins}})
        if self.box is not None:
            boxes = [_inside(*sides) for sides in flat_boxes(self.box)]
            parts += boxes[0] if len(boxes) == 1 else [{"$or": [{"$and": box} for box in boxes]}]
        return parts[0] if len(parts) == 1 else {"$and": parts}


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """A chip that an index found."""

    uci: str
    score: float
    """Likeness, -1 to 1: the cosine in the centred space."""
    metadata: dict[str, Any]


class AskVectors(Protocol):
    """A vector bucket, read: ``clayline.aws.vectors.S3Vectors``."""

    def indexes(self, stem: str) -> frozenset[str]:
        """Give the names that begin with ``stem``. Raises TransientError."""
        ...

    def ask(self, index: str, direction: Sequence[float], *, most: int, where: dict[str, Any]) -> list[Neighbour]:
        """Give the chips most like a direction, the most alike first. Raises TransientError."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorAnswer:
    """The neighbours, and what was asked for them."""

    neighbours: tuple[Neighbour, ...]
    """The most alike first; of equal ones the lesser identifier."""
    asked: tuple[str, ...]
    """Indexes."""


def ask_vectors(
    bucket: AskVectors, model: VectorModel, probe: Probe, question: VectorQuestion, *, most: int
) -> VectorAnswer:
    """Ask each index of a model that can hold what is wanted, and put the answers together.

    The neighbours are approximate, as S3 Vectors' are. Raises DatasetError for another model's probe, one by another
    centre, more than 100 neighbours, and where no vector of the model is there; TransientError.
    """
    if not 1 <= most <= MOST_NEIGHBOURS:
        msg = f"{most} neighbours were asked for: S3 Vectors gives 1 to {MOST_NEIGHBOURS}; ask the files for more"
        raise DatasetError(msg)
    if (probe.token, probe.digest) != (model.token, model.digest):
        msg = f"a probe of {probe.token} {probe.digest} cannot look through vectors of {model.token} {model.digest}"
        raise DatasetError(msg)
    if VectorModel.by(probe.centre, token=probe.token, digest=probe.digest).stem != model.stem:
        msg = (
            f"the probe was centred by another centre ({probe.centre.by}) than the vectors of {model.token} in the"
            f" vector bucket ({model.centred_by}): make it with the vector bucket's own"
        )
        raise DatasetError(msg)
    there = bucket.indexes(f"{model.stem}.")
    if not there:
        msg = f"the vector bucket holds no index {model.stem}.*: send the scenes with `clayline vectors`"
        raise DatasetError(msg)
    asked = model.indexes_meeting(question.box, there)
    direction, where = probe.direction.astype(float).tolist(), question.document()
    found = [each for index in asked for each in bucket.ask(index, direction, most=most, where=where)]
    return VectorAnswer(neighbours=tuple(_first(found, most)), asked=tuple(asked))


def _first(found: Iterable[Neighbour], most: int) -> list[Neighbour]:
    return sorted(found, key=lambda each: (-each.score, each.uci))[:most]


def _begun(start: datetime) -> dict[str, Any]:
    """Ask for what began since then, and for what says its day alone, whose first moment stands in the index."""
    since: dict[str, Any] = {"epoch": {"$gte": start.timestamp()}}
    day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return since if day == start else {"$or": [since, {"epoch": {"$eq": day.timestamp()}}]}


def _inside(west: float, south: float, east: float, north: float) -> list[dict[str, Any]]:
    return [
        {"lon": {"$gte": west}}, {"lon": {"$lte": east}},
        {"lat": {"$gte": south}}, {"lat": {"$lte": north}},
    ]  # fmt: skip
