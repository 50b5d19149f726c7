"""The verdict on a run: which answer of each batch is used, frozen before anything is written from them."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clayline.run.measured import Measured
from clayline.run.receipt import Reason

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class BatchVerdict(BaseModel):
    """What counts of one batch. Neither digest nor reason: nothing was sent."""

    model_config = _FROZEN
    batch: str
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")] | None = None
    """Of the response whose vectors are written (``Response.content_digest``)."""
    reason: Reason | None = None
    """Why the chips that were sent failed."""
    uncut: bool = False
    """Nobody had decided on its chips: all of them failed, whatever tile has written since."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        """Refuse both at once. Raises ValueError."""
        if self.digest is not None and self.reason is not None:
            msg = f"batch {self.batch} is said to be answered and failed"
            raise ValueError(msg)
        return self


class Verdict(BaseModel):
    """Every batch, in the plan's order. Written once."""

    model_config = _FROZEN
    format: Literal["clayline-verdict/1"] = "clayline-verdict/1"
    run: str
    batches: tuple[BatchVerdict, ...]
    predecessor: Literal["taken", "missing"] | None = None
    """Whether what is taken over was there."""
    measured: Measured | None = None
    """What the run took, as its receipt tells."""
