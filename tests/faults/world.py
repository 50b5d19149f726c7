"""The chain in one process and one thread: the shipped steps over ports in memory, each behind the injector."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final, Self

from tests.faults.endpoint import TTL, PlayedEndpoint
from tests.faults.entrances import KEPT, WORK, Entrances, Landed
from tests.faults.imagery import COGS, SCENES, MemoryHeaders, MemoryPixels, read_band
from tests.faults.injection import CrashedError, Injector, Killed
from tests.faults.model import Model
from tests.faults.profile import Profile
from tests.faults.queues import GivenBack, MemoryQueue, Message, SendingEnd
from tests.faults.storage import Storage
from tests.faults.tables import Table
from tests.faults.timeline import DAY, Timeline
from tests.run.memory_ledger import MemoryLedger

from clayline.aws.messages import wait_before_again
from clayline.errors import TransientError
from clayline.run.encoding import VectorEncoding
from clayline.run.plan import Thresholds
from clayline.run.result import UnknownResultError, parse_result
from clayline.scene.radiometry import BoaOverride
from clayline.steps import gathering
from clayline.steps.admission import Admission
from clayline.steps.collecting import Collecting, SettledRun
from clayline.steps.options import PlanOptions
from clayline.steps.planning import Planning
from clayline.steps.receiving import Receiving
from clayline.steps.reconciling import Reconciling
from clayline.steps.settling import Settling
from clayline.steps.tiling import TileJob, Tiling

OUT: Final = "embeddings"
RECEIVES: Final = 5
TIMEOUTS: Final = {"plan": 240.0, "tile": 300.0, "settle": 60.0, "collect": 900.0, "reconcile": 300.0}
VISIBILITY: Final = {"scene": 1440.0, "tile": 1800.0, "result": 360.0, "settled": 5400.0}
MOST: Final = {"scene": 1, "tile": 1, "result": 10, "settled": 1}
"""All three as in template.yaml, with which a test compares them."""
LEASE: Final = 300.0
_BETWEEN_PASSES: Final = 300.0
_GIVES_UP: Final = 1.5 * DAY
"""After so long without an end there is none; three requests expire in less."""
_ENOUGH: Final = 20
"""Errors that no fault explains: nothing is to be learnt from more."""
OPTIONS: Final = PlanOptions(
    work_bucket=WORK, embeddings_bucket=OUT, allowed_buckets=frozenset({SCENES}), any_gsd=False,
    any_pixel_shape=False, boa=BoaOverride.AUTO, tiff_datetime=False, creator="the faults", thresholds=Thresholds(),
    retry_failed=True, encoding=VectorEncoding.PORTABLE, lease=timedelta(seconds=LEASE), chips_per_batch=2,
    memory_budget=12_000, asset_wait=timedelta(minutes=20),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What EventBridge took."""

    kind: str
    detail: dict[str, Any]
    at: float
    """Seconds."""


class _Announcer:
    """The port Announcer."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def announce(self, detail_type: str, detail: Any) -> None:
        at = self._world.timeline.seconds
        event = Event(kind=detail_type, detail=json.loads(json.dumps(detail)), at=at)
        self._world.events.append(event)
        self._world.watch.announced(event)


class Watch:
    """What looks at each write as it is done. This one sees nothing; verdict.py has one that does."""

    def announced(self, event: Event) -> None:
        """See an event."""

    def written(self, uri: str) -> None:
        """See an output."""


class _Watched(Storage):
    watch: Callable[[str], None]

    def put_new(self, uri: str, body: bytes | Path, *, run: str, content_type: str) -> bool:
        made = super().put_new(uri, body, run=run, content_type=content_type)
        self.watch(uri)
        return made


class World:
    """Buckets, queues, ledger, endpoint, and the functions between them."""

    def __init__(
        self, profile: Profile, *, seed: str, models: tuple[Model, ...], table: Table, scratch: Path,
        planned: datetime | None = None,
    ) -> None:  # fmt: skip
        """Plan uses the first of ``models``; the endpoint serves all. ``planned`` stops plan's clock."""
        chance = Random(seed)
        self.profile = profile
        self.chance = chance
        self.timeline = Timeline(chance)
        self.injector = Injector(profile.rates, chance=chance, timeline=self.timeline, heals_after=profile.heals_after)
        self.storage = _Watched(self.timeline, work_bucket=WORK)
        self.ledger = MemoryLedger()
        self.table, self.scratch, self.watch = table, scratch, Watch()
        self.storage.watch = lambda uri: self.watch.written(uri)  # noqa: PLW0108 - the watch is set later
        self.model = models[0]
        self.events: list[Event] = []
        self.landed: list[Landed] = []
        self.ordered: Counter[str] = Counter()
        """Runs of each scene that were ordered to be computed again where they failed."""
        self.unforeseen: list[str] = []
        """Errors that no fault explains."""
        takes = {"scene": self._plan, "tile": self._tile, "result": self._settle, "settled": self._collect}
        names = {"scene": "plan", "tile": "tile", "result": "settle", "settled": "collect"}
        self.queues = {
            name: MemoryQueue(
                name, consume=self._consumer(names[name], take), visibility=VISIBILITY[name], receives=RECEIVES,
                most=MOST[name], timeline=self.timeline, chance=chance, weather=profile.weather,
            )
            for name, take in takes.items()
        }  # fmt: skip
        self.entrances = Entrances(
            storage=self.storage, timeline=self.timeline, chance=chance, send=self.queues["scene"].put,
            lost=profile.unpublished, twice=profile.weather.twice, landed=self.landed,
        )  # fmt: skip
        self.endpoint = PlayedEndpoint(
            storage=self.storage, timeline=self.timeline, chance=chance, notify=self.queues["result"].put,
            work_bucket=WORK, fates=profile.fates, fickle=profile.fickle, heals=profile.heals,
            repeats=profile.weather.twice, latency=profile.latency, outage=profile.outage,
        )  # fmt: skip
        self.endpoint.served = {model.manifest.folder: model for model in models}
        wrap = self.injector.wrap
        self._objects = wrap("objects", self.storage, {KEPT: "items"})
        self._ledger = wrap("ledger", self.ledger)
        self._announcer = wrap("announcer", _Announcer(self))
        clock = self.timeline
        admission = Admission(
            ledger=self._ledger, tile_queue=self._to("tile"), clock=clock, most_in_flight=profile.in_flight
        )  # fmt: skip
        self._settling = Settling(
            ledger=self._ledger, objects=self._objects, tile_queue=self._to("tile"),
            settled_queue=self._to("settled"), clock=clock, work_bucket=WORK,
        )  # fmt: skip
        self._planning = Planning(
            objects=self._objects, settling=self._settling, ledger=self._ledger, admission=admission,
            announcer=self._announcer,
            headers=wrap("headers", MemoryHeaders(objects=self.storage)),
            clock=clock if planned is None else lambda: planned,
            manifest=self.model.manifest, options=OPTIONS,
        )  # fmt: skip
        self._tiling = Tiling(
            objects=self._objects, ledger=self._ledger, endpoint=wrap("endpoint", self.endpoint),
            result_queue=self._to("result"), work_bucket=WORK, clock=clock,
            pixels=MemoryPixels(objects=wrap("files", self.storage), meanwhile=self._overwrite),
        )  # fmt: skip
        self._collecting = Collecting(
            objects=self._objects, requests=self._objects, ledger=self._ledger,
            announcer=self._announcer, write_table=table.write,
            clock=clock, read_header=table.read_header, read_rows=table.read_rows, work_bucket=WORK, scratch=scratch,
        )  # fmt: skip
        self._reconciling = Reconciling(
            ledger=self._ledger, objects=self._objects, scene_queue=self._to("scene"), tile_queue=self._to("tile"),
            settled_queue=self._to("settled"), settling=self._settling, admission=admission, clock=clock,
            work_bucket=WORK, answer_within=timedelta(seconds=TTL + 900),
        )  # fmt: skip

    def deploy(self, model: Model) -> None:
        """Give plan another model; what the endpoint serves stays."""
        self.model = model

    def lose_ledger(self) -> None:
        """Begin with an empty ledger, as a stack that is deployed again over its buckets does."""
        assert all(row.state.is_over for row in self.ledger.runs.values())
        for rows in (self.ledger.runs, self.ledger.batch_rows, self.ledger.landing_rows, self.ledger.revisions):
            rows.clear()

    def run(self) -> None:
        """Let everything happen, and have an operator bring back dead letters until there are none."""
        with _one_thread():
            self._go_on()
            for _ in range(3):
                if not any(queue.dead for queue in self.queues.values()):
                    return
                self.timeline.pass_by(self.profile.redrive_after)
                for queue in self.queues.values():
                    queue.redrive()
                self._go_on()

    def _go_on(self) -> None:
        """Let what is due happen, with a pass of reconcile every few minutes until every run is over."""
        until = max(self.timeline.seconds, self.profile.outage) + _GIVES_UP
        self.timeline.after(0, lambda: self._pass(until, 0))
        self.timeline.run()

    def _pass(self, until: float, runs: int) -> None:
        if len(self.ledger.runs) > runs:  # each has as long as the first: three requests may expire, six hours each
            runs, until = len(self.ledger.runs), max(until, self.timeline.seconds + _GIVES_UP)
        is_over = all(row.state.is_over for row in self.ledger.runs.values())
        gives_up = self.timeline.seconds > until or len(self.unforeseen) > _ENOUGH
        is_quiet = self.timeline.is_quiet and not self.injector.under_way  # a handler that dawdles may claim a run yet
        if (is_over and is_quiet) or gives_up:
            return
        self.timeline.after(_BETWEEN_PASSES, lambda: self._pass(until, runs))
        with self.injector.invocation("reconcile", timeout=TIMEOUTS["reconcile"]):
            try:
                self._reconciling.reconcile()
            except (TransientError, CrashedError, Killed):
                pass  # the next pass looks again
            except Exception as error:  # noqa: BLE001 - as Lambda does: the next pass looks again
                self.unforeseen.append(f"reconcile: {type(error).__name__}: {error}")

    def _overwrite(self, uri: str) -> None:
        """Replace a file that is about to be read, if that is the profile's wish."""
        found = self.storage.find(uri)
        if found and self.chance.random() < self.profile.overwrites:
            other = replace(read_band(found.body), seed=self.chance.getrandbits(40))
            key = uri.removeprefix(f"s3://{SCENES}/")
            if key.startswith(COGS):  # of which S3 sends an event
                self.entrances.land(key, other.to_bytes())
            else:
                self.storage.put(uri, other.to_bytes())

    def _to(self, name: str) -> SendingEnd:
        return SendingEnd(self.queues[name], self.injector)

    def _consumer(self, function: str, take: Callable[[Message], None]) -> Callable[[list[Message]], list[GivenBack]]:
        def consume(messages: list[Message]) -> list[GivenBack]:
            failed = []
            with self.injector.invocation(function, timeout=TIMEOUTS[function]) as invocation:
                for message in messages:
                    invocation.received = message.received
                    try:
                        take(message)
                    except (TransientError, CrashedError) as error:
                        wait = wait_before_again(error, message.received)
                        failed.append(GivenBack(message=message, again_in=wait))
                    except Exception as error:  # noqa: BLE001 - as the functions do: back to the queue
                        self.unforeseen.append(f"{function}: {type(error).__name__}: {error}")
                        failed.append(GivenBack(message=message))
                return self._sooner(failed)

        return consume

    def _sooner(self, failed: list[GivenBack]) -> list[GivenBack]:
        """Tell the queue when messages are to come again: one call, which may fail as any other."""
        told: list[bool] = []
        if any(each.again_in for each in failed):
            try:
                self.injector.call("queue.change_visibility", lambda: told.append(True), read=False)
            except TransientError:
                pass  # what was not told comes when the queue's visibility runs out
            except CrashedError:
                raise Killed from None  # nothing is answered: to Lambda one is as the other
        return failed if told else [GivenBack(message=each.message) for each in failed]

    def _plan(self, message: Message) -> None:
        planning = replace(self._planning, manifest=self.model.manifest)
        receiving = Receiving(planning=planning, item_prefix="", cog_prefix=COGS)
        receiving.receive(message.body, message=message.number)

    def _tile(self, message: Message) -> None:
        self._tiling.tile(TileJob.model_validate_json(message.body))

    def _settle(self, message: Message) -> None:
        try:
            result = parse_result(message.body, work_bucket=WORK)
        except UnknownResultError:
            return
        self._settling.settle(result)

    def _collect(self, message: Message) -> None:
        """Each at a place of its own: two at once are two machines."""
        scratch = self.scratch / f"{len(self.injector.under_way)}"
        scratch.mkdir(exist_ok=True)
        run = SettledRun.model_validate_json(message.body).run
        replace(self._collecting, scratch=scratch).collect(run)


class _InTurn:
    """Stands for collect's threads: objects are fetched one after the other, so that a seed replays."""

    def __init__(self, most: int) -> None:
        assert most > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, act: Callable[..., Any], *over: Any) -> Iterator[Any]:
        return map(act, *over)


@contextmanager
def _one_thread() -> Iterator[None]:
    module: Any = gathering
    threads = module.ThreadPoolExecutor
    module.ThreadPoolExecutor = _InTurn
    try:
        yield
    finally:
        module.ThreadPoolExecutor = threads
