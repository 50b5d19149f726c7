"""Settle: each result message settles one batch; the last one sends the scene on to the collector."""

from dataclasses import dataclass
from enum import Enum

from clayline.ports import Objects, Queue
from clayline.run.keys import WorkObjects
from clayline.run.ledger import BatchRow, Ledger, RunRow, Stage
from clayline.run.receipt import BatchSettlement, Settlement
from clayline.run.result import BatchResult


class Settled(Enum):
    """What a result did."""

    WAITING = "waiting"
    """Other batches are still out."""
    COMPLETE = "complete"
    """It was the last, or came after the last: the collector was told."""
    UNKNOWN_RUN = "unknown-run"
    """Nobody planned this run, or no such batch in it; nothing could cure it."""
    COLLECTED = "collected"
    """The run is over; a late result was noted."""


@dataclass(frozen=True, kw_only=True)
class Settling:
    """Ports of settle."""

    ledger: Ledger
    objects: Objects
    settled_queue: Queue
    work_bucket: str

    def settle(self, result: BatchResult) -> Settled:
        """Settle one batch. Any message may come twice, late or before tile's row. Raises TransientError."""
        run = self.ledger.run(result.run)
        if run is None or (run.batches is not None and int(result.batch[1:]) >= run.batches):
            return Settled.UNKNOWN_RUN
        # First the result, then the set: a kill between the two leaves a batch that the message, coming again, settles.
        self.ledger.record_result(result)
        if run.stage >= Stage.ANNOUNCED:
            return Settled.COLLECTED
        run = self.ledger.settle(result.run, result.batch)
        if run is None:
            return Settled.UNKNOWN_RUN
        if run.batches is None or len(run.settled) < run.batches:
            return Settled.WAITING
        self._send_on(run)
        return Settled.COMPLETE

    def _send_on(self, run: RunRow) -> None:
        """Freeze how the batches ended and tell the collector.

        Repeating it is harmless: the settlement is written once.
        """
        rows = {row.batch: row for row in self.ledger.batches(run.run)}
        settlement = Settlement(
            run=run.run, batches=tuple(_settlement(batch, rows.get(batch)) for batch in sorted(run.settled))
        )
        uri = WorkObjects(bucket=self.work_bucket, run=run.run).settlement
        self.objects.put_new(
            uri, settlement.model_dump_json(indent=1).encode(), run=run.run, content_type="application/json"
        )
        self.settled_queue.send([{"run": run.run}])
        self.ledger.advance(run.run, Stage.SETTLED)


def _settlement(batch: str, row: BatchRow | None) -> BatchSettlement:
    result = row.result if row else None
    if result is None:
        msg = f"batch {batch} is in the settled set but has no result: the ledger was changed by hand"
        raise RuntimeError(msg)
    return BatchSettlement(
        batch=batch, status=result.status, output=result.output, reason=result.reason, message=result.message
    )
