"""What a run takes over from the run before: batches of which no chip failed there are not computed again."""

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
