"""The Ledger port in memory: what moto's table does, without its copy of the whole table in each transaction.

tests/aws/test_ledger_contract.py holds both to the same contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from clayline.run.ledger import BatchRow, Claim, Closing, Flight, Invocation, LandingRow, Outcome, RunRow
from clayline.run.result import BatchResult
from clayline.run.state import BEFORE, RunState

PAST = datetime(1970, 1, 1, tzinfo=UTC)


def _seconds(moment: datetime) -> datetime:
    """Cut to seconds, as the table holds moments."""
    return moment.replace(microsecond=0)


@dataclass
class MemoryLedger:
    """Rows by run. One thread: what DynamoDB does under a condition is done here at once."""

    runs: dict[str, RunRow] = field(default_factory=dict)
    batch_rows: dict[str, dict[str, BatchRow]] = field(default_factory=dict)
    landing_rows: dict[str, dict[str, LandingRow]] = field(default_factory=dict)
    revisions: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def claim(self, run: str, *, scene: str, origin: str, now: datetime, lease_until: datetime, due: datetime) -> Claim:
        row = self.runs.get(run)
        if row and (row.state is not RunState.CLAIMED or row.lease_until > _seconds(now)):
            return Claim.DONE if row.state.is_planned else Claim.HELD
        self.runs[run] = RunRow(
            run=run,
            scene=scene,
            state=RunState.CLAIMED,
            due=_seconds(due),
            look=PAST,
            lease_until=_seconds(lease_until),
            claimed=row.claimed if row else _seconds(now),
            origin=origin,
            jobs=0,
            handed=0,
            batches=0,
            out=0,
            open=0,
        )
        return Claim.GRANTED

    def _mine(self, run: str, lease_until: datetime) -> RunRow | None:
        row = self.runs.get(run)
        return row if row and row.state is RunState.CLAIMED and row.lease_until == _seconds(lease_until) else None

    def release(self, run: str, *, lease_until: datetime) -> None:
        if row := self._mine(run, lease_until):
            self.runs[run] = replace(row, lease_until=PAST)

    def refuse(self, run: str, *, lease_until: datetime) -> None:
        if self._mine(run, lease_until):
            del self.runs[run]

    def run(self, run: str) -> RunRow | None:
        return self.runs.get(run)

    def revision(self, *, token: str, scene_hash: str, run: str, least: int = 1) -> int:
        listed = self.revisions.setdefault((token, scene_hash), [])
        if listed[-1:] != [run] or len(listed) < least:
            self.forget_revision(token=token, scene_hash=scene_hash, run=run)
            listed += [""] * (least - 1 - len(listed)) + [run]
        return len(listed)

    def newest(self, *, token: str, scene_hash: str) -> str | None:
        return next((run for run in reversed(self.revisions.get((token, scene_hash), [])) if run), None)

    def forget_revision(self, *, token: str, scene_hash: str, run: str) -> None:
        listed = self.revisions.get((token, scene_hash), [])
        listed[:] = [each if each != run else "" for each in listed]

    def planned(self, run: str, *, jobs: int, batches: int, due: datetime) -> None:
        row = self.runs.get(run)
        if row and row.state is RunState.CLAIMED:
            self.runs[run] = replace(
                row, state=RunState.WAITING, due=_seconds(due), jobs=jobs, batches=batches, open=batches
            )

    def hand_out(self, run: str, *, start: int, stop: int, out: int, due: datetime) -> bool:
        row = self.runs.get(run)
        if row is None or row.state is not RunState.WAITING or row.handed != start or stop > row.jobs:
            return False
        row = replace(row, handed=stop, out=out)
        is_last = stop == row.jobs
        self.runs[run] = (
            replace(row, state=RunState.RUNNING, due=_seconds(due)) if is_last else replace(row, look=_seconds(due))
        )
        return True

    def enter(self, run: str, state: RunState, *, due: datetime) -> bool:
        row = self.runs.get(run)
        if row is None or row.state not in BEFORE[state]:
            return False
        self.runs[run] = replace(row, state=state, due=_seconds(due))
        return True

    def postpone(self, run: str, *, due: datetime, until: datetime, look: datetime) -> bool:
        row = self.runs.get(run)
        if row is None or row.due != _seconds(due):
            return False
        self.runs[run] = replace(row, due=_seconds(until), look=_seconds(look))
        return True

    def overdue(self, state: RunState, *, now: datetime, most: int) -> Sequence[str]:
        found = [(row.due, row.run) for row in self.runs.values() if row.state is state and row.due <= _seconds(now)]
        return [run for _, run in sorted(found)[:most]]

    def flights(self) -> Sequence[Flight]:
        return [
            Flight(
                run=row.run,
                state=row.state,
                in_flight=row.out - (row.batches - row.open),
                look=row.look,
            )
            for state in (RunState.WAITING, RunState.RUNNING)
            for row in sorted(self.runs.values(), key=lambda row: row.due)
            if row.state is state
        ]

    def announced(self, run: str, outcome: Outcome, *, now: datetime) -> None:
        row = self.runs.get(run)
        if row and row.state is RunState.COMMITTED:
            self.runs[run] = replace(row, state=RunState.ANNOUNCED, due=_seconds(now), outcome=outcome)

    def announced_refusal(self, run: str, outcome: Outcome, *, scene: str, origin: str, now: datetime) -> None:
        if run not in self.runs:
            self.runs[run] = RunRow(
                run=run,
                scene=scene,
                state=RunState.ANNOUNCED,
                due=_seconds(now),
                look=PAST,
                lease_until=PAST,
                claimed=_seconds(now),
                origin=origin,
                jobs=0,
                handed=0,
                batches=0,
                out=0,
                open=0,
                outcome=outcome,
            )

    def keep_landing(self, run: str, landing: str, *, uri: str) -> None:
        self.landing_rows.setdefault(run, {}).setdefault(landing, LandingRow(landing=landing, uri=uri, answered=False))

    def answer_landing(self, run: str, landing: str, *, uri: str) -> None:
        self.landing_rows.setdefault(run, {})[landing] = LandingRow(landing=landing, uri=uri, answered=True)

    def landing(self, run: str, landing: str) -> LandingRow | None:
        return self.landing_rows.get(run, {}).get(landing)

    def landings(self, run: str) -> Sequence[LandingRow]:
        return [row for _, row in sorted(self.landing_rows.get(run, {}).items())]

    def begin(self, run: str, batch: str, *, job: int, attempt: int, now: datetime) -> bool:
        rows = self.batch_rows.setdefault(run, {})
        row = rows.get(batch)
        if row and (row.result or row.attempt >= attempt):
            return False
        rows[batch] = BatchRow(
            batch=batch,
            job=job,
            attempt=attempt,
            since=_seconds(now),
            invocation=None,
            lost=None,
            result=None,
            losses=row.losses if row else (),
        )
        return True

    def invoked(self, run: str, batch: str, *, attempt: int, invocation: Invocation) -> None:
        row = self.batch(run, batch)
        if row and row.attempt == attempt:
            self.batch_rows[run][batch] = replace(row, invocation=invocation)

    def batch(self, run: str, batch: str) -> BatchRow | None:
        return self.batch_rows.get(run, {}).get(batch)

    def batches(self, run: str) -> Sequence[BatchRow]:
        return [row for _, row in sorted(self.batch_rows.get(run, {}).items())]

    def lose(self, result: BatchResult) -> bool:
        row = self.batch(result.run, result.batch)
        if row is None or row.attempt != result.attempt or row.result or row.lost:
            return False
        self.batch_rows[result.run][result.batch] = replace(row, lost=result, losses=(*row.losses, result))
        return True

    def close(self, result: BatchResult) -> Closing:
        row, run = self.batch(result.run, result.batch), self.runs.get(result.run)
        if row is None:
            return Closing.UNKNOWN
        is_late = row.result is not None or (result.status == "failed" and row.attempt != result.attempt)
        if is_late or run is None or not run.state.is_open:
            if result.status == "succeeded" and row.result and row.result.status == "failed":
                self.batch_rows[result.run][result.batch] = replace(row, result=result)
            return Closing.KNOWN
        self.batch_rows[result.run][result.batch] = replace(row, result=result, lost=None)
        self.runs[result.run] = replace(run, open=run.open - 1)
        return Closing.CLOSED
