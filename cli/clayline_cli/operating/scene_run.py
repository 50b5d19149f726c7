"""One run: how far it is, what happened to it, how it ended, what to do."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from clayline.aws.ledger import DynamoLedger
from clayline.run.ledger import BatchRow, LandingRow, RunRow
from clayline.run.result import BatchResult
from clayline.run.state import RunState
from clayline_cli.operating.moments import iso
from clayline_cli.operating.receipts import ReceiptHead, Receipts
from clayline_cli.operating.running import Running


@dataclass(frozen=True, kw_only=True, slots=True)
class Failures:
    """Attempts that failed for one reason."""

    reason: str
    times: int
    message: str | None
    """Of the last one."""
    attempts: tuple[int, ...]
    """Which attempts of their batches they were."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneRun:
    """What the ledger, and the receipt if there is one, say of a run."""

    row: RunRow
    batches: Sequence[BatchRow]
    """Those that were begun."""
    landings: Sequence[LandingRow]
    receipt: ReceiptHead | None
    now: datetime
    option: str
    """How a command says where this runs."""
    followed: bool
    """Whether a later run of the scene is known."""

    @classmethod
    def look(cls, run: str, running: Running, *, now: datetime, followed: bool) -> Self | None:
        """Look at a run; None if there is no such. Raises TransientError if the ledger cannot be read."""
        ledger = DynamoLedger(running.table)
        row = ledger.run(run)
        if row is None:
            return None
        uri = row.outcome.receipt if row.outcome else None
        return cls(
            row=row,
            batches=ledger.batches(run),
            landings=ledger.landings(run),
            receipt=Receipts(s3=running.client("s3")).head(uri) if uri else None,
            now=now,
            option=running.option,
            followed=followed,
        )

    @property
    def in_flight(self) -> int:
        """Batches that were handed out and have not ended."""
        if self.row.state not in {RunState.WAITING, RunState.RUNNING}:
            return 0
        return max(0, self.row.out - (self.row.batches - self.row.open))

    @property
    def ended(self) -> dict[str, int]:
        """How many batches ended in which way."""
        found = Counter(batch.result.status for batch in self.batches if batch.result)
        return {status: found[status] for status in ("succeeded", "failed", "nothing-sent") if found[status]}

    @property
    def attempts(self) -> dict[int, int]:
        """How many batches are, or ended, at which attempt."""
        return dict(sorted(Counter(batch.attempt for batch in self.batches).items()))

    @property
    def lost(self) -> list[Failures]:
        """Attempts that failed and are followed by another, by reason.

        Those of batches that were given up are left out: their requests may have been taken away before.
        """
        told = (batch for batch in self.batches if batch.result or not self.row.state.is_over)
        return _by_reason(loss for batch in told for loss in batch.losses)

    @property
    def failed(self) -> list[Failures]:
        """Batches that ended without an answer, by reason."""
        return _by_reason(batch.result for batch in self.batches if batch.result and batch.result.status == "failed")

    @property
    def found(self) -> int:
        """Answers and failures of which no message told, and which the reconciler found."""
        told = (result for batch in self.batches for result in (*batch.losses, batch.result) if result)
        return sum(result.found is not None for result in told)

    @property
    def begun_again(self) -> int:
        """Attempts that follow one of which nothing was heard: the job was sent to tile again."""
        return sum(
            batch.attempt - 1 - sum(loss.attempt < batch.attempt for loss in batch.losses) for batch in self.batches
        )

    @property
    def given_up(self) -> int:
        """Batches that had not ended when the run was ended."""
        return self.row.open if self.row.state.is_over else 0

    @property
    def is_from_before(self) -> bool:
        """Whether it is of an earlier start of the local cloud, which keeps runs and neither batches nor plans."""
        is_local = self.option.startswith("--local")
        return is_local and self.row.state.is_over and self.row.out > 0 and not self.batches

    @property
    def is_overdue(self) -> bool:
        """Whether the reconciler should look at it by now. One that waits is looked at as soon as there is room."""
        return not self.row.state.is_over and self.row.state is not RunState.WAITING and self.row.due < self.now

    def happened(self) -> Iterator[str]:
        """Say what went wrong on the way, and what became of it."""
        for loss in self.lost:
            what = loss.message or "no message"
            yield f"{loss.times} attempt(s) failed ({loss.reason}), and another followed or follows: {what}"
        if self.found:
            yield f"{self.found} answer(s) were found by the reconciler: no message had told of them"
        if self.begun_again:
            yield f"{self.begun_again} attempt(s) were begun again by the reconciler: nothing was heard of those before"
        if self.given_up:
            yield f"{self.given_up} batch(es) had not ended when the run was ended, and were given up"
        for failure in self.failed:
            attempt = max(failure.attempts)
            yield (
                f"{failure.times} batch(es) failed for good ({failure.reason}, attempt {attempt}):"
                f" {failure.message or 'no message'}"
            )

    def next(self) -> str:
        """Say what to do, or what happens by itself."""
        row = self.row
        by = f" (looked at again {'now' if self.is_overdue else iso(row.due)})"
        if row.outcome is not None:
            return self._after(row.outcome.status)
        return {
            RunState.CLAIMED: f"Plan is at work on it{by}.",
            RunState.WAITING: f"{row.jobs - row.handed} job(s) wait for room (MaxBatchesInFlight).",
            RunState.RUNNING: f"{row.open} batch(es) have not ended; lost ones are looked for{by}.",
            RunState.SETTLED: f"Collect writes the files{by}.",
            RunState.COMMITTED: f"The receipt stands; the event goes out{by}.",
        }[row.state]

    def _after(self, status: str) -> str:
        if status == "SceneEmbedded":
            return "Nothing: it is done."
        if self.followed:
            return "Nothing: the scene has a later run."
        again = f"clayline redrive {self.row.run} {self.option}"
        if not self.row.batches:
            return f"Do what the message says, and land the scene again, or have it read again: {again}"
        if not (self.row.outcome and self.row.outcome.failed):
            return "Nothing: no chip failed, and none was to be written."
        if self.is_from_before:
            return "Land the scene again: what failed is computed again, as the next revision."
        return f"Have what failed computed again, as the next revision: {again}"

    def values(self) -> dict[str, Any]:
        """Give everything as JSON can say it."""
        row, receipt = self.row, self.receipt
        return {
            "run": row.run,
            "scene": row.scene,
            "state": row.state.value,
            "begun": iso(row.claimed),
            "ended" if row.state.is_over else "due": iso(row.due),
            "overdue": self.is_overdue,
            "jobs": {"planned": row.jobs, "handed_out": row.handed},
            "batches": {
                "planned": row.batches,
                "begun": len(self.batches),
                "in_flight": self.in_flight,
                "open": row.open - self.given_up,
                "given_up": self.given_up,
                "ended": self.ended,
            },
            "attempts": {str(attempt): count for attempt, count in self.attempts.items()},
            "lost": [_values(loss) for loss in self.lost],
            "failed": [_values(failure) for failure in self.failed],
            "found_by_reconciler": self.found,
            "begun_again": self.begun_again,
            "landings": [{"uri": landing.uri, "answered": landing.answered} for landing in self.landings],
            "status": row.outcome.status if row.outcome else None,
            "receipt": row.outcome.receipt if row.outcome else None,
            "reason": receipt.reason if receipt else None,
            "message": receipt.message if receipt else None,
            "counts": receipt.counts.model_dump() if receipt else None,
            "measured": receipt.measured.model_dump() if receipt and receipt.measured else None,
            "outputs": receipt.outputs if receipt else {},
            "predecessor": receipt.predecessor if receipt else None,
            "taken_over": receipt.taken_over if receipt else 0,
            "happened": list(self.happened()),
            "next": self.next(),
        }


def _by_reason(results: Iterable[BatchResult]) -> list[Failures]:
    by: dict[str, list[BatchResult]] = {}
    for result in results:
        by.setdefault(result.reason or "unknown", []).append(result)
    return [
        Failures(
            reason=reason,
            times=len(each),
            message=each[-1].message,
            attempts=tuple(sorted({result.attempt for result in each})),
        )
        for reason, each in sorted(by.items())
    ]


def _values(failures: Failures) -> dict[str, Any]:
    return {
        "reason": failures.reason,
        "times": failures.times,
        "attempts": list(failures.attempts),
        "message": failures.message,
    }
