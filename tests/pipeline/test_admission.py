"""How many jobs of which run are handed out: a share of what is free, and each job once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.errors import TransientError
from clayline.run.ledger import Flight, RunRow
from clayline.run.state import RunState
from clayline.steps.admission import Admission, Line

NOW = datetime(2026, 5, 18, 9, tzinfo=UTC)
PATIENCE = timedelta(minutes=7)


@dataclass
class Runs:
    """What admission uses of the ledger."""

    rows: dict[str, RunRow]

    def flights(self) -> Sequence[Flight]:
        return [
            Flight(run=row.run, state=row.state, in_flight=row.out - (row.batches - row.open), look=row.look)
            for row in self.rows.values()
        ]

    def hand_out(self, run: str, *, start: int, stop: int, out: int, due: datetime) -> bool:
        row = self.rows[run]
        if row.state is not RunState.WAITING or row.handed != start or stop > row.jobs:
            return False
        changed = replace(row, handed=stop, out=out)
        self.rows[run] = changed if stop < row.jobs else replace(changed, state=RunState.RUNNING, due=due)
        return True

    def end_what_is_out(self) -> None:
        self.rows = {run: replace(row, open=row.batches - row.out) for run, row in self.rows.items()}


@dataclass
class Jobs:
    """The tile queue."""

    sent: list[tuple[str, int]] = field(default_factory=list)
    broken: bool = False

    def send(self, bodies: Sequence[Mapping[str, Any]], *, delay: int = 0) -> None:
        assert delay == 0
        if self.broken:
            msg = "no queue"
            raise TransientError(msg)
        self.sent += [(body["run"], body["job"]) for body in bodies]


def waiting(run: str, batches: Sequence[int], *, handed: int = 0) -> RunRow:
    """Give a run whose jobs have so many batches, the first ``handed`` of them out."""
    return RunRow(
        run=run,
        scene=run,
        state=RunState.WAITING,
        due=NOW,
        look=NOW,
        lease_until=NOW,
        claimed=NOW,
        origin="",
        jobs=len(batches),
        handed=handed,
        batches=sum(batches),
        out=sum(batches[:handed]),
        open=sum(batches),
    )


def admission(*rows: RunRow, most: int) -> tuple[Admission, Runs, Jobs]:
    runs, jobs = Runs({row.run: row for row in rows}), Jobs()
    ledger: Any = runs
    made = Admission(ledger=ledger, tile_queue=jobs, clock=lambda: NOW, most_in_flight=most, patience=PATIENCE)
    return made, runs, jobs


@pytest.mark.parametrize(
    ("free", "among", "share"),
    [(10, 1, 10), (10, 2, 5), (10, 3, 3), (10, 0, 10), (10, -1, 10), (2, 5, 1), (1, 1, 1), (0, 1, 0), (-3, 2, 0)],
)
def test_a_share_is_what_is_free_among_who_waits_and_at_least_one(free: int, among: int, share: int) -> None:
    assert Line(free=free, waiting=among).share == share


def test_free_is_what_is_not_on_its_way_whether_its_run_waits_or_is_running() -> None:
    made, runs, _ = admission(
        waiting("a", [2, 3, 4], handed=2),
        waiting("b", [9]),
        replace(waiting("c", [4, 4], handed=2), state=RunState.RUNNING, open=3),
        most=20,
    )
    assert made.line() == Line(free=20 - 5 - 3, waiting=2)
    runs.rows["d"] = replace(waiting("d", [15], handed=1), state=RunState.RUNNING)
    assert made.line() == Line(free=-3, waiting=2)


def test_runs_that_wait_share_what_is_free() -> None:
    made, runs, jobs = admission(*(waiting(run, [1] * 10) for run in "abc"), most=10)
    line = made.line()
    assert [made.admit(runs.rows[run], [1] * 10, line) for run in "abc"] == [3, 3, 4]
    assert jobs.sent == [*(("a", job) for job in range(3)), *(("b", job) for job in range(3))] + [
        ("c", job) for job in range(4)
    ]
    assert line == Line(free=0, waiting=0)
    assert [row.out for row in runs.rows.values()] == [3, 3, 4]


def test_a_share_is_batches_and_no_job_is_divided() -> None:
    made, runs, jobs = admission(waiting("a", [2, 2, 2, 2]), most=5)
    assert made.admit(runs.rows["a"], [2, 2, 2, 2], made.line()) == 2
    assert jobs.sent == [("a", 0), ("a", 1)]
    assert (runs.rows["a"].out, made.line().free) == (4, 1)


def test_at_least_one_job_goes_however_large_it_is_and_the_next_run_waits() -> None:
    made, runs, jobs = admission(waiting("a", [8, 1]), waiting("b", [1]), most=2)
    line = made.line()
    assert [made.admit(runs.rows["a"], [8, 1], line), made.admit(runs.rows["b"], [1], line)] == [1, 0]
    assert jobs.sent == [("a", 0)]
    assert (runs.rows["b"].handed, line.free) == (0, -6)


@pytest.mark.parametrize("out", [4, 7])
def test_nothing_goes_if_nothing_is_free(out: int) -> None:
    flying = replace(waiting("b", [out], handed=1), state=RunState.RUNNING)
    made, runs, jobs = admission(waiting("a", [1, 1]), flying, most=4)
    assert made.admit(runs.rows["a"], [1, 1], made.line()) == 0
    assert (runs.rows["a"].handed, jobs.sent) == (0, [])


def test_the_last_job_is_the_last_and_what_was_out_before_counts() -> None:
    batches = [3, 2, 1]
    made, runs, jobs = admission(waiting("a", batches, handed=1), most=100)
    assert made.admit(runs.rows["a"], batches, made.line()) == 2
    assert jobs.sent == [("a", 1), ("a", 2)]
    row = runs.rows["a"]
    assert (row.handed, row.out, row.state, row.due) == (3, 6, RunState.RUNNING, NOW + PATIENCE)
    assert made.admit(row, batches, made.line()) == 0
    assert (runs.rows["a"], len(jobs.sent)) == (row, 2)


def test_nothing_is_sent_if_another_handed_the_jobs_out_meanwhile() -> None:
    made, runs, jobs = admission(waiting("a", [1] * 6), most=4)
    seen, line = runs.rows["a"], made.line()
    assert runs.hand_out("a", start=0, stop=2, out=2, due=NOW)
    assert made.admit(seen, [1] * 6, line) == 0
    assert jobs.sent == []
    assert runs.rows["a"].handed == 2
    assert line == Line(free=4, waiting=0), "what was not handed out is free for the next in line"


def test_the_ledger_knows_of_a_job_before_the_queue_does() -> None:
    """The reconciler finds jobs whose messages were lost; nobody could find a message that the ledger knows not."""
    made, runs, jobs = admission(waiting("a", [1, 1]), most=4)
    jobs.broken = True
    with pytest.raises(TransientError):
        made.admit(runs.rows["a"], [1, 1], made.line())
    assert (runs.rows["a"].handed, runs.rows["a"].state) == (2, RunState.RUNNING)


@given(
    plans=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=5),
    most=st.integers(1, 12),
)
def test_every_job_goes_once_in_its_order_and_never_many_at_once(plans: list[list[int]], most: int) -> None:
    batches = {f"r{number}": plan for number, plan in enumerate(plans)}
    made, runs, jobs = admission(*(waiting(run, plan) for run, plan in batches.items()), most=most)
    while any(row.state is RunState.WAITING for row in runs.rows.values()):
        line = made.line()
        assert line.free == most
        still = [row for row in runs.rows.values() if row.state is RunState.WAITING]
        handed = sum(made.admit(row, batches[row.run], line) for row in still)
        assert handed > 0
        assert sum(flight.in_flight for flight in runs.flights()) < most + max(map(max, plans))
        runs.end_what_is_out()
    for run, plan in batches.items():
        assert [job for name, job in jobs.sent if name == run] == list(range(len(plan)))
    assert all(row.out == row.batches and row.open == 0 for row in runs.rows.values())
