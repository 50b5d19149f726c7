"""Admission: how many jobs of which run are handed to tile, so that no request waits longer than SageMaker keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from clayline.ports import Clock, Queue
from clayline.run.ledger import Flight, Ledger, RunRow
from clayline.run.state import PATIENCE, RunState

MOST_RUNS: Final = 50
"""Of one state that one pass of the reconciler looks at, the longest overdue first."""


@dataclass(kw_only=True, slots=True)
class Line:
    """What is free, and how many runs wait for it."""

    free: int
    """Batches that may go on their way."""
    waiting: int
    """Of those that are looked at."""

    @property
    def share(self) -> int:
        """Batches that the next run in line may have: none starves another."""
        return max(1, self.free // max(1, self.waiting)) if self.free > 0 else 0


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Ports of handing out jobs."""

    ledger: Ledger
    tile_queue: Queue
    clock: Clock
    most_in_flight: int
    """Batches that are handed out and have not ended, of all runs together. Two that look at the same time may hand out
    a share each: it is a measure, not a lock."""
    patience: timedelta = PATIENCE

    def line(self) -> Line:
        """Look who is on the way and who waits. The index is a moment behind the table."""
        return self.line_of(self.ledger.flights())

    def line_of(self, flights: Sequence[Flight]) -> Line:
        """Give the line of who waits, as far as one pass looks at them: the others share what is free another time."""
        waiting = sum(flight.state is RunState.WAITING for flight in flights)
        free = self.most_in_flight - sum(flight.in_flight for flight in flights)
        return Line(free=free, waiting=min(waiting, MOST_RUNS))

    def admit(self, run: RunRow, batches: Sequence[int], line: Line) -> int:
        """Hand out the next jobs of a waiting run: its share of what is free, at least one. Gives how many.

        ``batches`` has each job's number of open batches; a job without one takes no room, and no message. First the
        ledger, then the messages: jobs whose messages were lost to a kill are found by the reconciler. Raises
        TransientError.
        """
        share, stop, out = line.share, run.handed, 0
        while stop < run.jobs and (not batches[stop] or (share > 0 and (out == 0 or out + batches[stop] <= share))):
            out += batches[stop]
            stop += 1
        line.waiting -= 1
        if stop == run.handed:
            return 0
        due = self.clock() + self.patience
        before = sum(batches[: run.handed])
        if not self.ledger.hand_out(run.run, start=run.handed, stop=stop, out=before + out, due=due):
            return 0
        line.free -= out
        self.tile_queue.send([{"run": run.run, "job": job} for job in range(run.handed, stop) if batches[job]])
        return stop - run.handed
