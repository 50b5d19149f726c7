"""Settle: each result message ends one batch, or has it tried again; the last one sends the run on to the collector."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from clayline.ports import Clock, Objects, Queue
from clayline.run.keys import JSON, WorkObjects
from clayline.run.ledger import BatchRow, Closing, Ledger, RunRow
from clayline.run.planned_batches import PlannedBatches
from clayline.run.receipt import BatchSettlement, Settlement
from clayline.run.result import BatchResult
from clayline.run.state import PATIENCE, RunState

FINAL: Final = frozenset({"model-changed", "response-elsewhere"})
"""Reasons of failures that another attempt would repeat."""
MAX_ATTEMPTS: Final = 3
_FIRST_DELAY: Final = 30
"""Seconds before a second attempt; each further one waits four times as long."""
_LONGEST_DELAY: Final = 900
"""What SQS delays at most."""


class Settled(Enum):
    """What a result did."""

    WAITING = "waiting"
    """Other batches are still out."""
    RETRIED = "retried"
    """The attempt failed, and tile was asked for another."""
    COMPLETE = "complete"
    """It was the last, or came after the last: the collector was told."""
    UNKNOWN_RUN = "unknown-run"
    """Nobody planned this run, or sent such a batch of it; nothing could cure it."""
    COLLECTED = "collected"
    """The run is over, or was frozen; a late result was noted."""


@dataclass(frozen=True, kw_only=True)
class Settling:
    """Ports of settle."""

    ledger: Ledger
    objects: Objects
    tile_queue: Queue
    settled_queue: Queue
    clock: Clock
    work_bucket: str
    max_attempts: int = MAX_ATTEMPTS
    patience: timedelta = PATIENCE

    def settle(self, result: BatchResult) -> Settled:
        """Settle one batch. Any message may come twice, late or out of order. Raises TransientError."""
        if result.status == "failed" and result.reason not in FINAL and self._again(result):
            return Settled.RETRIED
        if self.ledger.close(result) is Closing.UNKNOWN:
            return Settled.UNKNOWN_RUN
        run = self.ledger.run(result.run)
        return Settled.UNKNOWN_RUN if run is None else self.send_on(run)

    def _again(self, result: BatchResult) -> bool:
        """Ask tile for another attempt, if this was the last one and more are allowed.

        What counts is how often an attempt failed: those that the endpoint did not take are none. First the note, then
        the message: a kill between leaves a note at which the message, coming again, asks again.
        """
        row = self.ledger.batch(result.run, result.batch)
        if row is None or row.attempt != result.attempt:
            return False
        failures = len(row.losses) + (row.lost is None)
        if failures >= self.max_attempts:
            return False
        self.ledger.lose(result)
        row = self.ledger.batch(result.run, result.batch)
        if row is None or row.lost is None or row.attempt != result.attempt:
            return False
        delay = min(_FIRST_DELAY * 4 ** (failures - 1), _LONGEST_DELAY, int(self.patience.total_seconds()))
        self.tile_queue.send([{"run": result.run, "job": row.job}], delay=delay)
        return True

    def send_on(self, run: RunRow) -> Settled:
        """Freeze how the batches ended and tell the collector, if none is open.

        Repeating it is harmless: the settlement is written once.
        """
        if run.state not in {RunState.RUNNING, RunState.SETTLED}:
            return Settled.WAITING if run.state is RunState.WAITING else Settled.COLLECTED
        if run.open:
            return Settled.WAITING
        if run.state is RunState.RUNNING:
            ended = _ended(self.ledger.batches(run.run))
            if len(ended) != run.batches:
                msg = (
                    f"no batch of run {run.run} is open, and {len(ended)} of {run.batches} have ended: the ledger was"
                    " changed"
                )
                raise RuntimeError(msg)
            self._freeze(run, tuple(ended.values()))
        self.settled_queue.send([{"run": run.run}])
        return Settled.COMPLETE

    def give_up(self, run: RunRow, *, reason: str, message: str) -> bool:
        """End a run as it is: batches that have not ended fail for ``reason``; collect writes what there is.

        False if it waits for nothing any more. Raises TransientError, ObjectMissingError without a stored plan.
        """
        if not run.state.is_open and run.state is not RunState.SETTLED:
            return False
        work = WorkObjects(bucket=self.work_bucket, run=run.run)
        planned = PlannedBatches.model_validate_json(self.objects.get(work.plan)).open
        if not run.state.is_open:
            return False  # collect has what it needs
        rows = self.ledger.batches(run.run)
        ended, begun = _ended(rows), {row.batch: row.attempt for row in rows}
        given_up = BatchSettlement(batch="", status="failed", output=None, reason=reason, message=message)
        names = (batch.name for batch in planned)
        self._freeze(
            run,
            tuple(
                ended.get(name) or given_up.model_copy(update={"batch": name, "attempts": begun.get(name, 0)})
                for name in names
            ),
        )
        self.settled_queue.send([{"run": run.run}])
        return True

    def _freeze(self, run: RunRow, batches: tuple[BatchSettlement, ...]) -> None:
        """Store how the batches ended, once, and go on: what ends from now on is noted, and changes nothing."""
        settlement = Settlement(run=run.run, at=self.clock(), batches=batches)
        uri = WorkObjects(bucket=self.work_bucket, run=run.run).settlement
        self.objects.put_new(uri, settlement.model_dump_json(indent=1).encode(), run=run.run, content_type=JSON)
        self.ledger.enter(run.run, RunState.SETTLED, due=self.clock() + self.patience)


def _ended(rows: Iterable[BatchRow]) -> dict[str, BatchSettlement]:
    """Give how each batch ended that has, by name."""
    return {
        row.batch: BatchSettlement(
            batch=row.batch,
            status=row.result.status,
            output=row.result.output,
            reason=row.result.reason,
            message=row.result.message,
            attempts=0 if row.result.status == "nothing-sent" else row.attempt,
        )
        for row in rows
        if row.result
    }
