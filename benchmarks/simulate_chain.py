"""The chain as a discrete event simulation: the shipped admission, settling and reconcile over a ledger in memory.

Plan, tile, collect and the endpoint are played: each is a time, and the calls of the ledger that the step makes, in
its order. Nothing is killed; a share of notifications is lost, so that the reconciler has something to find.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from random import Random
from typing import Any, Final

from benchmarks.simulate_arrivals import DAY, HOUR
from benchmarks.simulate_ledger import StateLedger, counted
from benchmarks.simulate_ports import PlayedObjects, Scene, Sender
from benchmarks.simulate_queues import MINUTE, Endpoint, Lane, Scaling
from benchmarks.simulate_work import Batches, Seconds
from tests.faults.timeline import Timeline

from clayline.run.cost import START_MINUTES
from clayline.run.ledger import Invocation, Outcome, RunRow
from clayline.run.result import BatchResult
from clayline.run.state import PATIENCE, RunState
from clayline.steps.admission import Admission
from clayline.steps.reconciling import Reconciling
from clayline.steps.settling import Settling

WORK: Final = "work"
LEASE: Final = timedelta(minutes=5)
SETTLE_MOST: Final = 10
GIVES_UP: Final = 2 * DAY
"""After the last scene has landed: what has not ended by then does not end."""
WAITS_SECONDS: Final = {"ledger": 0.01, "objects": 0.05, "scene": 0.02, "tile": 0.02, "settled": 0.02}
"""How long the reconciler waits for each kind of call; assumed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the stack is deployed with, and what is assumed."""

    most_in_flight: int = 8000
    most_instances: int = 6
    backlog_per_instance: int = 5
    plan_at_once: int = 5
    tile_at_once: int = 60
    settle_at_once: int = 5
    collect_at_once: int = 5
    request_ttl: float = 6 * HOUR
    invocation_timeout: float = 900.0
    patience: timedelta = PATIENCE
    chips_per_second: float = 230.0
    """Of one instance."""
    gpu_factor: float = 1.0
    """How many times as long the GPU takes."""
    lost: float = 1e-4
    """Share of notifications that never come."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the endpoint computes."""

    run: str
    batch: int
    attempt: int


@dataclass(kw_only=True)
class Minutes:
    """What was so at each look, once a minute."""

    at: array[float] = field(default_factory=lambda: array("d"))
    waiting: array[float] = field(default_factory=lambda: array("d"))
    in_flight: array[float] = field(default_factory=lambda: array("d"))
    tile_age: array[float] = field(default_factory=lambda: array("d"))
    endpoint_age: array[float] = field(default_factory=lambda: array("d"))
    instances: array[float] = field(default_factory=lambda: array("d"))
    pass_seconds: array[float] = field(default_factory=lambda: array("d"))
    """How long the reconciler's pass takes."""


class Chain:
    """Queues, functions, ledger, endpoint, and what was seen of them."""

    def __init__(self, settings: Settings, *, seed: int, seconds: Seconds) -> None:
        """``seed`` decides what the settings leave to chance."""
        self.settings, self._seconds = settings, seconds
        self._chance = Random(f"{seed} chain")  # noqa: S311 - it replays
        self.timeline = clock = Timeline(self._chance)
        self.scenes: dict[str, Scene] = {}
        self.ledger = StateLedger(handed=self._handed)
        self.objects = PlayedObjects(self.scenes)
        self.calls: Counter[str] = Counter()
        """Of the reconciler, by port and method."""
        self.minutes = Minutes()
        self.in_line, self.idle, self.whole = array("f"), array("f"), array("f")
        """Seconds from plan to the last job handed out; the longest that a run waited for a job; landing to the end."""
        self.ended: list[tuple[float, float, Batches]] = []
        """Of each scene when it landed, when it was announced, and its work."""
        self.looked: Counter[str] = Counter()
        """Runs that passes looked at, by state."""
        self._last = 0.0
        self.scene_lane: Lane[tuple[str, int | None]] = Lane(
            clock, at_once=settings.plan_at_once, seconds=self._begin_plan, done=self._plan
        )
        self.tile_lane: Lane[tuple[str, int | None]] = Lane(
            clock, at_once=settings.tile_at_once, seconds=self._tile_seconds, done=self._tile
        )
        self.result_lane: Lane[BatchResult] = Lane(
            clock, at_once=settings.settle_at_once, most=SETTLE_MOST, done=self._settle,
            seconds=lambda results: len(results) * seconds.settle,
        )  # fmt: skip
        self.settled_lane: Lane[tuple[str, int | None]] = Lane(
            clock, at_once=settings.collect_at_once, seconds=self._collect_seconds, done=self._collect
        )
        self.endpoint: Endpoint[Request] = Endpoint(
            clock,
            scaling=Scaling(
                most=settings.most_instances, target=settings.backlog_per_instance, start=START_MINUTES * MINUTE
            ),
            ttl=settings.request_ttl,
            seconds=self._gpu_seconds,
            answer=self._answered,
        )
        self._admission = Admission(
            ledger=self.ledger, tile_queue=Sender(self.tile_lane), clock=clock, patience=settings.patience,
            most_in_flight=settings.most_in_flight,
        )  # fmt: skip
        self._settling = Settling(
            ledger=self.ledger, objects=self.objects, tile_queue=Sender(self.tile_lane), clock=clock,
            settled_queue=Sender(self.settled_lane), work_bucket=WORK, patience=settings.patience,
        )  # fmt: skip

    @cached_property
    def _reconciling(self) -> Reconciling:
        """Reconcile over ports that count."""
        ledger = counted("ledger", self.ledger, self.calls)
        objects = counted("objects", self.objects, self.calls)
        tile = counted("tile", Sender(self.tile_lane), self.calls)
        settled = counted("settled", Sender(self.settled_lane), self.calls)
        return Reconciling(
            ledger=ledger, objects=objects, tile_queue=tile, settled_queue=settled, clock=self.timeline,
            scene_queue=counted("scene", Sender(self.scene_lane), self.calls), work_bucket=WORK,
            settling=replace(self._settling, ledger=ledger, objects=objects, tile_queue=tile, settled_queue=settled),
            admission=Admission(
                ledger=ledger, tile_queue=tile, clock=self.timeline, patience=self.settings.patience,
                most_in_flight=self.settings.most_in_flight,
            ), patience=self.settings.patience,
            answer_within=timedelta(seconds=self.settings.request_ttl + self.settings.invocation_timeout),
        )  # fmt: skip

    def land(self, work: Batches, at: float) -> None:
        """Let a scene land at that second."""
        run = f"{self._chance.getrandbits(128):032x}"
        self._last = max(self._last, at)

        def put() -> None:
            self.scenes[run] = Scene(work=work, landed=at)
            self.scene_lane.put((run, None))

        self.timeline.after(at, put)

    def run(self) -> int:
        """Let everything happen; gives how many scenes did not end."""
        self.timeline.after(MINUTE, self._minute)
        self.timeline.run()
        return len(self.scenes)

    def _minute(self) -> None:
        now, before = self.timeline.seconds, self.calls.copy()
        self.looked += self._reconciling.reconcile()
        asked = self.calls - before
        seconds = sum(count * WAITS_SECONDS[name.partition(".")[0]] for name, count in asked.items())
        self.endpoint.look()
        seen = self.minutes
        in_flight = self.ledger.in_flight
        for kept, value in (
            (seen.at, now), (seen.waiting, self.ledger.count(RunState.WAITING)), (seen.in_flight, in_flight),
            (seen.tile_age, self.tile_lane.oldest), (seen.endpoint_age, self.endpoint.oldest),
            (seen.instances, self.endpoint.paid), (seen.pass_seconds, seconds),
        ):  # fmt: skip
            kept.append(value)
        if now <= self._last or (self.scenes and now < self._last + GIVES_UP):
            self.timeline.after(MINUTE, self._minute)

    # ------------------------------------------------------------------------------------------------ plan
    def _begin_plan(self, bodies: list[tuple[str, int | None]]) -> float:
        run, now = bodies[0][0], self.timeline()
        lease = now + LEASE
        self.ledger.claim(run, scene=run, origin="", now=now, lease_until=lease, due=lease + self.settings.patience)
        return self._seconds.plan(self.scenes[run].work)

    def _plan(self, bodies: list[tuple[str, int | None]]) -> None:
        """What ``Planning`` does once the plan is stored."""
        run = bodies[0][0]
        scene = self.scenes[run]
        scene.planned = scene.handed = self.timeline.seconds
        self.ledger.planned(run, jobs=len(scene.work.jobs), batches=len(scene.work.chips), due=self.timeline())
        row = self.ledger.run(run)
        assert row
        self._admission.admit(row, scene.work.by_job, self._admission.line())

    def _handed(self, before: RunRow, after: RunRow) -> None:
        scene, now = self.scenes[after.run], self.timeline.seconds
        self.idle.append(now - scene.handed)
        scene.handed = now
        if after.state is RunState.RUNNING:
            self.in_line.append(now - scene.planned)
        assert before.handed < after.handed

    # ------------------------------------------------------------------------------------------------ tile, endpoint
    def _tile_seconds(self, bodies: list[tuple[str, int | None]]) -> float:
        run, job = bodies[0]
        assert job is not None
        return self._seconds.tile(self.scenes[run].work, job) if run in self.scenes else self._seconds.nothing

    def _tile(self, bodies: list[tuple[str, int | None]]) -> None:
        """What ``Tiling`` does with each batch: row, invocation, where its answer will be."""
        run, job = bodies[0]
        if run not in self.scenes or job is None:
            return
        work = self.scenes[run].work
        for batch in work.jobs[job]:
            row = self.ledger.batch(run, work.names[batch])
            if row and (row.result or (row.lost is None and row.invocation)):
                continue
            attempt = row.attempt + 1 if row else 1
            name = work.names[batch]
            self.ledger.begin(run, name, job=job, attempt=attempt, now=self.timeline())
            self.endpoint.invoke(Request(run=run, batch=batch, attempt=attempt))
            invocation = Invocation(output=_answer_at(run, batch, attempt), failure=_answer_at(run, batch, -attempt))
            self.ledger.invoked(run, name, attempt=attempt, invocation=invocation)

    def _gpu_seconds(self, request: Request) -> float:
        chips = self.scenes[request.run].work.chips[request.batch]
        return chips / self.settings.chips_per_second * self.settings.gpu_factor

    def _answered(self, request: Request, is_computed: bool) -> None:  # noqa: FBT001 - as the endpoint says it
        output = _answer_at(request.run, request.batch, request.attempt)
        scene = self.scenes.get(request.run)
        if scene is None:
            return
        if is_computed:
            self.objects.answers.add(output)
        if self._chance.random() < self.settings.lost:
            return  # reconcile finds it
        name = scene.work.names[request.batch]
        how: dict[str, Any] = (
            {"status": "succeeded", "output": output}
            if is_computed
            else {"status": "failed", "reason": "request-expired"}
        )
        self.result_lane.put(BatchResult(run=request.run, batch=name, attempt=request.attempt, **how))

    # ------------------------------------------------------------------------------------------------ settle, collect
    def _settle(self, results: list[BatchResult]) -> None:
        for result in results:
            self._settling.settle(result)

    def _collect_seconds(self, bodies: list[tuple[str, int | None]]) -> float:
        run = bodies[0][0]
        return self._seconds.collect(self.scenes[run].work) if run in self.scenes else self._seconds.nothing

    def _collect(self, bodies: list[tuple[str, int | None]]) -> None:
        """What ``Collecting`` does to the ledger."""
        run, now = bodies[0][0], self.timeline()
        row = self.ledger.run(run)
        if row is None or not self.ledger.enter(run, RunState.COMMITTED, due=now + self.settings.patience):
            return
        self.ledger.announced(run, Outcome(status="embedded", receipt="", failed=False), now=now)
        scene = self.scenes.pop(run)
        self.ended.append((scene.landed, self.timeline.seconds, scene.work))
        self.whole.append(self.timeline.seconds - scene.landed)
        for each in self.ledger.batches(run):
            assert each.result
            self.objects.answers.discard(each.result.output or "")
        self.ledger.forget(run)


def _answer_at(run: str, batch: int, attempt: int) -> str:
    return f"s3://{WORK}/responses/{run}/{batch}/{attempt}"
