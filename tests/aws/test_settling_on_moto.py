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

from clayline.run.ledger import Stage
from clayline.run.receipt import Settlement
from clayline.run.result import BatchResult, NothingSent, parse_result
from clayline.steps.settling import Settled, Settling

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUNS = (f"{number:032x}" for number in itertools.count(1))
"""Examples share one account: each takes a run of its own."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A planned and enqueued run of three batches.

    The first is answered, the second fails, of the third nothing was sent.
    """

    cloud: Cloud
    run: str

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
            {"batch": "b00000", "status": "succeeded", "output": output, "reason": None, "message": None},
            {
                "batch": "b00001",
                "status": "failed",
                "output": None,
                "reason": "inference-failed",
                "message": "ClientError: 400, model-changed",
            },
            {"batch": "b00002", "status": "nothing-sent", "output": None, "reason": None, "message": None},
        ]

    def settling(self, wrap: Callable[[Any], Any] = lambda port: port) -> Settling:
        cloud = self.cloud
        return Settling(
            ledger=wrap(cloud.ledger), objects=wrap(cloud.objects), settled_queue=wrap(cloud.queue), work_bucket="work"
        )

    def deliver(self, body: str, wrap: Callable[[Any], Any] = lambda port: port) -> Settled:
        return self.settling(wrap).settle(parse_result(body, work_bucket="work"))

    def tile(self, number: int) -> None:
        """Write the batch's row and note its invocation, as tile does."""
        batch = f"b{number:05d}"
        self.cloud.ledger.record_request(self.run, batch, attempt=1, inference_id=identity(batch, 1, self.run))
        if number != 2:
            output = f"s3://work/responses/{identity(batch, 1, self.run)}.out"
            self.cloud.ledger.record_invocation(self.run, batch, attempt=1, output=output)

    def settlements(self) -> list[bytes]:
        """Give every settlement object of this run that was ever written."""
        prefix = f"settlements/{self.run}"
        found = self.cloud.s3.list_objects_v2(Bucket="work", Prefix=prefix).get("Contents", [])
        return [self.cloud.s3.get_object(Bucket="work", Key=entry["Key"])["Body"].read() for entry in found]

    def told(self) -> list[str]:
        """Take the collector's messages."""
        return self.cloud.received()

    def stage(self) -> Stage:
        row = self.cloud.ledger.run(self.run)
        assert row is not None
        return row.stage

    def assert_settled(self) -> None:
        [body] = self.settlements()
        content = json.loads(body)
        assert content == {"format": "clayline-settlement/1", "run": self.run, "batches": self.expected}
        assert Settlement.model_validate_json(body).run == self.run
        told = self.told()
        assert told, "the collector was never told"
        assert all(json.loads(text) == {"run": self.run} for text in told)
        assert self.stage() is Stage.SETTLED


@pytest.fixture
def scenes(cloud: Cloud) -> Iterator[Scene]:
    """Give scene after scene."""

    def make() -> Scene:
        run = next(RUNS)
        cloud.ledger.claim(run, scene="S2A", now=NOW, lease_until=NOW + timedelta(minutes=5))
        cloud.ledger.advance(run, Stage.PLANNED, batches=3)
        cloud.ledger.advance(run, Stage.ENQUEUED)
        return Scene(cloud=cloud, run=run)

    return iter(make, None)


def test_in_order(scenes: Iterator[Scene]) -> None:
    scene = next(scenes)
    for number in range(3):
        scene.tile(number)
    first, second, third = scene.messages
    assert [scene.deliver(first), scene.deliver(second)] == [Settled.WAITING, Settled.WAITING]
    assert scene.settlements() == []
    assert scene.told() == []
    assert scene.deliver(third) is Settled.COMPLETE
    scene.assert_settled()


@moto_examples
@given(data=st.data())
def test_any_order_any_repeats_and_rows_at_any_time(scenes: Iterator[Scene], data: st.DataObject) -> None:
    """Tile's rows (3, 4, 5) come anywhere among the results (0, 1, 2), and results come once or more."""
    scene = next(scenes)
    repeats = data.draw(st.lists(st.integers(0, 2), max_size=5))
    order = data.draw(st.permutations([*range(6), *repeats]))
    seen: set[int] = set()
    for step in order:
        if step >= 3:
            scene.tile(step - 3)
            continue
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


CALLS = 3 * 3 + 4
"""Three messages of three ledger calls; the last also reads the batches, writes, sends and advances."""


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
    """Redrive may use it before the GPU; the collector's input stays what it was."""
    scene = next(scenes)
    for message in scene.messages:
        scene.deliver(message)
    before = scene.settlements()
    assert scene.deliver(raw(notification(batch="b00001", attempt=2, run=scene.run))) is Settled.COMPLETE
    assert scene.settlements() == before
    row = scene.cloud.ledger.batch(scene.run, "b00001")
    assert row is not None
    assert row.result is not None
    assert (row.result.status, row.result.attempt) == ("succeeded", 2)
    scene.assert_settled()


def test_a_success_before_the_last_result_holds_over_a_failure(scenes: Iterator[Scene]) -> None:
    scene = next(scenes)
    first, second, third = scene.messages
    scene.deliver(second)
    scene.deliver(raw(notification(batch="b00001", attempt=2, run=scene.run)))
    scene.deliver(first)
    assert scene.deliver(third) is Settled.COMPLETE
    [body] = scene.settlements()
    assert [entry["status"] for entry in json.loads(body)["batches"]] == ["succeeded", "succeeded", "nothing-sent"]


def test_after_the_event_a_result_is_noted_and_nobody_is_told(scenes: Iterator[Scene]) -> None:
    scene = next(scenes)
    for message in scene.messages:
        scene.deliver(message)
    scene.cloud.ledger.advance(scene.run, Stage.ANNOUNCED)
    scene.told()
    assert scene.deliver(scene.messages[0]) is Settled.COLLECTED
    assert scene.deliver(raw(notification(batch="b00001", attempt=2, run=scene.run))) is Settled.COLLECTED
    assert scene.told() == []
    assert scene.stage() is Stage.ANNOUNCED
    row = scene.cloud.ledger.batch(scene.run, "b00001")
    assert row is not None
    assert row.result is not None
    assert row.result.status == "succeeded"


def test_a_run_nobody_knows_leaves_nothing_behind(cloud: Cloud) -> None:
    scene = Scene(cloud=cloud, run="f" * 32)
    for message in scene.messages:
        assert scene.deliver(message) is Settled.UNKNOWN_RUN
    assert cloud.table.scan()["Items"] == []
    assert scene.settlements() == []
    assert scene.told() == []


@pytest.mark.parametrize("batch", ["b00003", "b99999", "b123456789"])
def test_a_batch_that_the_plan_does_not_have_settles_nothing(scenes: Iterator[Scene], batch: str) -> None:
    scene = next(scenes)
    scene.deliver(scene.messages[0])
    scene.deliver(scene.messages[1])
    assert scene.deliver(raw(notification(batch=batch, run=scene.run))) is Settled.UNKNOWN_RUN
    assert scene.cloud.ledger.batch(scene.run, batch) is None
    row = scene.cloud.ledger.run(scene.run)
    assert row is not None
    assert row.settled == {"b00000", "b00001"}
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


def test_a_set_that_names_a_batch_without_a_result_is_no_settlement(scenes: Iterator[Scene]) -> None:
    """Only a hand in the table can do that: better no settlement than an invented one."""
    scene = next(scenes)
    for message in scene.messages[:2]:
        scene.deliver(message)
    scene.cloud.ledger.settle(scene.run, "b00002")
    with pytest.raises(RuntimeError, match="b00002"):
        scene.deliver(scene.messages[0])
    assert scene.settlements() == []
    assert scene.deliver(scene.messages[2]) is Settled.COMPLETE
    scene.assert_settled()


def test_a_result_says_what_it_says(scenes: Iterator[Scene]) -> None:
    """The third message carries neither place nor reason, and the ledger gives it back so."""
    scene = next(scenes)
    scene.deliver(scene.messages[2])
    row = scene.cloud.ledger.batch(scene.run, "b00002")
    assert row is not None
    assert row.result == BatchResult(run=scene.run, batch="b00002", attempt=1, status="nothing-sent")
