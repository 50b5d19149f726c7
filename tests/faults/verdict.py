"""What must hold when all is quiet again: judged from what lies in the buckets, never from what the steps say."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from tests.faults.endpoint import DISCARDED, FAILURES, GOOD, LATE, MUTE, REASONS, TWICE, Call
from tests.faults.entrances import KEPT, WORK, Landed
from tests.faults.imagery import chips_of, read_band
from tests.faults.injection import Rates
from tests.faults.model import Model
from tests.faults.queues import Weather
from tests.faults.quiet import quiet_outputs
from tests.faults.timeline import HOUR
from tests.faults.world import OUT, Event, Watch, World

from clayline.run.keys import WorkObjects
from clayline.run.plan import Plan, PlannedChips
from clayline.run.receipt import GIVEN_UP, ChipOutcome, Receipt, State, count
from clayline.run.verdict import Verdict

type _Expected = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]
_HOURS = 2 * HOUR
"""For which a message may be on its way, given back and received again."""
_SOURCES = frozenset({"source-changed", "source-missing"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """Something that must never be."""

    kind: str
    what: str


class Watching(Watch):
    """Looks at each write as it is done: nobody may read of what is not there."""

    def __init__(self, world: World, *, settled: Callable[[str], None]) -> None:
        """``settled`` is called with a run whose settlement was written."""
        self._world = world
        self._settled = settled
        self.found: list[Violation] = []

    def announced(self, event: Event) -> None:
        stored = self._world.storage.find(event.detail["outputs"]["receipt"])
        told = {key: value for key, value in event.detail.items() if key not in {"landed_uri", "repeated"}}
        if stored is None:
            self._note("announced-early", f"{event.kind} of {event.detail['run']} before its receipt")
        elif Receipt.model_validate_json(stored.body).model_dump(mode="json", exclude={"chips"}) != told:
            self._note("event-differs", f"{event.kind} of {event.detail['run']} does not say what its receipt says")

    def written(self, uri: str) -> None:
        if uri.startswith(settlements := f"s3://{WORK}/settlements/"):
            self._settled(uri.removeprefix(settlements).removesuffix(".json"))
        if uri.startswith(f"s3://{OUT}/") and uri.endswith("_receipt.json"):
            receipt = Receipt.model_validate_json(self._world.storage.objects[uri].body)
            missing = [each for each in receipt.outputs.values() if self._world.storage.find(each) is None]
            if missing:
                self._note("receipt-early", f"{uri} stands before {missing}")

    def _note(self, kind: str, what: str) -> None:
        self.found.append(Violation(kind=kind, what=what))


def judge(world: World, models: dict[str, Model]) -> list[Violation]:
    """Give everything that must not be. ``models`` are all that ever were, by digest."""
    judged = _Judge(world, models)
    return [Violation(kind=kind, what=what) for kind, what in judged.all()]


class _Judge:
    def __init__(self, world: World, models: dict[str, Model]) -> None:
        self._world = world
        self._models = models
        self._calls: dict[tuple[str, str], list[Call]] = {}
        for call in world.endpoint.calls:
            run, name = call.input_uri.removeprefix(f"s3://{WORK}/requests/").split("/")
            self._calls.setdefault((run, name.partition(".")[0]), []).append(call)
        self._receipts = {
            uri: Receipt.model_validate_json(found.body)
            for uri, found in world.storage.under(f"s3://{OUT}/").items()
            if uri.endswith("_receipt.json")
        }

    def all(self) -> Iterator[tuple[str, str]]:
        for error, number in Counter(self._world.unforeseen).items():
            yield "unforeseen", f"{number} x {error}"
        for name, queue in self._world.queues.items():
            if queue.dead:
                yield "dead-letter", f"{len(queue.dead)} of {name}: {queue.dead[0].body[:200]}"
        yield from self._ends()
        yield from self._landings()
        yield from self._objects()
        for receipt in self._receipts.values():
            yield from self._receipt(receipt)
        yield from self._paid()
        yield from self._newest()

    def _ends(self) -> Iterator[tuple[str, str]]:
        waiting = {name for landed in self._unanswered() for name in (landed.uri, landed.scene)}
        told = {event.detail["run"] for event in self._world.events if not event.detail["repeated"]}
        at = {receipt.run for receipt in self._receipts.values()}
        for row in self._world.ledger.runs.values():
            if not row.state.is_over:
                waits = row.scene in waiting
                what = f"run {row.run} of {row.scene} stays {row.state}"
                yield ("no-end", what) if waits else ("abandoned", f"{what}, though all its landings were answered")
            elif row.run not in told or row.run not in at:
                yield "not-told", f"run {row.run} of {row.scene} counts as announced, without receipt or first event"

    def _landings(self) -> Iterator[tuple[str, str]]:
        for landed in self._unanswered():
            yield "unanswered", f"nobody was told what became of {landed.uri}, landed at {landed.at:.0f} s"
        scenes = {landed.uri: landed.scene for landed in self._world.landed}
        for event in self._world.events:
            landed_uri, said = event.detail["landed_uri"], event.detail["scene"]
            if event.detail["source_model"] and scenes.get(landed_uri) != said:
                yield "another-scene", f"{landed_uri} is answered with what became of {said}"

    def _unanswered(self) -> Iterator[Landed]:
        for landed in self._world.landed:
            told = [event for event in self._world.events if event.detail["landed_uri"] == landed.uri]
            if not any(event.at >= landed.at for event in told):
                yield landed

    def _objects(self) -> Iterator[tuple[str, str]]:
        named = {uri for receipt in self._receipts.values() for uri in receipt.outputs.values()}
        lying = set(self._world.storage.under(f"s3://{OUT}/"))
        if named != lying:
            yield "outputs-differ", f"no receipt names {sorted(lying - named)}, missing are {sorted(named - lying)}"

    def _paid(self) -> Iterator[tuple[str, str]]:
        """Messages that come twice cost nothing: no batch is invoked again, and no scene computed again."""
        profile = self._world.profile
        twice = [key for key, calls in self._calls.items() if len(calls) > 1]
        if profile.loses_ledger:
            return  # nobody knows any more what was paid
        if profile.rates == Rates() and not FAILURES & profile.fates.keys() and twice:
            yield "paid-twice", f"batches {twice[:3]} were invoked again though nothing failed"
        identities = Counter(call.inference_id for call in self._world.endpoint.calls)
        again = [identity for identity, number in identities.items() if number > 1]
        if again and not profile.rates.repeated:
            yield "attempt-twice", f"attempts {again[:3]} were invoked twice"
        landed = Counter(landed.scene for landed in self._world.landed)
        runs = Counter(plan.scene.name for plan in self._plans())
        same = not (profile.deployments or profile.replacements or profile.overwrites or profile.returns)
        if same and (more := runs - landed - self._world.ordered):
            yield "computed-twice", f"more runs than landings: {dict(more)}"

    def _newest(self) -> Iterator[tuple[str, str]]:
        """Where nothing changed since a scene's last landing, its highest revision is what lies there."""
        if self._world.profile.deployments:
            return
        last = {landed.scene: landed for landed in self._world.landed}
        plans: dict[str, Plan] = {}
        for plan in self._plans():
            if plan.scene.name not in plans or plans[plan.scene.name].revision < plan.revision:
                plans[plan.scene.name] = plan
        for scene, plan in plans.items():
            pinned = {band.uri: band.etag for band in plan.bands}
            if not plan.scene.uri.startswith(KEPT):
                pinned[plan.scene.uri] = plan.scene.etag
            elif self._is_in_order and plan.scene.uri != last[scene].uri:
                yield "stale", f"revision {plan.revision} of {scene}, the highest, is not of {last[scene].uri}"
            lying = {uri: self._world.storage.find(uri) for uri in pinned}
            if all(found and found.written <= last[scene].at for found in lying.values()):
                differs = [uri for uri, found in lying.items() if found and found.etag != pinned[uri]]
                if differs:
                    yield "stale", f"revision {plan.revision} of {scene}, the highest, is of another {differs}"

    @property
    def _is_in_order(self) -> bool:
        """Say whether messages are handled in the order in which they were sent: a published Item is what it says,
        while of one that lies in a bucket the last is read, whichever message comes.
        """
        profile = self._world.profile
        return profile.rates == Rates() and profile.weather == Weather()

    def _plans(self) -> Iterator[Plan]:
        for uri, found in self._world.storage.under(f"s3://{WORK}/plans/").items():
            if uri.endswith("/plan.json"):
                yield Plan.model_validate_json(found.body)

    def _receipt(self, receipt: Receipt) -> Iterator[tuple[str, str]]:
        work = WorkObjects(bucket=WORK, run=receipt.run)
        if receipt.source_model is None:  # refused before it had a plan
            if not self._befits(receipt.reason):
                yield "refused-without-cause", f"run {receipt.run} of {receipt.scene}: {receipt.message}"
            return
        plan = Plan.model_validate_json(self._world.storage.get(work.plan))
        planned = PlannedChips.from_bytes(self._world.storage.get(work.chips)).uci
        where = f"run {receipt.run} of {receipt.scene}"
        if plan.scene.etag not in self._world.storage.versions:
            yield "unknown-source", f"{where}: nothing that landed is {plan.scene.etag}"
            return
        if sorted((chip.uci, chip.index) for chip in receipt.chips) != sorted(
            zip(planned, range(len(planned)), strict=True)
        ):
            yield "chips-differ", f"{where}: the receipt's chips are not the plan's, each once"
            return
        if len(set(planned)) != len(planned) or receipt.counts != count(receipt.chips):
            yield "chips-differ", f"{where}: an identifier twice, or counts that are not the lines'"
        yield from self._file(receipt, plan, where)
        yield from self._states(receipt, plan, where)
        yield from self._measured(receipt, plan, where)
        if not receipt.counts.failed:
            yield from self._bytes(plan, where)

    def _file(self, receipt: Receipt, plan: Plan, where: str) -> Iterator[tuple[str, str]]:
        written = [(chip.uci, chip.index) for chip in receipt.chips if chip.state is State.WRITTEN]
        stored = self._world.storage.find(plan.outputs.parquet)
        rows = self._world.table.read(stored.body) if stored else []
        if [row[:2] for row in rows] != sorted(written):
            yield "file-differs", f"{where}: the receipt says {len(written)} written, the file has {len(rows)}"
        vectors, losses, _ = self._expected(plan)
        wrong = [
            uci
            for uci, index, vector, loss in rows
            if not np.array_equal(np.array(vector, np.float32), vectors[index]) or loss != losses[index]
        ]
        if wrong:
            yield "wrong-vectors", f"{where}: {len(wrong)} of {len(rows)} vectors are not the plan's chips', {wrong[0]}"

    def _states(self, receipt: Receipt, plan: Plan, where: str) -> Iterator[tuple[str, str]]:
        _, _, valid = self._expected(plan)
        batches = {index: batch.name for batch in plan.batches for index in plan.indexes(batch)}
        unexplained: Counter[tuple[str, str]] = Counter()
        for chip in receipt.chips:
            if chip.state is State.FAILED:
                kind = self._unexplained(plan.run, batches[chip.index], chip)
                unexplained.update([(kind, str(chip.reason))] if kind else [])
            elif (chip.state is State.WRITTEN) != bool(valid[chip.index]):
                yield "wrong-state", f"{where}: chip {chip.index} is {chip.state}, its pixels say otherwise"
        for (kind, reason), number in unexplained.items():
            yield kind, f"{where}: {number} chips failed ({reason})"

    def _befits(self, reason: str | None) -> bool:
        """Say whether something happened for which a scene may be refused."""
        profile = self._world.profile
        happened = {"aborted": profile.aborts, "asset-missing": profile.deletions, "source-missing": profile.deletions}
        return bool(reason and happened.get(reason))

    def _unexplained(self, run: str, batch: str, chip: ChipOutcome) -> str | None:
        """Say what is wrong with a failure; None if a fault that does not heal explains it."""
        profile = self._world.profile
        if chip.reason == "aborted":
            return None if profile.aborts else "failed-without-cause"
        if chip.reason in _SOURCES:
            changed = profile.replacements or profile.overwrites or profile.deletions
            return None if changed else "failed-without-cause"
        calls = self._calls.get((run, batch), [])
        fates = {call.fate for call in calls}
        lies = fates - FAILURES - {GOOD, LATE, MUTE, TWICE, DISCARDED, "request gone", "refused"}
        if chip.reason in {REASONS[fate] for fate in lies}:
            return None  # the first answer ends a batch, and that one was a lie
        if profile.heals or any(self._was_told(run, call) for call in calls):
            return "answered-and-failed"
        if "request gone" in fates:
            return "failed-by-expiry"
        return None if chip.reason in {REASONS[fate] for fate in fates if fate in REASONS} else "failed-without-cause"

    def _was_told(self, run: str, call: Call) -> bool:
        """Say whether settle had hours to take a good answer before it froze how the batches ended."""
        settled = self._world.storage.find(WorkObjects(bucket=WORK, run=run).settlement)
        if call.fate not in {GOOD, LATE, TWICE} or call.notified is None or settled is None:
            return False
        return call.notified + _HOURS < settled.written

    def _bytes(self, plan: Plan, where: str) -> Iterator[tuple[str, str]]:
        quiet = quiet_outputs(self._world, plan, self._models[plan.model.entry.digest])
        for uri, body in quiet.items():
            found = self._world.storage.find(uri)
            if found is None or _as_quiet(uri, found.body) != _as_quiet(uri, body):
                yield "bytes-differ", f"{where}: {uri} is not what a quiet run writes"

    def _measured(self, receipt: Receipt, plan: Plan, where: str) -> Iterator[tuple[str, str]]:
        """Compare the figures with what was frozen, and with what the endpoint was asked."""
        told = receipt.measured
        stored = self._world.storage.find(WorkObjects(bucket=WORK, run=plan.run).verdict)
        if stored is None:
            yield "figures-differ", f"{where}: there is a receipt and no verdict"
            return
        frozen = Verdict.model_validate_json(stored.body)
        if told is None or told != frozen.measured:
            yield "figures-differ", f"{where}: the receipt says {told}, its verdict {frozen.measured}"
            return
        answered = {batch.batch for batch in frozen.batches if batch.digest}
        sent = {batch.batch for batch in frozen.batches if batch.digest or batch.reason}
        asked = {batch for run, batch in self._calls if run == plan.run}
        # Of a batch that was ended from outside, an attempt was begun, and nobody knows whether it was invoked.
        begun = asked | {batch.batch for batch in frozen.batches if batch.reason in GIVEN_UP}
        if not len(answered) <= told.requests <= len(sent & begun) or not answered <= asked:
            yield "figures-differ", f"{where}: {told.requests} requests, and {len(asked)} batches were asked"
        computed = {index for batch in plan.open_batches if batch.name in answered for index in plan.indexes(batch)}
        lines = [chip for chip in receipt.chips if chip.index in computed and chip.state is not State.SKIPPED]
        seconds = told.compute_seconds
        if told.chips != len(lines) or seconds is None or bool(seconds) != bool(answered):
            yield "figures-differ", f"{where}: {told.chips} chips in {seconds} s, and {len(lines)} of the lines are so"
        sizes = [max(call.size for call in self._calls[plan.run, batch]) for batch in answered]
        if told.request_bytes is None or told.request_bytes < sum(sizes):
            yield "figures-differ", f"{where}: {told.request_bytes} bytes were sent, and {sum(sizes)} answered"
        if told.attempts is None or told.attempts < told.requests:
            yield "figures-differ", f"{where}: {told.attempts} attempts at {told.requests} requests"

    def _expected(self, plan: Plan) -> _Expected:
        """Give the vectors and losses of all chips, and which have a valid pixel."""
        model = self._models[plan.model.entry.digest]
        bodies = tuple(self._world.storage.versions[band.etag] for band in plan.bands)
        return _computed(plan.model_dump_json(), bodies, _Same(model))


@dataclass(frozen=True, eq=False)
class _Same:
    """A model as a part of a cache's key: equal to itself alone."""

    model: Model

    def __hash__(self) -> int:
        return hash(self.model.entry.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.model is self.model


@lru_cache(maxsize=8)
def _computed(plan_json: str, bodies: tuple[bytes, ...], same: _Same) -> _Expected:
    chips, valid = chips_of(Plan.model_validate_json(plan_json), [read_band(body) for body in bodies])
    return (*same.model.compute(chips), valid)


def _as_quiet(uri: str, body: bytes) -> bytes:
    """Take out of a receipt what a quiet run takes less of."""
    if not uri.endswith("_receipt.json"):
        return body
    return Receipt.model_validate_json(body).model_copy(update={"measured": None}).model_dump_json().encode()
