"""What a run takes over from the run before: batches of which no chip failed there are not computed again."""

from collections.abc import Iterable
from typing import Protocol

from pydantic import BaseModel, ConfigDict

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class StoredObject(BaseModel):
    """An object as it was when the plan was made."""

    model_config = _FROZEN
    uri: str
    etag: str
    size: int
    """Bytes."""


class Carried(BaseModel):
    """Where the outcomes of some batches stand already."""

    model_config = _FROZEN
    run: str
    """The run before."""
    receipt: StoredObject
    parquet: StoredObject | None
    """None where that run wrote no chip."""
    batches: tuple[str, ...]
    """By the names that this plan gives them."""


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Some(Protocol):
    @property
    def batches(self) -> tuple[str, ...]: ...


def part[B: _Named](batches: Iterable[B], carried: _Some | None) -> tuple[tuple[B, ...], tuple[B, ...]]:
    """Give the batches that a run computes, and those that it takes over."""
    names = frozenset(carried.batches if carried else ())
    each = tuple(batches)
    return tuple(one for one in each if one.name not in names), tuple(one for one in each if one.name in names)
