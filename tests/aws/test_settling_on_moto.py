"""Settling against moto.

Whatever comes twice, late, early or is killed between two writes, a run is settled once and in the same way.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.aws.conftest import Cloud, moto_examples
from tests.run.notifications import identity, notification, raw

from clayline.run.ledger import Invocation, Outcome, RunRow
from clayline.run.receipt import Settlement
from clayline.run.result import BatchResult, NothingSent, parse_result
from clayline.run.state import RunState
from clayline.steps.settling import Settled, Settling

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE = timedelta(minutes=5)
RUNS = (f"{number:032x}" for number in itertools.count(1))
"""Examples share one account: each takes a run of its own."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A planned and enqueued run of three batches.

    The first is answered, the second fails, of the third nothing was sent.
    """

    cloud: Cloud
    run: str
    max_attempts: int = 1

    @property
    def messages(self) -> list[str]:
        return [
            raw(notification(batch="b00000", run=self.run)),
            raw(notification("Failed", batch="b00001", run=self.run)),
            NothingSent(run=self.run, batch="b00002", attempt=1).model_dump_json(),
        ]

    @property
    def expected(self) -> list[dict[str, Any]]:
        output = f"s3://work/responses/{identity('b00000', 1, self.run)}.out"
        return [
            {
                "batch": "b00000",
                "status": "succeeded",
                "output": output,
                "reason": None,
                "message": None,
                "attempts": 1,
            },
            {
                "batch": "b00001",
                "status": "failed",
                "output": None,
                "reason": "inference-failed",
                "message": "ClientError: 400, model-changed",
                "attempts": 1,
            },
            {
                "batch": "b00002",
                "status": "nothing-sent",
                "output": None,
                "reason": None,
                "message": None,
                "attempts": 0,
            },
        ]

    def settling(self, wrap: Callable[[Any], Any] = lambda port: port) -> Settling:
        cloud = self.cloud
        return Settling(
            ledger=wrap(cloud.ledger),
            objects=wrap(cloud.objects),
            tile_queue=wrap(cloud.tile_queue),
            settled_queue=wrap(cloud.queue),
            clock=lambda: NOW,
            work_bucket="work",
            max_attempts=self.max_attempts,
        )

    def deliver(self, body: str, wrap: Callable[[Any], Any] = lambda port: port) -> Settled:
        return self.settling(wrap).settle(parse_result(body, work_bucket="work"))

    def tile(self, number: int, attempt: int = 1) -> None:
        """Write the batch's row and note its invocation, as tile does."""
        batch = f"b{number:05d}"
        assert self.cloud.ledger.begin(self.run, batch, job=number, attempt=attempt, now=NOW)
        if number != 2:
            there = Invocation(output=f"s3://work/responses/{identity(batch, attempt, self.run)}.out", failure=None)
            self.cloud.ledger.invoked(self.run, batch, attempt=attempt, invocation=there)

    def settlements(self) -> list[bytes]:
        """Give every settlement object of this run that was ever written."""
        prefix = f"settlements/{self.run}"
        found = self.cloud.s3.list_objects_v2(Bucket="work", Prefix=prefix).get("Contents", [])
        return [self.cloud.s3.get_object(Bucket="work", Key=entry["Key"])["Body"].read() for entry in found]

    def told(self) -> list[str]:
        """Take the collector's messages."""
        return self.cloud.received()

    def row(self) -> RunRow:
        row = self.cloud.ledger.run(self.run)
        assert row is not None
        return row

    def assert_settled(self) -> None:
        [body] = self.settlements()
        content = json.loads(body)
        at = {"at": "2026-11-22T12:00:00Z"}
        assert content == {"format": "clayline-settlement/2", "run": self.run, **at, "batches": self.expected}
        assert Settlement.model_validate_json(body).run == self.run
        told = self.told()
        assert told, "the collector was never told"
        assert all(json.loads(text) == {"run": self.run} for text in told)
        assert (self.row().state, self.row().open) == (RunState.SETTLED, 0)


@pytest.fixture
def scenes(cloud: Cloud) -> Iterator[Scene]:
    """Give scene after scene."""

    def make() -> Scene:
        scene = planned(cloud)
        for number in range(3):
            scene.tile(number)
        return scene

    return iter(make, None)


def planned(cloud: Cloud, **how: Any) -> Scene:
    """Plan a run of three jobs of a batch each, and hand them out."""
    run, ledger = next(RUNS), cloud.ledger
    ledger.claim(run, scene="S2A", origin="{}", now=NOW, lease_until=NOW + LEASE, due=NOW + LEASE)
    ledger.planned(run, jobs=3, batches=3, due=NOW)
    assert ledger.hand_out(run, start=0, stop=3, out=3, due=NOW)
    return Scene(cloud=cloud, run=run, **how)


def test_in_order(scenes: Iterator[Scene]) -> None:
    scene = next(scenes)
    first, second, third = scene.messages
    assert [scene.deliver(first), scene.deliver(second)] == [Settled.WAITING, Settled.WAITING]
    assert scene.settlements() == []
    assert scene.told() == []
    assert scene.deliver(third) is Settled.COMPLETE
    scene.assert_settled()


@moto_examples
@given(data=st.data())
def test_any_order_any_repeats(scenes: Iterator[Scene], data: st.DataObject) -> None:
    scene = next(scenes)
    repeats = data.draw(st.lists(st.integers(0, 2), max_size=5))
    seen: set[int] = set()
    for step in data.draw(st.permutations([*range(3), *repeats])):
        seen.add(step)
        answer = scene.deliver(scene.messages[step])
        assert answer is (Settled.COMPLETE if len(seen) == 3 else Settled.WAITING)
        assert bool(scene.settlements()) == (len(seen) == 3)
    scene.assert_settled()


class Killed(BaseException):
    """The process is gone."""


class Fault:
    """Wraps ports; kills once, before or after the n-th call to any of them takes effect."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.calls = 0

    def wrap(self, port: object) -> Any:
        fault = self

        class Faulty:
            def __getattr__(self, name: str) -> Any:
                return lambda *args, **kwargs: fault.call(getattr(port, name), *args, **kwargs)

        return Faulty()

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        due = self.calls == self.at
        if due and not self.after:
            raise Killed
        answer = method(*args, **kwargs)
        if due:
            raise Killed
        return answer


CALLS = 2 + 3 + 2 + 4
"""Three messages of two ledger calls, and a failure reads its batch; the last also reads the batches, writes, changes
the state and sends."""


def test_the_calls_are_counted_right(scenes: Iterator[Scene]) -> None:
    fault = Fault(0, after=False)
    scene = next(scenes)
    for message in scene.messages:
        scene.deliver(message, fault.wrap)
    assert fault.calls == CALLS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, CALLS + 1))
def test_a_kill_at_any_call_and_the_message_again(scenes: Iterator[Scene], at: int, *, after: bool) -> None:
    scene, fault = next(scenes), Fault(at, after=after)
    killed = 0
    for message in scene.messages:
        try:
            scene.deliver(message, fault.wrap)
        except Killed:
            killed += 1
            scene.deliver(message, fault.wrap)
    assert killed == 1
    scene.assert_settled()


@pytest.mark.parametrize("at", range(1, CALLS + 1))
def test_a_kill_and_the_message_again_only_after_all_others(scenes: Iterator[Scene], at: int) -> None:
    """SQS gives it back when its visibility runs out, by then the rest is through."""
    scene, fault = next(scenes), Fault(at, after=True)
    again = []
    for message in scene.messages:
        try:
            scene.deliver(message, fault.wrap)
        except Killed:
            again.append(message)
    for message in again:
        scene.deliver(message)
    assert len(again) == 1
    scene.assert_settled()


def test_a_success_after_the_settlement_changes_the_ledger_and_not_the_settlement(scenes: Iterator[Scene]) -> None:
    """The collector's input stays what it was."""
    scene = next(scenes)
    for message in scene.messages:
        scene.deliver(message)
    before = scene.settlements()
    assert scene.deliver(raw(notification(batch="b00001", run=scene.run))) is Settled.COMPLETE
    assert scene.settlements() == before
    row = scene.cloud.ledger.batch(scene.run, "b00001")
    assert row is not None
    assert row.result is not None
    assert row.result.status == "succeeded"
    scene.assert_settled()


def test_a_success_before_the_last_result_holds_over_a_failure(scenes: Iterator[Scene]) -> None:
    scene = next(scenes)
    first, second, third = scene.messages
    scene.deliver(second)
    scene.deliver(raw(notification(batch="b00001", run=scene.run)))
    scene.deliver(first)
    assert scene.deliver(third) is Settled.COMPLETE
    [body] = scene.settlements()
    assert [entry["status"] for entry in json.loads(body)["batches"]] == ["succeeded", "succeeded", "nothing-sent"]


def failure(scene: Scene, attempt: int) -> str:
    return raw(notification("Failed", batch="b00001", attempt=attempt, run=scene.run, failureReason="out of memory"))


def test_a_failed_attempt_is_followed_by_another_until_they_are_used_up(cloud: Cloud) -> None:
    scene = planned(cloud, max_attempts=2)
    scene.tile(1)
    assert scene.deliver(failure(scene, 1)) is Settled.RETRIED
    assert scene.deliver(failure(scene, 1)) is Settled.RETRIED, "the message to tile may have been lost"
    assert scene.row().open == 3
    scene.tile(1, attempt=2)
    assert scene.deliver(failure(scene, 1)) is Settled.WAITING, "an old attempt's failure says nothing of this one"
    assert scene.row().open == 3
    assert scene.deliver(failure(scene, 2)) is Settled.WAITING
    assert scene.row().open == 2
    row = scene.cloud.ledger.batch(scene.run, "b00001")
    assert row is not None
    assert row.result is not None
    assert (row.result.reason, row.result.attempt) == ("inference-failed", 2)


def test_the_answer_of_an_old_attempt_is_an_answer(cloud: Cloud) -> None:
    """Tile was killed between the invocation and its note: two are out, the first fails, the second answers."""
    scene = planned(cloud)
    scene.tile(1)
    scene.tile(1, attempt=2)
    assert scene.deliver(failure(scene, 1)) is Settled.WAITING
    assert scene.row().open == 3, "the batch is not over"
    assert scene.deliver(raw(notification(batch="b00001", attempt=2, run=scene.run))) is Settled.WAITING
    assert scene.row().open == 2
    row = scene.cloud.ledger.batch(scene.run, "b00001")
    assert row is not None
    assert row.result is not None
    assert row.result.status == "succeeded"


def test_another_model_fails_a_batch_at_once(cloud: Cloud) -> None:
    scene = planned(cloud, max_attempts=5)
    scene.tile(1)
    said = 'ClientError: 400 {"reason": "model-changed"}'
    body = raw(notification("Failed", batch="b00001", run=scene.run, failureReason=said))
    assert scene.deliver(body) is Settled.WAITING
    assert scene.row().open == 2


@pytest.mark.parametrize("state", [RunState.COMMITTED, RunState.ANNOUNCED])
def test_after_the_end_a_result_is_noted_and_nobody_is_told(scenes: Iterator[Scene], state: RunState) -> None:
    scene = next(scenes)
    for message in scene.messages:
        scene.deliver(message)
    assert scene.cloud.ledger.enter(scene.run, RunState.COMMITTED, due=NOW)
    if state is RunState.ANNOUNCED:
        scene.cloud.ledger.announced(scene.run, Outcome(status="s", receipt="r", failed=False), now=NOW)
    scene.told()
    assert scene.deliver(scene.messages[0]) is Settled.COLLECTED
    assert scene.deliver(raw(notification(batch="b00001", run=scene.run))) is Settled.COLLECTED
    assert scene.told() == []
    assert scene.row().state is state


def test_a_run_nobody_knows_leaves_nothing_behind(cloud: Cloud) -> None:
    scene = Scene(cloud=cloud, run="f" * 32)
    for message in scene.messages:
        assert scene.deliver(message) is Settled.UNKNOWN_RUN
    assert cloud.table.scan()["Items"] == []
    assert scene.settlements() == []
    assert scene.told() == []


@pytest.mark.parametrize("batch", ["b00003", "b99999", "b123456789"])
def test_a_batch_that_was_never_sent_settles_nothing(scenes: Iterator[Scene], batch: str) -> None:
    scene = next(scenes)
    scene.deliver(scene.messages[0])
    scene.deliver(scene.messages[1])
    for status in ("Completed", "Failed"):
        assert scene.deliver(raw(notification(status, batch=batch, run=scene.run))) is Settled.UNKNOWN_RUN
    assert scene.cloud.ledger.batch(scene.run, batch) is None
    assert scene.row().open == 1
    assert scene.settlements() == []


def test_the_settlement_of_another_run_is_another_object(scenes: Iterator[Scene]) -> None:
    one, two = next(scenes), next(scenes)
    for first, second in zip(one.messages, two.messages, strict=True):
        one.deliver(first)
        two.deliver(second)
    assert {json.loads(body)["run"] for body in one.told()} == {one.run, two.run}
    assert [json.loads(body)["batches"] for scene in (one, two) for body in scene.settlements()] == [
        one.expected,
        two.expected,
    ]


def test_a_count_that_does_not_fit_is_no_settlement(cloud: Cloud) -> None:
    """Only a hand in the table can do that: better no settlement than an invented one."""
    scene = planned(cloud)
    scene.tile(0)
    scene.tile(1)
    scene.deliver(scene.messages[1])
    cloud.table.update_item(
        Key={"pk": f"run#{scene.run}", "sk": "scene"},
        UpdateExpression="SET #open = :one",
        ExpressionAttributeNames={"#open": "open"},
        ExpressionAttributeValues={":one": 1},
    )
    with pytest.raises(RuntimeError, match="2 of 3"):
        scene.deliver(scene.messages[0])
    assert scene.settlements() == []


def test_a_result_says_what_it_says(scenes: Iterator[Scene]) -> None:
    """The third message carries neither place nor reason, and the ledger gives it back so."""
    scene = next(scenes)
    scene.deliver(scene.messages[2])
    row = scene.cloud.ledger.batch(scene.run, "b00002")
    assert row is not None
    assert row.result == BatchResult(run=scene.run, batch="b00002", attempt=1, status="nothing-sent")
