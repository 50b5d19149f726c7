"""What any ledger does: DynamoDB as moto plays it, and the one in memory that the fault harness uses."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.aws.conftest import Cloud, moto_examples
from tests.run.memory_ledger import MemoryLedger

from clayline.run.ledger import BatchRow, Claim, Closing, Flight, Invocation, LandingRow, Ledger, Outcome, RunRow
from clayline.run.result import BatchResult
from clayline.run.state import BEFORE, RunState

RUN = "0123456789abcdef" * 2
RUNS = (f"{number:032x}" for number in count(1))
"""Hypothesis' examples share one table: each takes a run of its own."""
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE, PATIENCE = timedelta(minutes=5), timedelta(minutes=15)
PAST = datetime(1970, 1, 1, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
PARTIAL = Outcome(status="ScenePartial", receipt="s3://out/a_receipt.json", failed=True)
REFUSED = Outcome(status="SceneFailed", receipt="s3://out/failed/b_receipt.json", failed=False)
FIRST, SECOND = "a" * 32, "b" * 32


@pytest.fixture(params=["dynamo", "memory"])
def ledger(request: pytest.FixtureRequest, cloud: Cloud) -> Ledger:
    return cloud.ledger if request.param == "dynamo" else MemoryLedger()


def claim(ledger: Ledger, now: datetime = NOON, run: str = RUN) -> Claim:
    lease_until = now + LEASE
    return ledger.claim(
        run, scene="S2A", origin='{"uri": 1}', now=now, lease_until=lease_until, due=lease_until + PATIENCE
    )


def row_of(ledger: Ledger, run: str = RUN) -> RunRow:
    row = ledger.run(run)
    assert row is not None
    return row


def plan(ledger: Ledger, run: str = RUN, *, jobs: int = 2, batches: int = 3) -> None:
    claim(ledger, run=run)
    ledger.planned(run, jobs=jobs, batches=batches, due=NOON)


def bring(ledger: Ledger, state: RunState, run: str = RUN) -> None:
    """Take a new run of one job without batches to a state."""
    claim(ledger, run=run)
    if state is RunState.CLAIMED:
        return
    ledger.planned(run, jobs=1, batches=0, due=NOON)
    if state is not RunState.WAITING:
        assert ledger.hand_out(run, start=0, stop=1, out=0, due=NOON)
    for each in (RunState.SETTLED, RunState.COMMITTED):
        if state in {RunState.SETTLED, RunState.COMMITTED, RunState.ANNOUNCED} and row_of(ledger, run).state != state:
            assert ledger.enter(run, each, due=NOON)
    if state is RunState.ANNOUNCED:
        ledger.announced(run, PARTIAL, now=NOON)
    assert row_of(ledger, run).state is state


def result(status: Any, batch: str = "b00000", attempt: int = 1, run: str = RUN, **changes: Any) -> BatchResult:
    output = f"s3://work/responses/{batch}-{attempt}.out" if status == "succeeded" else None
    reason = "inference-failed" if status == "failed" else None
    return BatchResult(run=run, batch=batch, attempt=attempt, status=status, output=output, reason=reason, **changes)


def send(ledger: Ledger, batch: str = "b00000", attempt: int = 1, run: str = RUN) -> None:
    assert ledger.begin(run, batch, job=0, attempt=attempt, now=NOON)
    ledger.invoked(run, batch, attempt=attempt, invocation=Invocation(output=f"s3://work/{attempt}", failure=None))


def test_a_new_run_is_claimed(ledger: Ledger) -> None:
    assert claim(ledger) is Claim.GRANTED
    assert ledger.run(RUN) == RunRow(
        run=RUN,
        scene="S2A",
        state=RunState.CLAIMED,
        due=NOON + LEASE + PATIENCE,
        look=datetime(1970, 1, 1, tzinfo=UTC),
        lease_until=NOON + LEASE,
        claimed=NOON,
        origin='{"uri": 1}',
        jobs=0,
        handed=0,
        batches=0,
        out=0,
        open=0,
    )


@pytest.mark.parametrize(
    ("after", "answer"),
    [
        (timedelta(0), Claim.HELD),
        (LEASE - timedelta(seconds=1), Claim.HELD),
        (LEASE, Claim.GRANTED),
        (timedelta(days=3), Claim.GRANTED),
    ],
)
def test_a_lease_holds_until_it_runs_out(ledger: Ledger, after: timedelta, answer: Claim) -> None:
    claim(ledger)
    assert claim(ledger, NOON + after) is answer
    row = row_of(ledger)
    assert row.lease_until == (NOON + after + LEASE if answer is Claim.GRANTED else NOON + LEASE)
    assert row.claimed == NOON, "creation is the first claim's, whoever plans in the end"


def test_a_lease_that_is_released_can_be_taken_at_once(ledger: Ledger) -> None:
    claim(ledger)
    ledger.release(RUN, lease_until=NOON + LEASE)
    assert claim(ledger) is Claim.GRANTED


def test_nobody_releases_or_refuses_under_his_successors_lease(ledger: Ledger) -> None:
    claim(ledger)
    assert claim(ledger, NOON + LEASE) is Claim.GRANTED
    ledger.release(RUN, lease_until=NOON + LEASE)
    ledger.refuse(RUN, lease_until=NOON + LEASE)
    assert claim(ledger, NOON + LEASE) is Claim.HELD
    assert row_of(ledger).claimed == NOON


def test_what_nobody_claimed_makes_no_row(ledger: Ledger) -> None:
    ledger.release(RUN, lease_until=NOON)
    ledger.refuse(RUN, lease_until=NOON)
    ledger.planned(RUN, jobs=1, batches=1, due=NOON)
    ledger.announced(RUN, PARTIAL, now=NOON)
    assert not ledger.hand_out(RUN, start=0, stop=1, out=1, due=NOON)
    assert not ledger.enter(RUN, RunState.SETTLED, due=NOON)
    assert not ledger.postpone(RUN, due=NOON, until=LATER, look=LATER)
    assert ledger.run(RUN) is None
    assert (ledger.batch(RUN, "b00000"), list(ledger.batches(RUN))) == (None, [])


def test_a_refused_scenes_run_is_as_new(ledger: Ledger) -> None:
    claim(ledger)
    ledger.refuse(RUN, lease_until=NOON + LEASE)
    assert ledger.run(RUN) is None
    assert claim(ledger, NOON + timedelta(days=30)) is Claim.GRANTED
    assert row_of(ledger).claimed == NOON + timedelta(days=30), "creation is when it was planned"


def test_a_stored_plan_stays_whoever_refuses(ledger: Ledger) -> None:
    plan(ledger)
    ledger.refuse(RUN, lease_until=NOON + LEASE)
    assert claim(ledger, LATER) is Claim.DONE
    row = row_of(ledger)
    assert (row.state, row.claimed, row.jobs, row.batches, row.open) == (RunState.WAITING, NOON, 2, 3, 3)


def test_a_plan_is_stored_once(ledger: Ledger) -> None:
    plan(ledger)
    ledger.planned(RUN, jobs=9, batches=99, due=LATER)
    row = row_of(ledger)
    assert (row.jobs, row.batches, row.open, row.due) == (2, 3, 3, NOON)


def test_jobs_are_handed_out_once_and_the_last_one_makes_it_run(ledger: Ledger) -> None:
    plan(ledger)
    assert ledger.hand_out(RUN, start=0, stop=1, out=2, due=LATER)
    assert not ledger.hand_out(RUN, start=0, stop=1, out=2, due=LATER), "they are out"
    row = row_of(ledger)
    assert (row.state, row.handed, row.out, row.due) == (RunState.WAITING, 1, 2, NOON)
    assert not ledger.hand_out(RUN, start=1, stop=3, out=4, due=LATER), "there are two"
    assert ledger.hand_out(RUN, start=1, stop=2, out=3, due=LATER)
    row = row_of(ledger)
    assert (row.state, row.handed, row.out, row.due) == (RunState.RUNNING, 2, 3, LATER)
    assert not ledger.hand_out(RUN, start=2, stop=2, out=3, due=LATER)


@pytest.mark.parametrize("state", list(RunState))
@pytest.mark.parametrize("to", [state for state in BEFORE if state is not RunState.ANNOUNCED])
def test_a_state_is_entered_from_those_before_it_and_from_no_other(
    ledger: Ledger, state: RunState, to: RunState
) -> None:
    bring(ledger, state)
    allowed = state in BEFORE[to]
    assert ledger.enter(RUN, to, due=LATER) is allowed
    row = row_of(ledger)
    assert (row.state, row.due == LATER) == ((to, True) if allowed else (state, False))


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.CLAIMED])
def test_nothing_is_left_for_plan_once_the_plan_is_stored(ledger: Ledger, state: RunState) -> None:
    bring(ledger, state)
    assert claim(ledger, NOON + timedelta(days=3)) is Claim.DONE


def test_a_deadline_is_moved_once(ledger: Ledger) -> None:
    plan(ledger)
    assert ledger.postpone(RUN, due=NOON, until=LATER, look=NOON)
    assert (row_of(ledger).due, row_of(ledger).look) == (LATER, NOON)
    assert not ledger.postpone(RUN, due=NOON, until=LATER, look=NOON), "another pass has it in hand"
    assert row_of(ledger).due == LATER


def test_who_is_overdue_is_found_by_state_the_longest_first(ledger: Ledger) -> None:
    late, later, waiting, over = (f"{number:032x}" for number in range(4))
    for run in (later, late):
        bring(ledger, RunState.SETTLED, run)
    assert ledger.postpone(later, due=NOON, until=NOON + timedelta(seconds=1), look=NOON)
    bring(ledger, RunState.WAITING, waiting)
    bring(ledger, RunState.ANNOUNCED, over)
    found = {
        state: list(ledger.overdue(state, now=LATER, most=9)) for state in RunState if state is not RunState.ANNOUNCED
    }
    assert {state: runs for state, runs in found.items() if runs} == {
        RunState.SETTLED: [late, later],
        RunState.WAITING: [waiting],
    }
    assert list(ledger.overdue(RunState.SETTLED, now=NOON, most=9)) == [late]
    assert list(ledger.overdue(RunState.SETTLED, now=LATER, most=1)) == [late]
    assert list(ledger.overdue(RunState.SETTLED, now=NOON - timedelta(seconds=1), most=9)) == []


def test_what_is_in_flight_is_counted(ledger: Ledger) -> None:
    one, two, done = (f"{number:032x}" for number in range(3))
    plan(ledger, one, jobs=2, batches=5)
    assert ledger.hand_out(one, start=0, stop=1, out=3, due=NOON)
    plan(ledger, two, jobs=1, batches=2)
    assert ledger.hand_out(two, start=0, stop=1, out=2, due=NOON)
    bring(ledger, RunState.SETTLED, done)
    send(ledger, run=one)
    assert ledger.close(result("succeeded", run=one)) is Closing.CLOSED
    assert list(ledger.flights()) == [
        Flight(run=one, state=RunState.WAITING, in_flight=2, look=NOON),
        Flight(run=two, state=RunState.RUNNING, in_flight=2, look=PAST),
    ]


def test_what_was_announced_is_kept_once(ledger: Ledger) -> None:
    bring(ledger, RunState.COMMITTED)
    assert row_of(ledger).outcome is None
    ledger.announced(RUN, PARTIAL, now=LATER)
    ledger.announced(RUN, REFUSED, now=NOON)
    row = row_of(ledger)
    assert (row.state, row.outcome, row.due) == (RunState.ANNOUNCED, PARTIAL, LATER)


def test_only_a_committed_run_is_announced(ledger: Ledger) -> None:
    bring(ledger, RunState.SETTLED)
    ledger.announced(RUN, PARTIAL, now=NOON)
    assert row_of(ledger).state is RunState.SETTLED


def test_a_refusal_is_over_at_once(ledger: Ledger) -> None:
    ledger.announced_refusal(RUN, REFUSED, scene="S2A", origin='{"uri": 1}', now=NOON)
    row = row_of(ledger)
    assert (row.state, row.scene, row.outcome, row.due) == (RunState.ANNOUNCED, "S2A", REFUSED, NOON)
    assert row.origin == '{"uri": 1}', "it can be planned again from there"
    ledger.announced_refusal(RUN, PARTIAL, scene="S2B", origin="", now=LATER)
    assert ledger.run(RUN) == row, "what was announced stays"


def test_a_landing_stands_where_it_was_kept_and_nowhere_else(ledger: Ledger) -> None:
    assert ledger.landing(RUN, FIRST) is None
    ledger.keep_landing(RUN, FIRST, uri="s3://scenes/a.json")
    assert ledger.landing(RUN, FIRST) == LandingRow(landing=FIRST, uri="s3://scenes/a.json", answered=False)
    assert ledger.landing(RUN, SECOND) is None
    assert ledger.landing(next(RUNS), FIRST) is None
    assert ledger.run(RUN) is None, "a landing makes no run"


@pytest.mark.parametrize("kept", [True, False])
def test_a_landing_that_was_answered_stays_answered(ledger: Ledger, *, kept: bool) -> None:
    if kept:
        ledger.keep_landing(RUN, FIRST, uri="s3://scenes/a.json")
    ledger.answer_landing(RUN, FIRST, uri="s3://scenes/a.json")
    answered = LandingRow(landing=FIRST, uri="s3://scenes/a.json", answered=True)
    assert ledger.landing(RUN, FIRST) == answered
    ledger.keep_landing(RUN, FIRST, uri="s3://scenes/a.json")  # a delivery that comes late
    assert ledger.landing(RUN, FIRST) == answered


def test_the_landings_of_a_run_are_given_without_its_batches(ledger: Ledger) -> None:
    claim(ledger)
    send(ledger)
    for landing in (SECOND, FIRST):
        ledger.keep_landing(RUN, landing, uri=f"s3://scenes/{landing[0]}.json")
    ledger.answer_landing(RUN, SECOND, uri="s3://scenes/b.json")
    ledger.keep_landing(next(RUNS), FIRST, uri="s3://scenes/other.json")
    assert list(ledger.landings(RUN)) == [
        LandingRow(landing=FIRST, uri="s3://scenes/a.json", answered=False),
        LandingRow(landing=SECOND, uri="s3://scenes/b.json", answered=True),
    ]
    assert [row.batch for row in ledger.batches(RUN)] == ["b00000"]


def test_who_asks_for_a_revision_becomes_the_newest(ledger: Ledger) -> None:
    def revision(run: str, token: str = "m-v1-a", scene: str = "s" * 12, least: int = 1) -> int:  # noqa: S107 - a model's name
        return ledger.revision(token=token, scene_hash=scene, run=run, least=least)

    def newest() -> str | None:
        return ledger.newest(token="m-v1-a", scene_hash="s" * 12)

    assert newest() is None
    assert [revision("one"), revision("one"), revision("two"), revision("three")] == [1, 1, 2, 3]
    assert revision("two") == 4, "its place before stays empty"
    assert newest() == "two"
    assert revision("two", token="m-v1-b") == 1
    assert revision("two", scene="t" * 12) == 1
    assert revision("two", least=7) == 7
    assert [revision("two", least=7), revision("four")] == [7, 8]
    ledger.forget_revision(token="m-v1-a", scene_hash="s" * 12, run="four")
    assert newest() == "two"
    assert revision("four") == 9, "a place is not given again"


def test_a_batch_is_begun_once_an_attempt(ledger: Ledger) -> None:
    assert ledger.begin(RUN, "b00000", job=4, attempt=1, now=NOON)
    assert not ledger.begin(RUN, "b00000", job=4, attempt=1, now=LATER), "another delivery is at it"
    begun = BatchRow(batch="b00000", job=4, attempt=1, since=NOON, invocation=None, lost=None, result=None)
    assert ledger.batch(RUN, "b00000") == begun
    there = Invocation(output="s3://work/responses/x.out", failure="s3://work/failures/x.out")
    ledger.invoked(RUN, "b00000", attempt=1, invocation=there)
    row = ledger.batch(RUN, "b00000")
    assert row is not None
    assert row.invocation == there


def test_a_new_attempt_was_not_invoked_and_not_lost(ledger: Ledger) -> None:
    """Else tile would take the first attempt's answer for the second's and never invoke it."""
    send(ledger)
    assert ledger.lose(result("failed"))
    assert ledger.begin(RUN, "b00000", job=0, attempt=2, now=LATER)
    ledger.invoked(RUN, "b00000", attempt=1, invocation=Invocation(output="s3://work/late", failure=None))
    assert ledger.batch(RUN, "b00000") == BatchRow(
        batch="b00000",
        job=0,
        attempt=2,
        since=LATER,
        invocation=None,
        lost=None,
        result=None,
        losses=(result("failed"),),
    )
    assert not ledger.begin(RUN, "b00000", job=0, attempt=1, now=LATER), "an earlier one does not undo a later one"


def test_a_loss_is_the_last_attempts_and_noted_once(ledger: Ledger) -> None:
    plan(ledger)
    assert not ledger.lose(result("failed")), "nothing was sent"
    send(ledger, attempt=2)
    assert not ledger.lose(result("failed", attempt=1))
    assert ledger.lose(result("failed", attempt=2))
    assert not ledger.lose(result("failed", attempt=2))
    assert ledger.close(result("succeeded", attempt=1)) is Closing.CLOSED, "the answer of any attempt is an answer"
    assert not ledger.lose(result("failed", attempt=2))
    row = ledger.batch(RUN, "b00000")
    assert row is not None
    assert (row.lost, row.result) == (None, result("succeeded", attempt=1))


def test_what_was_lost_is_remembered_after_the_end(ledger: Ledger) -> None:
    """Else nobody could tell, of a scene that healed, what had happened to it."""
    plan(ledger)
    lost = [result("failed", attempt=attempt, message=f"try {attempt}", found="reconcile") for attempt in (1, 2)]
    for attempt, loss in enumerate(lost, start=1):
        send(ledger, attempt=attempt)
        assert ledger.lose(loss)
        assert not ledger.lose(loss)
    send(ledger, attempt=3)
    assert ledger.close(result("succeeded", attempt=3)) is Closing.CLOSED
    row = ledger.batch(RUN, "b00000")
    assert row is not None
    assert row.losses == tuple(lost)


@pytest.mark.parametrize("status", ["succeeded", "failed", "nothing-sent"])
def test_a_batch_ends_once_and_is_counted_once(ledger: Ledger, status: str) -> None:
    plan(ledger)
    send(ledger)
    assert ledger.close(result(status)) is Closing.CLOSED
    assert ledger.close(result(status)) is Closing.KNOWN
    assert row_of(ledger).open == 2
    row = ledger.batch(RUN, "b00000")
    assert row is not None
    assert row.result == result(status)


def test_a_batch_that_was_never_sent_does_not_end(ledger: Ledger) -> None:
    plan(ledger)
    assert ledger.close(result("succeeded")) is Closing.UNKNOWN
    assert row_of(ledger).open == 3
    assert ledger.batch(RUN, "b00000") is None


@pytest.mark.parametrize("state", [RunState.CLAIMED, RunState.SETTLED, RunState.ANNOUNCED])
def test_nothing_is_counted_of_a_run_that_is_not_on_its_way(ledger: Ledger, state: RunState) -> None:
    bring(ledger, state)
    before = row_of(ledger)
    send(ledger)
    assert ledger.close(result("succeeded")) is Closing.KNOWN
    assert row_of(ledger) == before
    row = ledger.batch(RUN, "b00000")
    assert row is not None
    assert row.result is None


SUCCESS, AGAIN = result("succeeded"), result("succeeded", attempt=2)
FAILURE, EXPIRED = result("failed"), result("failed", attempt=2, message="later")


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ([SUCCESS, FAILURE, EXPIRED, AGAIN], SUCCESS),
        ([FAILURE, SUCCESS], SUCCESS),
        ([FAILURE, EXPIRED], EXPIRED),
        ([EXPIRED, FAILURE], EXPIRED),
        ([EXPIRED, SUCCESS, AGAIN], SUCCESS),
        ([FAILURE, AGAIN, SUCCESS], AGAIN),
    ],
)
def test_any_success_ends_a_batch_and_only_its_last_attempts_failure(
    ledger: Ledger, order: list[BatchResult], kept: BatchResult
) -> None:
    plan(ledger)
    send(ledger)
    send(ledger, attempt=2)
    ends = [ledger.close(each) for each in order]
    row = ledger.batch(RUN, "b00000")
    assert row is not None
    assert (row.result, ends.count(Closing.CLOSED), row_of(ledger).open) == (kept, 1, 2)


type Do = Callable[[Ledger, str], Any]


@dataclass(frozen=True)
class Act:
    """One change, and what it is called when it fails."""

    name: str
    do: Do


def _claim(hours: int) -> Do:
    return lambda ledger, run: claim(ledger, NOON + timedelta(hours=hours), run)


def _enter(state: RunState) -> Do:
    return lambda ledger, run: ledger.enter(run, state, due=NOON)


def _hand_out(start: int, stop: int) -> Do:
    return lambda ledger, run: ledger.hand_out(run, start=start, stop=stop, out=stop + 1, due=LATER)


def _begin(batch: str, attempt: int) -> Do:
    return lambda ledger, run: ledger.begin(run, batch, job=0, attempt=attempt, now=NOON)


def _close(batch: str, attempt: int, status: str) -> Do:
    return lambda ledger, run: ledger.close(result(status, batch, attempt, run))


def _lose(batch: str, attempt: int) -> Do:
    return lambda ledger, run: ledger.lose(result("failed", batch, attempt, run))


def _acts() -> list[Act]:
    acts = [
        Act("claim", _claim(0)),
        Act("planned", lambda ledger, run: ledger.planned(run, jobs=2, batches=3, due=NOON)),
        Act("claim later", _claim(1)),
        Act("release", lambda ledger, run: ledger.release(run, lease_until=NOON + LEASE)),
        Act("refuse", lambda ledger, run: ledger.refuse(run, lease_until=NOON + LEASE)),
        Act("postpone", lambda ledger, run: ledger.postpone(run, due=LATER, until=NOON, look=NOON)),
        Act("announced", lambda ledger, run: ledger.announced(run, PARTIAL, now=LATER)),
    ]
    acts += [Act(f"jobs {start} to {stop}", _hand_out(start, stop)) for start, stop in ((0, 1), (1, 2), (0, 2))]
    acts += [Act(f"enter {to}", _enter(to)) for to in (RunState.SETTLED, RunState.COMMITTED)]
    for batch, attempt in (("b00000", 1), ("b00000", 2), ("b00001", 1), ("b00002", 1)):
        acts.append(Act(f"begin {batch} {attempt}", _begin(batch, attempt)))
        acts.append(Act(f"lose {batch} {attempt}", _lose(batch, attempt)))
        for status in ("succeeded", "failed"):
            acts.append(Act(f"close {batch} {attempt} {status}", _close(batch, attempt, status)))
    return acts


ACTS = _acts()


@moto_examples
@given(st.lists(st.sampled_from(ACTS), min_size=5, max_size=40))
def test_the_ledger_in_memory_does_what_the_table_does(cloud: Cloud, acts: list[Act]) -> None:
    run, memory = next(RUNS), MemoryLedger()
    for act in (*ACTS[:2], *acts):
        assert act.do(cloud.ledger, run) == act.do(memory, run), act.name
        assert cloud.ledger.run(run) == memory.run(run), act.name
        assert list(cloud.ledger.batches(run)) == list(memory.batches(run)), act.name
