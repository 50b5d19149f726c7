"""Outcomes: of each chip in a batch, of each batch in a run, and the receipt that accounts for every planned chip."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clayline.errors import bounded
from clayline.run.measured import Measured

_FROZEN = ConfigDict(frozen=True, extra="forbid")
Reason = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\z", max_length=64)]
Message = Annotated[str, AfterValidator(bounded)]
"""For people: whatever made it, it fits an event."""
NODATA = "nodata"
UNREADABLE = "unreadable-pixels"
ABORTED: Final = "aborted"
NOT_FINISHED: Final = "not-finished"
GIVEN_UP: Final = frozenset({ABORTED, NOT_FINISHED})
"""Reasons of batches that were ended from outside, at any moment."""


class State(StrEnum):
    """How a chip ends."""

    WRITTEN = "written"
    SKIPPED = "skipped"
    FAILED = "failed"


class BatchOutcomes(BaseModel):
    """What tile decided on each chip of a batch. Columns of one length, in the order of ``index``."""

    model_config = _FROZEN
    format: Literal["clayline-outcomes/2"] = "clayline-outcomes/2"
    run: str
    batch: str
    index: tuple[int, ...]
    sent: tuple[bool, ...]
    """Whether the chip is in the request."""
    state: tuple[State | None, ...]
    """None for a chip that was sent: its state follows from the response."""
    reason: tuple[Reason | None, ...]
    valid_fraction: tuple[float | None, ...]
    """Of all pixels of the chip. None where some could not be read."""
    cloud_fraction: tuple[float | None, ...]
    """Of the valid pixels. None where unknown."""
    impossible: int = 0
    """Pixels of its chips that have no value because a band's number is none that its unit can have."""
    clamped: int = 0
    """Valid pixels of its chips of which a band's number was beyond what the model takes, and became that limit."""
    uncut: bool = False
    """Nobody decided on its chips: the run was ended before."""
    request_bytes: int | None = None
    """Size of the request that has the chips that are sent; None where nothing is, or tile did not note it."""

    @classmethod
    def all_failed(cls, run: str, batch: str, index: Sequence[int], reason: str, *, uncut: bool = False) -> Self:
        """Give those of a batch of which every chip failed for one reason."""
        nothing = (None,) * len(index)
        return cls(
            run=run,
            batch=batch,
            index=tuple(index),
            sent=(False,) * len(index),
            state=(State.FAILED,) * len(index),
            reason=(reason,) * len(index),
            valid_fraction=nothing,
            cloud_fraction=nothing,
            uncut=uncut,
        )

    @property
    def sent_indexes(self) -> list[int]:
        """Windows in the request, in its order."""
        return [index for index, sent in zip(self.index, self.sent, strict=True) if sent]


class BatchSettlement(BaseModel):
    """How one batch ended."""

    model_config = _FROZEN
    batch: str
    status: Literal["succeeded", "failed", "nothing-sent"]
    output: str | None
    """Where the response lies, for ``succeeded``."""
    reason: Reason | None
    """For ``failed``."""
    message: Message | None
    attempts: int | None = None
    """That were begun to send it; 0 where nothing was to be sent, or was. None: not noted."""


class Settlement(BaseModel):
    """How every batch of a run ended, written once."""

    model_config = _FROZEN
    format: Literal["clayline-settlement/2"] = "clayline-settlement/2"
    run: str
    at: datetime
    """When the last batch had ended."""
    batches: tuple[BatchSettlement, ...]


class ChipOutcome(BaseModel):
    """One line of the receipt."""

    model_config = _FROZEN
    uci: str
    index: int
    state: State
    reason: Reason | None = None


class SceneWarning(BaseModel):
    """What a reader of a whole scene should know of it."""

    model_config = _FROZEN
    reason: Reason
    message: Message


class Counts(BaseModel):
    """planned = written + all skipped + all failed."""

    model_config = _FROZEN
    planned: int
    written: int
    skipped: dict[str, int]
    """By reason."""
    failed: dict[str, int]
    """By reason."""


class PixelCounts(BaseModel):
    """What became of numbers, counted in pixels of the chips that the run computed: where chips overlap, in each."""

    model_config = _FROZEN
    impossible: int = 0
    """Without a value, because a band's number is none that its unit can have."""
    clamped: int = 0
    """Valid, but a band's number was beyond what the model takes, and became that limit."""


class Receipt(BaseModel):
    """What became of a scene, chip by chip. Its existence commits the run."""

    model_config = _FROZEN
    format: Literal["clayline-receipt/1"] = "clayline-receipt/1"
    run: str
    status: Literal["SceneEmbedded", "ScenePartial", "SceneFailed"]
    reason: Reason | None
    """Why the scene failed as a whole."""
    message: Message | None
    scene: str
    source_uri: str
    """Name of the object that landed."""
    source_model: str | None
    untrained: bool = False
    """Whether the model's weights are random numbers: what was written then means nothing."""
    warnings: tuple[SceneWarning, ...] = ()
    counts: Counts
    pixels: PixelCounts = PixelCounts()
    measured: Measured | None = None
    """What the run took; None of one that was refused."""
    predecessor: str | None = None
    """The run before, from which outcomes were taken over."""
    taken_over: int = 0
    """Chips whose outcomes, and rows, are that run's; counted among the others as well."""
    outputs: dict[str, str]
    """Where each output that exists lies, by the name that people know."""
    chips: tuple[ChipOutcome, ...]

    def summary(self, *, landed_uri: str, repeated: bool) -> dict[str, object]:
        """Give the receipt without its chips, and which landing is answered: the detail of the event.

        ``repeated`` says that the outcome was announced before: to an earlier landing, or to another place.
        """
        return {**self.model_dump(mode="json", exclude={"chips"}), "landed_uri": landed_uri, "repeated": repeated}


def count(chips: Sequence[ChipOutcome]) -> Counts:
    """Count by state and reason."""
    by = Counter((chip.state, chip.reason) for chip in chips)

    def reasons(state: State) -> dict[str, int]:
        return {str(reason): number for (found, reason), number in sorted(by.items(), key=str) if found is state}

    return Counts(
        planned=len(chips),
        written=by[State.WRITTEN, None],
        skipped=reasons(State.SKIPPED),
        failed=reasons(State.FAILED),
    )


def status_of(counts: Counts) -> Literal["SceneEmbedded", "ScenePartial", "SceneFailed"]:
    """Embedded if no chip failed, partial if some did, failed if none was written."""
    if not counts.written:
        return "SceneFailed"
    return "ScenePartial" if counts.failed else "SceneEmbedded"


def scene_reason(counts: Counts) -> str | None:
    """Say why nothing was written: ``all-nodata``, ``all-chips-skipped``, or the commonest failure."""
    if counts.written:
        return None
    if counts.failed:
        return max(counts.failed.items(), key=lambda pair: pair[1])[0]
    return "all-nodata" if set(counts.skipped) == {NODATA} else "all-chips-skipped"


def failed_receipt(
    *,
    run: str,
    scene: str,
    source_uri: str,
    reason: str,
    message: str,
    outputs: Mapping[str, str],
    failed: Mapping[str, int] = MappingProxyType({}),
) -> Receipt:
    """Give the receipt of a scene that failed before it had a plan, or whose plan is gone: no chips."""
    return Receipt(
        run=run,
        status="SceneFailed",
        reason=reason,
        message=message,
        scene=scene,
        source_uri=source_uri,
        source_model=None,
        counts=Counts(planned=0, written=0, skipped={}, failed=dict(failed)),
        outputs=dict(outputs),
        chips=(),
    )
