"""Reconcile: whatever a lost message, a killed function or a silent endpoint left standing goes on, or ends with a
reason.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from clayline.ports import Clock, ObjectMissingError, Objects, Queue
from clayline.run.keys import WorkObjects
from clayline.run.ledger import BatchRow, Ledger, RunRow
from clayline.run.planned_batches import PlannedBatches, by_job
from clayline.run.result import BatchResult
from clayline.run.state import PATIENCE, RunState
from clayline.steps.admission import Admission, Line
from clayline.steps.settling import Settling

MOST_RUNS: Final = 50
"""Of one state that one pass looks at, the longest overdue first."""
MOST_LOOKS: Final = 500
"""Answers of one run that one pass looks for, those of the oldest requests first: the endpoint answers in order."""
_WAIT: Final = timedelta(minutes=1)
"""Between two looks at a run that waits."""


@dataclass(frozen=True, kw_only=True)
class Reconciling:
    """Ports of reconcile."""

    ledger: Ledger
    objects: Objects
    scene_queue: Queue
    tile_queue: Queue
    settled_queue: Queue
    settling: Settling
    admission: Admission
    clock: Clock
    work_bucket: str
    answer_within: timedelta
    """After that no answer comes any more: how long SageMaker keeps a request, and the longest computation."""
    patience: timedelta = PATIENCE
    most_runs: int = MOST_RUNS
    most_looks: int = MOST_LOOKS

    def reconcile(self) -> Counter[str]:
        """Look at runs whose deadline has passed. Gives how many were looked at, by state.

        Each run's deadline is moved before anything is done for it: two passes at once do nothing twice, and a run on
        which a pass fails does not keep the others waiting. Raises TransientError.
        """
        line = self.admission.line()
        acts: dict[RunState, Callable[[RunRow], None]] = {
            RunState.COMMITTED: self._collect,
            RunState.SETTLED: self._collect,
            RunState.RUNNING: self._look,
            RunState.WAITING: lambda row: self._wait(row, line),
            RunState.CLAIMED: self._plan,
        }
        done: Counter[str] = Counter()
        for state, act in acts.items():
            now = self.clock()
            for run in self.ledger.overdue(state, now=now, most=self.most_runs):
                row = self.ledger.run(run)
                if row is None or row.state is not state or row.due > now:
                    continue  # the index was behind
                wait = min(_WAIT, self.patience) if state is RunState.WAITING else self.patience
                look = now + self.patience if row.look <= now else row.look
                if self.ledger.postpone(run, due=row.due, until=now + wait, look=look):
                    act(row)
                    done[state.value] += 1
        return done

    def _collect(self, row: RunRow) -> None:
        self.settled_queue.send([{"run": row.run}])

    def _plan(self, row: RunRow) -> None:
        """Let plan begin again from the landing: its message is in a dead-letter queue, or lost."""
        self.scene_queue.send([{"kind": "clayline-plan-again/1", "run": row.run, "landing": row.origin}])

    def _wait(self, row: RunRow, line: Line) -> None:
        """Look for what became of the jobs that are out, as of a running run: what is lost of them takes the room for
        which the others wait. Then hand out more.
        """
        if row.handed and row.look <= self.clock():
            self._look(row)
        if line.free > 0:
            self.admission.admit(row, by_job(self._batches(row).batches, jobs=row.jobs), line)

    def _batches(self, row: RunRow) -> PlannedBatches:
        work = WorkObjects(bucket=self.work_bucket, run=row.run)
        return PlannedBatches.model_validate_json(self.objects.get(work.plan))

    def _look(self, row: RunRow) -> None:
        """Look for answers that nobody told of; send what was never sent, or may be sent again."""
        now = self.clock()
        rows = self.ledger.batches(row.run)
        still = [each for each in rows if each.result is None]
        for result in self._answers(row.run, still, now):
            self.settling.settle(result.model_copy(update={"found": "reconcile"}))
        jobs = {each.job for each in still if self._is_stuck(each, now)}
        if len(rows) < row.out:
            begun = {each.batch for each in rows}
            planned = self._batches(row).batches
            jobs |= {each.job for each in planned if each.job < row.handed and each.name not in begun}
        self.tile_queue.send([{"run": row.run, "job": job} for job in sorted(jobs)])
        if row.open == 0:
            self.settling.send_on(row)

    def _is_stuck(self, row: BatchRow, now: datetime) -> bool:
        """Whether tile has to send it, and had time to."""
        return now >= row.since + self.patience and (row.lost is not None or row.invocation is None)

    def _answers(self, run: str, rows: Sequence[BatchRow], now: datetime) -> list[BatchResult]:
        """Give what became of the oldest requests that are out."""
        out = sorted((row for row in rows if row.invocation and not row.lost), key=lambda row: row.since)
        due = [row for row in out if now >= row.since + self.patience][: self.most_looks]
        return [found for row in due if (found := self._answer(run, row, now))]

    def _answer(self, run: str, row: BatchRow, now: datetime) -> BatchResult | None:
        """Look for a response, then for an error; without either the request is given up when no answer can come."""
        if row.invocation is None:
            return None
        if self._is_there(row.invocation.output):
            return BatchResult(
                run=run, batch=row.batch, attempt=row.attempt, status="succeeded", output=row.invocation.output
            )
        reason = None
        if row.invocation.failure and self._is_there(row.invocation.failure):
            reason, message = "inference-failed", f"see {row.invocation.failure}"
        elif now >= row.since + self.answer_within:
            reason, message = "request-expired", "no answer came while SageMaker keeps a request"
        if reason is None:
            return None
        return BatchResult(
            run=run, batch=row.batch, attempt=row.attempt, status="failed", reason=reason, message=message
        )

    def _is_there(self, uri: str) -> bool:
        try:
            self.objects.head(uri)
        except ObjectMissingError:
            return False
        return True
