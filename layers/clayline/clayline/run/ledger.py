"""What the ledger holds of runs, landings and batches, and what may be done to it. A repeated change is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from typing import Protocol

from clayline.run.result import BatchResult


class Stage(IntEnum):
    """How far a run is. It only ever grows, whatever the order of messages."""

    CLAIMED = 1
    PLANNED = 2
    ENQUEUED = 3
    SETTLED = 4
    ANNOUNCED = 5


class Claim(Enum):
    """Answer to a claim."""

    GRANTED = "granted"
    """Work, from the stored plan if there is one."""
    HELD = "held"
    """Another delivery holds the lease."""
    DONE = "done"
    """Every tile job is enqueued: nothing left for plan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was announced of a run, as far as it decides what another landing of the scene does."""

    status: str
    receipt: str
    """URI."""
    failed: bool
    """Whether chips failed: the scene landed again is computed again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LandingRow:
    """A landing that stands at a run."""

    landing: str
    uri: str
    """Of the object that landed."""
    answered: bool
    """Whether an event has told its outcome; until then it waits for the one at the run's end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """A run."""

    run: str
    scene: str
    stage: Stage
    claimed: datetime
    """First claim: the time of creation that the plan freezes, the same after any kill."""
    lease_until: datetime
    batches: int | None
    """How many the plan has; None until it is stored."""
    settled: frozenset[str]
    """Batches that have a result: a distinct set, so a message that comes twice counts once."""
    outcome: Outcome | None = None
    """Since it was announced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRow:
    """A batch."""

    batch: str
    attempt: int | None
    """None if the result came before tile's row."""
    inference_id: str | None
    output: str | None
    """Where SageMaker said the response will be; None until it was invoked."""
    result: BatchResult | None
    """The first success, else the first failure, else None."""


class Ledger(Protocol):
    """The port. Adapters raise TransientError for what a retry may cure."""

    def claim(self, run: str, *, scene: str, now: datetime, lease_until: datetime) -> Claim:
        """Take or renew the lease on a run that is not yet enqueued."""
        ...

    def release(self, run: str, *, lease_until: datetime) -> None:
        """Let one's own lease (the one that ends then) run out now, so that a retry need not wait for it."""
        ...

    def refuse(self, run: str, *, lease_until: datetime) -> None:
        """Let one's own lease (the one that ends then) run out now and forget the claim: the scene was refused."""
        ...

    def run(self, run: str) -> RunRow | None:
        """Give a run, read consistently."""
        ...

    def revision(self, *, token: str, scene_hash: str, run: str) -> int:
        """Give the run's place, from 1, among the runs of this scene under this model; a new run is appended."""
        ...

    def advance(self, run: str, stage: Stage, *, batches: int | None = None) -> None:
        """Raise the stage; nothing happens if it is already that high."""
        ...

    def announced(self, run: str, outcome: Outcome) -> None:
        """Raise the stage of a run that was announced, and keep what was said; nothing happens the second time."""
        ...

    def announced_refusal(self, run: str, outcome: Outcome, *, scene: str) -> None:
        """Record that a run without a plan was announced as failed."""
        ...

    def keep_landing(self, run: str, landing: str, *, uri: str) -> None:
        """Note that a landing stands at a run and waits for its event; nothing happens if it stands there already."""
        ...

    def answer_landing(self, run: str, landing: str, *, uri: str) -> None:
        """Note that a landing's outcome was announced, whether or not it stood at the run before."""
        ...

    def landing(self, run: str, landing: str) -> LandingRow | None:
        """Give a landing that stands at a run, read consistently."""
        ...

    def landings(self, run: str) -> Sequence[LandingRow]:
        """Give every landing that stands at a run, read consistently, by name."""
        ...

    def record_request(self, run: str, batch: str, *, attempt: int, inference_id: str) -> None:
        """Write the batch row: before the invocation, or the completion could beat it."""
        ...

    def record_invocation(self, run: str, batch: str, *, attempt: int, output: str) -> None:
        """Note that the endpoint took the request, and where its answer will be."""
        ...

    def batch(self, run: str, batch: str) -> BatchRow | None:
        """Give a batch, read consistently."""
        ...

    def batches(self, run: str) -> Sequence[BatchRow]:
        """Give every batch of a run, read consistently, by name."""
        ...

    def record_result(self, result: BatchResult) -> None:
        """Keep the first success, else the first failure; a success beyond that is noted as late."""
        ...

    def settle(self, run: str, batch: str) -> RunRow | None:
        """Add the batch to the run's settled set and give the run; None if nobody knows the run."""
        ...
