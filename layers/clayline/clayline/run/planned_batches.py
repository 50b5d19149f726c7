"""A plan's batches and the jobs that make them: all that who never looks at pixels needs of it."""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from clayline.run.carried import part

_PART = ConfigDict(frozen=True, extra="ignore")


class PlannedBatch(BaseModel):
    """One batch."""

    model_config = _PART
    name: str
    job: int


class _Carried(BaseModel):
    model_config = _PART
    batches: tuple[str, ...]


class PlannedBatches(BaseModel):
    """Every batch, in the plan's order."""

    model_config = _PART
    batches: tuple[PlannedBatch, ...]
    carried: _Carried | None = None

    @property
    def open(self) -> tuple[PlannedBatch, ...]:
        """Give those that are not taken over from the run before."""
        return part(self.batches, self.carried)[0]


class _OfJob(Protocol):
    """A batch, as far as this is about it."""

    @property
    def job(self) -> int: ...


def by_job(batches: Iterable[_OfJob], *, jobs: int) -> list[int]:
    """Give the number of batches of each job."""
    counted = Counter(batch.job for batch in batches)
    return [counted[job] for job in range(jobs)]
