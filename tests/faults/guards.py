"""The guards of the code, each with the small change that takes it away, and what the harness then sees.

A change is a piece of a function's text and what stands in its place: the table goes red when the piece is gone.
"""

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from tests.faults.injection import Rates
from tests.faults.profile import CALM, HEALING, Profile
from tests.faults.queues import Weather


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """A guard."""

    guard: str
    """What it sees to."""
    where: str
    """Module and function."""
    old: str
    new: str
    profile: Profile
    """Faults under which its absence shows."""
    shows: frozenset[str] = field(default_factory=frozenset)
    """Kinds of violations, any of which is seen."""
    begins: int = 0
    """Campaign with which the search begins: those before showed nothing when they were tried."""


@contextmanager
def without(guard: Guard) -> Iterator[None]:
    """Take the guard away for a while. Raises AssertionError if the code no longer has it."""
    module_name, _, path = guard.where.partition(":")
    holder_name, _, name = path.rpartition(".")
    module = import_module(module_name)
    holder: Any = getattr(module, holder_name) if holder_name else module
    original: Any = vars(holder)[name]
    text = textwrap.dedent(inspect.getsource(original))
    assert text.count(guard.old) == 1, f"{guard.where} has no longer {guard.old!r} once: see to {guard.guard!r}"
    made: dict[str, Any] = {}
    exec(compile(text.replace(guard.old, guard.new), guard.where, "exec"), vars(module), made)  # noqa: S102 - our own text
    places = [holder, *(each for each in sys.modules.values() if vars(each).get(name) is original)]
    for place in places:
        setattr(place, name, made[name])
    try:
        yield
    finally:
        for place in places:
            setattr(place, name, original)


def _lying(*fates: str) -> Profile:
    return Profile(name="lying", fates=dict.fromkeys(fates, 0.3))


_KILLS: Final = Profile(name="kills", scenes=12, side=3, rates=Rates(killed=0.15))
_TWICE: Final = Profile(name="twice", weather=Weather(late=0.3, twice=0.8), relandings=0.5)
_RELANDED: Final = Profile(name="relanded", scenes=12, side=3, rates=Rates(dawdled=0.3), lands_at_the_end=1.0)
_STRAYS: Final = Profile(name="strays", strays=0.9)
_GATHERING: Final = "clayline.steps.gathering:Gathering"
_WRONG: Final = frozenset({"wrong-vectors", "file-differs", "unforeseen"})
_LOST: Final = frozenset({"unanswered", "no-end", "not-told"})

GUARDS: Final = (
    Guard(
        guard="a job's sources are compared with the plan after they were read",
        where="clayline.steps.tiling:Tiling._pixels",
        old="self._pinned(plan)  # before anything is written or invoked: these are the plan's pixels, or none",
        new="pass",
        profile=Profile(name="overwritten", overwrites=0.3),
        shows=frozenset({"wrong-vectors", "wrong-state"}),
    ),
    Guard(
        guard="a batch that was invoked is not invoked again",
        where="clayline.steps.tiling:Tiling._is_under_way",
        old="row is not None and (row.output is not None or row.result is not None)",
        new="False",
        profile=_TWICE,
        shows=frozenset({"paid-twice"}),
    ),
    Guard(
        guard="a batch of which nothing is sent settles by a message of our own",
        where="clayline.steps.tiling:Tiling._send",
        old="self.result_queue.send([NothingSent(run=run, batch=batch, attempt=attempt).model_dump()])",
        new="pass",
        profile=CALM,
        shows=frozenset({"no-end"}),
    ),
    Guard(
        guard="a scene is collected only when every batch has a result",
        where="clayline.steps.settling:Settling.settle",
        old="len(run.settled) < run.batches",
        new="len(run.settled) < run.batches - 1",
        profile=CALM,
        shows=frozenset({"unforeseen"}),
    ),
    Guard(
        guard="a batch that is in no plan is dropped",
        where="clayline.steps.settling:Settling.settle",
        old="int(result.batch[1:]) >= run.batches",
        new="False",
        profile=_STRAYS,
        shows=frozenset({"unforeseen"}),
    ),
    Guard(
        guard="a result is kept before its batch counts as settled",
        where="clayline.steps.settling:Settling.settle",
        old="self.ledger.record_result(result)",
        new="None",
        profile=CALM,
        shows=frozenset({"unforeseen"}),
    ),
    Guard(
        guard="a notification under another InferenceId than the attempt's is dropped",
        where="clayline.run.result:_notification",
        old="if identity != inference_id(run=run, batch=batch, attempt=attempt):",
        new="if False:",
        profile=_STRAYS,
        shows=frozenset({"failed-without-cause", "answered-and-failed"}),
    ),
    Guard(
        guard="a response of other weights is refused",
        where=f"{_GATHERING}._response",
        old="if (header.token, header.digest) != (entry.token, entry.digest):",
        new="if False:",
        profile=_lying("other digest"),
        shows=_WRONG,
    ),
    Guard(
        guard="a response about another batch or other chips is refused",
        where=f"{_GATHERING}._response",
        old="(header.run, header.batch, response.index.tolist()) != (self.plan.run, found.batch, found.sent_indexes)",
        new="False",
        profile=_lying("other batch", "other chips"),
        shows=_WRONG,
    ),
    Guard(
        guard="a response of other dimensions or without the loss is refused",
        where=f"{_GATHERING}._response",
        old="response.embeddings.shape[1] != entry.dimensions or response.loss_metric != entry.loss_metric",
        new="False",
        profile=_lying("more dimensions", "no loss"),
        shows=_WRONG,
    ),
    Guard(
        guard="a vector that is not finite fails its chip",
        where=f"{_GATHERING}._take",
        old="good &= np.isfinite(answer.embeddings).all(axis=1)",
        new="pass",
        profile=_lying("not a number"),
        shows=_WRONG,
    ),
    Guard(
        guard="a chip that the endpoint calls bad fails",
        where=f"{_GATHERING}._take",
        old="good = answer.status == STATUS_GOOD",
        new="good = answer.status >= STATUS_GOOD",
        profile=_lying("said to be bad"),
        shows=_WRONG,
    ),
    Guard(
        guard="a scene counts as enqueued only when its jobs are",
        where="clayline.steps.planning:Planning._claimed",
        old='self.tile_queue.send([{"run": run, "job": job.number} for job in plan.jobs])\n'
        "        self.ledger.advance(run, Stage.ENQUEUED)",
        new="self.ledger.advance(run, Stage.ENQUEUED)\n"
        '        self.tile_queue.send([{"run": run, "job": job.number} for job in plan.jobs])',
        profile=_KILLS,
        shows=frozenset({"no-end"}),
    ),
    Guard(
        guard="a landing stands at its run before the first job is out",
        where="clayline.steps.planning:Planning._claimed",
        old="self.ledger.keep_landing(run, scene.landing.landing, uri=scene.landed_uri)",
        new="pass",
        profile=Profile(name="failing", fates={"failed": 0.2}, weather=Weather(twice=0.8)),
        shows=frozenset({"paid-twice"}),
    ),
    Guard(
        guard="a replaced file makes another run",
        where="clayline.scene.source:LandedScene.run",
        old="asset_etags={uri: head.etag for uri, head in self.heads.items() if uri != self.source.uri}",
        new="asset_etags={}",
        profile=Profile(name="replaced", replacements=1.0),
        shows=frozenset({"stale"}),
    ),
    Guard(
        guard="a landing that came while its run was announced looks again",
        where="clayline.steps.succession:Succession._at",
        old="self.ledger.run(row.run) or row",
        new="row",
        profile=_RELANDED,
        shows=frozenset({"unanswered"}),
        begins=11,
    ),
    Guard(
        guard="an outcome counts as announced only when its event is out",
        where="clayline.steps.answering:Answering.announce",
        old="self.announcer.announce(receipt.status, receipt.summary(landed_uri=landed_uri, repeated=False))",
        new="self.ledger.announced(receipt.run, Outcome(status=receipt.status, receipt=at, failed=False))\n"
        "    self.announcer.announce(receipt.status, receipt.summary(landed_uri=landed_uri, repeated=False))",
        profile=_KILLS,
        shows=_LOST,
    ),
    Guard(
        guard="each place where a scene landed is answered",
        where="clayline.steps.answering:Answering._answer_waiting",
        old="if waiting.uri not in told:",
        new="if False:",
        profile=_RELANDED,
        shows=frozenset({"unanswered"}),
    ),
    Guard(
        guard="a collect that comes again answers who still waits",
        where="clayline.steps.collecting:Collecting.collect",
        old="answering.answer_waiting(row)",
        new="pass",
        profile=Profile(name="killed", scenes=12, side=3, rates=Rates(killed=0.15), relandings=0.6),
        shows=frozenset({"unanswered"}),
    ),
    Guard(
        guard="the receipt is written last",
        where="clayline.steps.collecting:Collecting._write",
        old="if receipt.counts.written:",
        new="self._put(outputs.receipt, receipt_json(receipt), plan.run, JSON)\n        if receipt.counts.written:",
        profile=CALM,
        shows=frozenset({"receipt-early"}),
    ),
    Guard(
        guard="a stage never falls",
        where="tests.faults.ledger:MemoryLedger.advance",
        old="if row and row.stage < stage:",
        new="if row:",
        profile=Profile(name="slow plan", scenes=12, side=3, rates=Rates(dawdled=0.4), latency=20),
        shows=frozenset({"no-end", "abandoned"}),
    ),
    Guard(
        guard="batches that have a result are a set, and no number",
        where="tests.faults.ledger:MemoryLedger.settle",
        old="row.settled | {batch}",
        new='row.settled | {batch, f"again{len(row.settled)}"}',
        profile=HEALING,
        shows=frozenset({"unforeseen"}),
    ),
)
