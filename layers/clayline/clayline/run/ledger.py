"""What the ledger holds of runs, landings and batches, and what may be done to it. A repeated change is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from clayline.run.result import BatchResult
from clayline.run.state import RunState


class Claim(Enum):
    """Answer to a claim."""

    GRANTED = "granted"
    """Work, from the stored plan if there is one."""
    HELD = "held"
    """Another delivery holds the lease."""
    DONE = "done"
    """The plan is stored: nothing left for plan."""


class Closing(Enum):
    """Answer to a batch's end."""

    CLOSED = "closed"
    """The batch ended now, and the run has one open batch fewer."""
    KNOWN = "known"
    """It had ended before, or this is the failure of an attempt that is not its last."""
    UNKNOWN = "unknown"
    """No such batch was ever sent."""


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
    state: RunState
    due: datetime
    """When the reconciler looks at it. When it ended, for a run that is over."""
    look: datetime
    """When the reconciler looks for what became of the jobs that were handed out, while others wait; long past before
    the first is."""
    lease_until: datetime
    """Until then nobody else plans it."""
    claimed: datetime
    """First claim: the time of creation that the plan freezes, the same after any kill."""
    origin: str
    """The landing that started it, as ``Landing`` writes it: from there it can be planned again."""
    jobs: int
    """How many the plan has; 0 until it is stored."""
    handed: int
    """How many of them were handed to tile, the first ones."""
    batches: int
    """How many the plan has; 0 until it is stored."""
    out: int
    """How many of them belong to jobs that were handed out."""
    open: int
    """How many have not ended."""
    outcome: Outcome | None = None
    """Since it was announced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flight:
    """A run that waits or is running."""

    run: str
    state: RunState
    in_flight: int
    """Batches of its jobs that were handed out, and have not ended."""
    look: datetime
    """As in the run's row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """What the endpoint answered when it took a request."""

    output: str
    """URI where the response will lie."""
    failure: str | None
    """URI where an error will lie, if the endpoint keeps them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRow:
    """A batch that tile has begun to send."""

    batch: str
    job: int
    attempt: int
    """The last one, from 1."""
    since: datetime
    """When that began."""
    invocation: Invocation | None
    """Of the last attempt; None until the endpoint took it."""
    lost: BatchResult | None
    """How the last attempt failed, if another may follow."""
    result: BatchResult | None
    """How the batch ended."""
    losses: tuple[BatchResult, ...] = ()
    """How each attempt failed that was not the last, in order: kept for people."""


class Ledger(Protocol):
    """The port. Adapters raise TransientError for what a retry may cure."""

    def claim(self, run: str, *, scene: str, origin: str, now: datetime, lease_until: datetime, due: datetime) -> Claim:
        """Take or renew the lease on a run whose plan is not stored."""
        ...

    def release(self, run: str, *, lease_until: datetime) -> None:
        """Let one's own lease (the one that ends then) run out now, so that a retry need not wait for it."""
        ...

    def refuse(self, run: str, *, lease_until: datetime) -> None:
        """Forget one's own claim (the one that ends then): the scene was refused."""
        ...

    def run(self, run: str) -> RunRow | None:
        """Give a run, read consistently."""
        ...

    def revision(self, *, token: str, scene_hash: str, run: str, least: int = 1) -> int:
        """Make the run the newest of this scene under this model, and give its place among them, from 1.

        The place is at least ``least``. One that it had before stays empty, and is not given again.
        """
        ...

    def newest(self, *, token: str, scene_hash: str) -> str | None:
        """Give the run that is the newest of this scene under this model, read consistently."""
        ...

    def forget_revision(self, *, token: str, scene_hash: str, run: str) -> None:
        """Leave a run's place empty: it will not be planned."""
        ...

    def planned(self, run: str, *, jobs: int, batches: int, due: datetime) -> None:
        """Let a claimed run wait for its jobs to be handed out: all of its batches are open."""
        ...

    def hand_out(self, run: str, *, start: int, stop: int, out: int, due: datetime) -> bool:
        """Note that the jobs from ``start`` up to ``stop`` are handed to tile; after the last one the run is running.

        ``out`` is the number of batches of all jobs up to ``stop``; ``due`` is when they are looked for. False unless
        ``start`` is how many jobs were handed out.
        """
        ...

    def enter(self, run: str, state: RunState, *, due: datetime) -> bool:
        """Go on to a state from one before it; False if the run is in none of those."""
        ...

    def postpone(self, run: str, *, due: datetime, until: datetime, look: datetime) -> bool:
        """Move both deadlines, where the first is still ``due``; False if something happened to the run since."""
        ...

    def overdue(self, state: RunState, *, now: datetime, most: int) -> Sequence[str]:
        """Give runs in a state whose deadline has passed, the longest overdue first.

        One that has just changed may be missing, or be there although it has left the state.
        """
        ...

    def flights(self) -> Sequence[Flight]:
        """Give every run that waits or is running. What has just changed may be missing."""
        ...

    def announced(self, run: str, outcome: Outcome, *, now: datetime) -> None:
        """Note that a committed run was announced, and what was said; nothing happens the second time."""
        ...

    def announced_refusal(self, run: str, outcome: Outcome, *, scene: str, origin: str, now: datetime) -> None:
        """Record that a run without a plan was announced as failed; ``origin`` as for a claim."""
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

    def begin(self, run: str, batch: str, *, job: int, attempt: int, now: datetime) -> bool:
        """Write the batch's row for an attempt: before the invocation, or the completion could beat it.

        False if the batch has ended, or this attempt or a later one was begun before: somebody else is at it.
        """
        ...

    def invoked(self, run: str, batch: str, *, attempt: int, invocation: Invocation) -> None:
        """Note that the endpoint took the request of the last attempt."""
        ...

    def batch(self, run: str, batch: str) -> BatchRow | None:
        """Give a batch, read consistently."""
        ...

    def batches(self, run: str) -> Sequence[BatchRow]:
        """Give every batch of a run that was begun, read consistently, by name."""
        ...

    def lose(self, result: BatchResult) -> bool:
        """Note that the last attempt failed and another may follow; False if it was not the last, or has ended."""
        ...

    def close(self, result: BatchResult) -> Closing:
        """End a batch, and count it, both or none.

        The success of any attempt ends it, a failure that of the last attempt only. A success that comes after a
        failure replaces it: that counts nothing.
        """
        ...
