"""Reconcile: whatever a lost message, a killed function or a silent endpoint left standing goes on, or ends with a
reason.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from clayline.ports import Clock, ObjectMissingError, Objects, ObjectTooLargeError, Queue, is_there
from clayline.run.keys import WorkObjects
from clayline.run.ledger import BatchRow, Flight, Ledger, RunRow
from clayline.run.planned_batches import PlannedBatches, by_job
from clayline.run.result import BatchResult, failed_result
from clayline.run.state import OPEN, PATIENCE, RunState
from clayline.scene.notification import Order
from clayline.steps.admission import MOST_RUNS, Admission, Line
from clayline.steps.settling import Settling

MOST_LOOKS: Final = 1_000
"""Answers that one pass looks for, of each run those of the oldest requests first: the endpoint answers in order. Two
HEADs each, one after the other."""
LONGEST: Final = timedelta(days=14)
"""Less than what the work bucket keeps plans for, from which a run is ended."""
_GIVEN_UP: Final = frozenset({RunState.CLAIMED, *OPEN, RunState.SETTLED})
"""States that something outside has to end; a settled one only if its plan is gone."""
_MOST_ERROR: Final = 1_000_000
"""Bytes of an error that is read."""
_WAIT: Final = timedelta(minutes=1)
"""Between two looks at a run that waits."""


@dataclass(kw_only=True, slots=True)
class Looks:
    """How many answers a pass still looks for."""

    left: int


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
    longest: timedelta = LONGEST
    """After so long a run is ended as it is."""
    most_runs: int = MOST_RUNS
    most_looks: int = MOST_LOOKS

    def reconcile(self) -> Counter[str]:
        """Look at runs whose deadline has passed. Gives how many were looked at, by state.

        Each run's deadline is moved before anything is done for it: two passes at once do nothing twice, and a run on
        which a pass fails does not keep the others waiting. Raises TransientError.
        """
        flights = self.ledger.flights()
        line = self.admission.line_of(flights)
        looks = Looks(left=self.most_looks)
        acts: dict[RunState, Callable[[RunRow], None]] = {
            RunState.COMMITTED: self._collect,
            RunState.SETTLED: self._collect,
            RunState.CLAIMED: self._plan,
            RunState.WAITING: lambda row: self._admit(row, line),
            RunState.RUNNING: lambda row: self._look(row, looks),
        }
        done: Counter[str] = Counter()
        for state, act in acts.items():
            now = self.clock()
            # Without room those that wait keep their places: moved on for nothing, the line would turn.
            is_full = state is RunState.WAITING and line.free <= 0
            for run in self.ledger.overdue(state, now=now - self.longest if is_full else now, most=self.most_runs):
                row = self.ledger.run(run)
                if row is None or row.state is not state or row.due > now:
                    continue  # the index was behind
                wait = min(_WAIT, self.patience) if state is RunState.WAITING else self.patience
                if self.ledger.postpone(run, due=row.due, until=now + wait, look=row.look):
                    if state in _GIVEN_UP and now >= row.claimed + self.longest:
                        self._give_up(run)
                    else:
                        self._act(act, row)
                    done[state.value] += 1
        done["looked-after"] = self._look_after(flights, looks)
        return +done

    def _look_after(self, flights: Sequence[Flight], looks: Looks) -> int:
        """Look for what is out of runs of which more waits: what is lost of it takes the room for which the rest waits.

        They keep their place in line. Gives how many.
        """
        now, seen = self.clock(), 0
        stand = [each for each in flights if each.state is RunState.WAITING and each.in_flight and each.look <= now]
        for each in stand[: self.most_runs]:
            row = self.ledger.run(each.run)
            if row is None or row.state is not RunState.WAITING or row.look > now:
                continue
            if self.ledger.postpone(row.run, due=row.due, until=row.due, look=now + self.patience):
                self._act(lambda row: self._look(row, looks), row)
                seen += 1
        return seen

    def _act(self, act: Callable[[RunRow], None], row: RunRow) -> None:
        """Act on a run; one whose plan is gone is given up, and does not keep the others waiting."""
        try:
            act(row)
        except ObjectMissingError:
            self._give_up(row.run)

    def _give_up(self, run: str) -> None:
        self.scene_queue.send([Order(kind="clayline-give-up/1", run=run).model_dump()])

    def _collect(self, row: RunRow) -> None:
        self.settled_queue.send([{"run": row.run}])

    def _plan(self, row: RunRow) -> None:
        """Let plan begin again from the landing: its message is in a dead-letter queue, or lost."""
        self.scene_queue.send([{"kind": "clayline-plan-again/1", "run": row.run, "landing": row.origin}])

    def _admit(self, row: RunRow, line: Line) -> None:
        """Hand out more; a run of which nothing is open is settled, as plan would have."""
        self.admission.admit(row, by_job(self._batches(row).open, jobs=row.jobs), line)
        if not row.open and (now := self.ledger.run(row.run)):
            self.settling.send_on(now)

    def _batches(self, row: RunRow) -> PlannedBatches:
        work = WorkObjects(bucket=self.work_bucket, run=row.run)
        return PlannedBatches.model_validate_json(self.objects.get(work.plan))

    def _look(self, row: RunRow, looks: Looks) -> None:
        """Look for answers that nobody told of; send what was never sent, or may be sent again."""
        now = self.clock()
        rows = self.ledger.batches(row.run)
        still = [each for each in rows if each.result is None]
        for result in self._answers(row.run, still, now, looks):
            self.settling.settle(result.model_copy(update={"found": "reconcile"}))
        jobs = {each.job for each in still if self._is_stuck(each, now)}
        if len(rows) < row.out:
            begun = {each.batch for each in rows}
            planned = self._batches(row).open
            jobs |= {each.job for each in planned if each.job < row.handed and each.name not in begun}
        self.tile_queue.send([{"run": row.run, "job": job} for job in sorted(jobs)])
        if row.open == 0:
            self.settling.send_on(row)

    def _is_stuck(self, row: BatchRow, now: datetime) -> bool:
        """Whether tile has to send it, and had time to."""
        return now >= row.since + self.patience and (row.lost is not None or row.invocation is None)

    def _answers(self, run: str, rows: Sequence[BatchRow], now: datetime, looks: Looks) -> list[BatchResult]:
        """Give what became of the oldest requests that are out, as far as this pass still looks."""
        out = sorted((row for row in rows if row.invocation and not row.lost), key=lambda row: row.since)
        due = [row for row in out if now >= row.since + self.patience][: looks.left]
        looks.left -= len(due)
        return [found for row in due if (found := self._answer(run, row, now))]

    def _answer(self, run: str, row: BatchRow, now: datetime) -> BatchResult | None:
        """Look for a response, then for an error; without either the request is given up when no answer can come."""
        if row.invocation is None:
            return None
        if is_there(self.objects, row.invocation.output):
            return BatchResult(
                run=run, batch=row.batch, attempt=row.attempt, status="succeeded", output=row.invocation.output
            )
        if row.invocation.failure and (said := self._said(row.invocation.failure)) is not None:
            return failed_result(run=run, batch=row.batch, attempt=row.attempt, message=said)
        if now < row.since + self.answer_within:
            return None
        message = "no answer came while SageMaker keeps a request"
        return BatchResult(
            run=run, batch=row.batch, attempt=row.attempt, status="failed", reason="request-expired", message=message
        )

    def _said(self, uri: str) -> str | None:
        """Read the container's error; None if there is none."""
        try:
            return self.objects.get(uri, most=_MOST_ERROR).decode(errors="replace")
        except ObjectMissingError:
            return None
        except ObjectTooLargeError as error:
            return str(error)
