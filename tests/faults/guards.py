"""The guards of the code, each with the small change that takes it away, and what the harness then sees.

A change is a piece of a function's text and what stands in its place: the table goes red when the piece is gone.
"""

from dataclasses import replace
from typing import Final

from tests.faults.guards_of_entrances import ENTRANCE_GUARDS
from tests.faults.injection import Rates
from tests.faults.mutation import Guard
from tests.faults.profile import CALM, COMPUTED_TWICE, HEALING, LEDGER_LOST, NARROW, OUTAGE, Profile
from tests.faults.queues import Weather


def _lying(*fates: str) -> Profile:
    return Profile(name="lying", fates=dict.fromkeys(fates, 0.3))


_KILLS: Final = Profile(name="kills", scenes=12, side=3, rates=Rates(killed=0.15))
_TWICE: Final = Profile(name="twice", weather=Weather(late=0.3, twice=0.8), relandings=0.5)
_RELANDED: Final = Profile(name="relanded", scenes=12, side=3, rates=Rates(dawdled=0.3), lands_at_the_end=1.0)
_STRAYS: Final = Profile(name="strays", strays=0.9)
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
        guard="a batch of which nothing is sent settles by a message of our own",
        where="clayline.steps.tiling:Tiling._send",
        old="self.result_queue.send([NothingSent(run=run, batch=batch, attempt=attempt).model_dump()])",
        new="pass",
        profile=CALM,
        shows=frozenset({"no-end"}),
    ),
    Guard(
        guard="a notification under another InferenceId than the attempt's is dropped",
        where="clayline.run.result:_notification",
        old="identity != inference_id(run=run, batch=batch, attempt=int(named[1]))",
        new="False",
        profile=_STRAYS,
        shows=frozenset({"failed-without-cause", "answered-and-failed"}),
    ),
    Guard(
        guard="a response of other weights is refused",
        where="clayline.steps.gathering:Gathering._response",
        old="if (header.token, header.digest) != (entry.token, entry.digest):",
        new="if False:",
        profile=_lying("other digest"),
        shows=_WRONG,
    ),
    Guard(
        guard="a response about another batch or other chips is refused",
        where="clayline.steps.gathering:Gathering._response",
        old="(header.run, header.batch, response.index.tolist()) != (self.plan.run, found.batch, found.sent_indexes)",
        new="False",
        profile=_lying("other batch", "other chips"),
        shows=_WRONG,
    ),
    Guard(
        guard="a response of other dimensions or without the loss is refused",
        where="clayline.steps.gathering:Gathering._response",
        old="response.embeddings.shape[1] != entry.dimensions or response.loss_metric != entry.loss_metric",
        new="False",
        profile=_lying("more dimensions", "no loss"),
        shows=_WRONG,
    ),
    Guard(
        guard="a vector that is not finite fails its chip",
        where="clayline.steps.gathering:Gathering._take",
        old="good &= np.isfinite(answer.embeddings).all(axis=1)",
        new="pass",
        profile=_lying("not a number"),
        shows=_WRONG,
    ),
    Guard(
        guard="a chip that the endpoint calls bad fails",
        where="clayline.steps.gathering:Gathering._take",
        old="good = answer.status == STATUS_GOOD",
        new="good = answer.status >= STATUS_GOOD",
        profile=_lying("said to be bad"),
        shows=_WRONG,
    ),
    Guard(
        guard="a landing stands at its run before the first job is out",
        where="clayline.steps.planning:Planning._claimed",
        old="self.ledger.keep_landing(run, scene.landing.landing, uri=scene.landed_uri)",
        new="pass",
        profile=Profile(name="failing", fates={"failed": 0.2}, weather=Weather(twice=0.8)),
        shows=frozenset({"computed-twice"}),
    ),
    Guard(
        guard="a landing that came while its run was announced looks again",
        where="clayline.steps.succession:Succession._at",
        old="self.ledger.run(row.run) or row",
        new="row",
        profile=_RELANDED,
        shows=frozenset({"unanswered"}),
        begins=5,
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
        where="clayline.steps.collecting:Collecting._written",
        old="if receipt.counts.written:",
        new="self._put(outputs.receipt, receipt_json(receipt), plan.run, JSON)\n        if receipt.counts.written:",
        profile=CALM,
        shows=frozenset({"receipt-early"}),
    ),
    Guard(
        guard="a batch that is under way is not sent again",
        where="clayline.steps.tiling:_is_to_be_sent",
        old="row is None or (row.result is None and (row.lost is not None or row.invocation is None))",
        new="row is None or row.result is None",
        profile=_TWICE,
        shows=frozenset({"paid-twice"}),
    ),
    Guard(
        guard="an attempt is begun once, whoever begins it",
        where="tests.run.memory_ledger:MemoryLedger.begin",
        old="if row and (row.result or row.attempt >= attempt):",
        new="if row and row.result:",
        profile=Profile(name="slow twice", scenes=12, side=3, rates=Rates(dawdled=0.3), weather=Weather(twice=0.9)),
        shows=frozenset({"attempt-twice"}),
    ),
    Guard(
        guard="a request that has expired is cut again",
        where="clayline.steps.tiling:Tiling._stored",
        old="self.objects.head(work.request(batch.name))",
        new="pass",
        profile=OUTAGE,
        shows=frozenset({"answered-and-failed", "failed-by-expiry"}),
    ),
    Guard(
        guard="a failed attempt is followed by another",
        where="clayline.steps.settling:Settling.settle",
        old="self._again(result)",
        new="False",
        profile=HEALING,
        shows=frozenset({"answered-and-failed"}),
    ),
    Guard(
        guard="a scene is collected only when no batch is open",
        where="clayline.steps.settling:Settling.send_on",
        old="if run.open:",
        new="if run.open > 1:",
        profile=CALM,
        shows=frozenset({"unforeseen"}),
    ),
    Guard(
        guard="a batch ends once: only then is it counted",
        where="tests.run.memory_ledger:MemoryLedger.close",
        old='is_late = row.result is not None or (result.status == "failed" and row.attempt != result.attempt)',
        new="is_late = False",
        profile=_TWICE,
        shows=frozenset({"unforeseen", "no-end"}),
    ),
    Guard(
        guard="a result of a batch that was never sent is dropped",
        where="tests.run.memory_ledger:MemoryLedger.close",
        old="if row is None:\n        return Closing.UNKNOWN",
        new="if row is None:\n"
        "        row = BatchRow(\n"
        "            batch=result.batch, job=0, attempt=1, since=PAST, invocation=None, lost=None, result=None\n"
        "        )",
        profile=_STRAYS,
        shows=frozenset({"unforeseen", "no-end"}),
    ),
    Guard(
        guard="a failure ends a batch only if it is that of the last attempt",
        where="tests.run.memory_ledger:MemoryLedger.close",
        old='row.result is not None or (result.status == "failed" and row.attempt != result.attempt)',
        new="row.result is not None",
        profile=Profile(
            name="failing", fates={"failed": 0.5}, fickle=True, heals=True, weather=Weather(late=0.5, twice=0.9)
        ),
        shows=frozenset({"answered-and-failed"}),
    ),
    Guard(
        guard="collect writes from the verdict that was frozen first",
        where="clayline.steps.collecting:Collecting._written",
        old="if frozen is None and not self._is_frozen(gathering.work, verdict):",
        new="if False:",
        profile=Profile(name="very late", rates=Rates(killed=0.2), fates={"very late": 0.5}),
        shows=frozenset({"file-differs", "outputs-differ", "receipt-early", "unforeseen"}),
    ),
    Guard(
        guard="a response that is not there yet is waited for",
        where="clayline.steps.gathering:Gathering._body",
        old="if self.is_fresh:",
        new="if False:",
        profile=Profile(name="late", fates={"late": 0.5}, heals=True),
        shows=frozenset({"answered-and-failed"}),
    ),
    Guard(
        guard="reconcile looks for answers that nobody told of",
        where="clayline.steps.reconciling:Reconciling._answer",
        old="if is_there(self.objects, row.invocation.output):",
        new="if False:",
        profile=Profile(name="mute", fates={"mute": 0.5}),
        shows=frozenset({"paid-twice", "answered-and-failed", "failed-without-cause"}),
    ),
    Guard(
        guard="reconcile gives up a request when no answer can come",
        where="clayline.steps.reconciling:Reconciling._answer",
        old="if now < row.since + self.answer_within:",
        new="if True:",
        profile=Profile(name="silent", fates={"silent": 0.3}),
        shows=frozenset({"no-end"}),
    ),
    Guard(
        guard="reconcile sends jobs again of which a batch was never begun",
        where="clayline.steps.reconciling:Reconciling._look",
        old="if len(rows) < row.out:",
        new="if False:",
        profile=_KILLS,
        shows=frozenset({"no-end"}),
    ),
    Guard(
        guard="reconcile looks for what is out of a scene of which more waits",
        where="clayline.steps.reconciling:Reconciling._look_after",
        old="for each in stand[: self.most_runs]:",
        new="for each in stand[:0]:",
        profile=replace(NARROW, fates={"mute": 0.2, "silent": 0.1}),
        shows=frozenset({"no-end"}),
    ),
    Guard(
        guard="reconcile lets plan begin again",
        where="clayline.steps.reconciling:Reconciling._plan",
        old="self.scene_queue.send",
        new="(lambda _: None)",
        profile=Profile(
            name="deployed", scenes=12, side=3, rates=Rates(killed=0.1, refused=0.1), deployments=0.5, replacements=0.5
        ),
        shows=frozenset({"abandoned", "no-end"}),
    ),
    Guard(
        guard="a claim that leads to another run by now is forgotten",
        where="clayline.steps.planning:Planning.again",
        old="if outcome.run != run and row:",
        new="if False:",
        profile=Profile(
            name="deployed", scenes=12, side=3, rates=Rates(killed=0.1, refused=0.1), deployments=0.5, replacements=0.5
        ),
        shows=frozenset({"abandoned", "no-end"}),
    ),
    Guard(
        guard="an outcome counts as announced only when its event is out",
        where="clayline.steps.answering:Answering.announce",
        old="self.announcer.announce(receipt.status, receipt.summary(landed_uri=landed_uri, repeated=False))",
        new="self.ledger.announced(\n"
        "        receipt.run, Outcome(status=receipt.status, receipt=at, failed=False), now=self.clock()\n"
        "    )\n"
        "    self.announcer.announce(receipt.status, receipt.summary(landed_uri=landed_uri, repeated=False))",
        profile=_KILLS,
        shows=_LOST,
    ),
    Guard(
        guard="content that returns is the newest again",
        where="clayline.steps.succession:Succession._is_older",
        old="return newest not in {None, row.run}",
        new="return False",
        profile=Profile(name="returning", returns=1.0),
        shows=frozenset({"stale"}),
    ),
    Guard(
        guard="a scene is compared once more when it has its revision",
        where="clayline.steps.making:Making._compare",
        old="if found != etag:",
        new="if False:",
        profile=Profile(name="overtaken", scenes=12, side=3, rates=Rates(dawdled=0.5), returns=1.0, replacements=0.5),
        shows=frozenset({"stale"}),
    ),
    Guard(
        guard="how a run was ended is frozen with its verdict",
        where="clayline.steps.gathering:Gathering._outcomes",
        old="if uncut:",
        new="if False:",
        profile=Profile(name="aborted", scenes=12, side=3, rates=Rates(killed=0.15, dawdled=0.3), aborts=1.0),
        shows=frozenset({"file-differs", "receipt-early", "unforeseen", "outputs-differ", "no-end"}),
    ),
    Guard(
        guard="a replaced file makes another run",
        where="clayline.steps.succession:Succession.stand",
        old="else scene.run",
        new="else scene.source.hash + scene.source.hash[:8] + scene.source.hash",
        profile=Profile(name="replaced", replacements=1.0),
        shows=frozenset({"stale"}),
    ),
    Guard(
        guard="a revision whose place in the bucket is taken is passed over",
        where="clayline.steps.making:Making._revision",
        old="if not (is_there(self.objects, outputs.receipt) or is_there(self.objects, outputs.parquet)):",
        new="if True:",
        profile=LEDGER_LOST,
        shows=frozenset({"unforeseen", "no-end"}),
    ),
    Guard(
        guard="what a run took is frozen with its verdict",
        where="clayline.steps.gathering:Gathering.fill",
        old="frozen.measured if frozen else self._measured(outcomes, counted)",
        new="self._measured(outcomes, counted)",
        profile=COMPUTED_TWICE,
        shows=frozenset({"figures-differ"}),
    ),
    Guard(
        guard="answers are compared by all but the seconds that they took",
        where="clayline.model.wire:Response._metadata",
        old='"loss_metric": self.loss_metric or ""}',
        new='"loss_metric": self.loss_metric or "", "seconds": str(self.compute_seconds)}',
        profile=COMPUTED_TWICE,
        shows=frozenset({"dead-letter", "no-end"}),
    ),
    *ENTRANCE_GUARDS,
)
