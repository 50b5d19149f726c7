"""Plan: from a landed object to a stored plan and its tile jobs."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from clayline.errors import LeaseHeldError, ReplacedError, SceneError, TransientError
from clayline.model.manifest import Manifest
from clayline.ports import Announcer, Clock, Headers, ObjectMissingError, PinnedObjects
from clayline.run.keys import WorkObjects, scene_hash, waiting_run
from clayline.run.ledger import Claim, Ledger, RunRow
from clayline.run.plan import Plan
from clayline.run.planned_batches import by_job
from clayline.run.stored_plan import load_plan
from clayline.scene.intake import Landing
from clayline.scene.source import LandedScene
from clayline.steps.admission import Admission
from clayline.steps.answering import Answering, Refusal
from clayline.steps.drafting import ASSET_MISSING, Drafting
from clayline.steps.making import Making
from clayline.steps.options import PlanOptions
from clayline.steps.settling import Settling
from clayline.steps.succession import Standing, Succession

_NEXT_LOOK: Final = timedelta(minutes=1)
"""At a scene that waits for an asset."""
_READS: Final = 2
"""How often a scene that is replaced while it is planned is read again at once; then its message comes again."""


class Planned(Enum):
    """What became of a landed object."""

    ENQUEUED = "enqueued"
    DUPLICATE = "duplicate"
    """This landing was answered before, or the event at the run's end will answer it."""
    REPEATED = "repeated"
    """The scene is done: its outcome was announced again."""
    WAITS = "waits"
    """An asset is not there yet."""
    IGNORED = "ignored"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOutcome:
    """What plan did, for the log."""

    kind: Planned
    run: str | None
    message: str
    chips: int = 0
    batches: int = 0


@dataclass(frozen=True, kw_only=True)
class Planning:
    """Ports of plan."""

    objects: PinnedObjects
    ledger: Ledger
    admission: Admission
    settling: Settling
    announcer: Announcer
    headers: Headers
    clock: Clock
    manifest: Manifest
    options: PlanOptions

    def plan(self, landing: Landing, *, redrive: bool = False) -> PlanOutcome:
        """Plan the scene and enqueue its tile jobs, announce again what became of it, or say that it can never work.

        With ``redrive`` what failed is computed again, whatever the options say. Raises TransientError (LeaseHeldError
        among them): the message should come again.
        """
        for _ in range(_READS):
            with suppress(ReplacedError):
                return self._plan(landing, redrive=redrive)
        return self._plan(landing, redrive=redrive)

    def _plan(self, landing: Landing, *, redrive: bool) -> PlanOutcome:
        try:
            scene = self._drafting.read(landing)
            if isinstance(scene, str):
                return PlanOutcome(kind=Planned.IGNORED, run=None, message=scene)
        except SceneError as error:
            named = self.options.names.of(landing.uri)
            if error.reason == ASSET_MISSING and (waits := self._wait(landing, error)):
                return waits
            return self._refuse(landing, error, name=named, hash_=scene_hash(collection=None, item=None, uri=named))
        try:
            return self._take(scene, redrive=redrive)
        except SceneError as error:
            return self._refuse(landing, error, name=scene.source.name, hash_=scene.source.hash)

    def _wait(self, landing: Landing, error: SceneError) -> PlanOutcome | None:
        """Let a scene wait for an asset, which may land after its Item; None if it has waited as long as it may.

        It has no run yet: which that is depends on the asset. So the landing is claimed, and nobody holds the claim.
        The reconciler sends it again, until it leads to a run or is refused.
        """
        if not self.options.asset_wait:
            return None
        run, now, name = waiting_run(landing.landing), self.clock(), self.options.names.of(landing.uri)
        due, origin = now + _NEXT_LOOK, landing.model_dump_json()
        self.ledger.claim(run, scene=name, origin=origin, now=now, lease_until=now, due=due)
        if now >= self._row(run).claimed + self.options.asset_wait:
            return None
        return PlanOutcome(kind=Planned.WAITS, run=run, message=error.at(self.options.place))

    def again(self, run: str, landing: Landing) -> PlanOutcome:
        """Plan a run whose claim ran out, from its landing; forget it, where what landed leads to another run by now.

        Raises TransientError.
        """
        # That a run is claimed says that it was to be computed; what waits for an asset has still to find its run.
        outcome = self.plan(landing, redrive=run != waiting_run(landing.landing))
        row = self.ledger.run(run)
        if outcome.run != run and row:
            self.ledger.refuse(run, lease_until=row.lease_until)
        return outcome

    def give_up(self, row: RunRow, landing: Landing, error: SceneError) -> PlanOutcome:
        """Refuse a scene whose run is claimed and nobody is planning. Raises TransientError."""
        if row.lease_until > self.clock():
            msg = f"scene {row.scene}: run {row.run} is being planned at this moment. It is ended when that is over."
            raise LeaseHeldError(msg)
        named = self.options.names.of(landing.uri)
        outcome = self._refuse(landing, error, name=row.scene, hash_=scene_hash(collection=None, item=None, uri=named))
        self.ledger.refuse(row.run, lease_until=row.lease_until)
        return outcome

    def _take(self, scene: LandedScene, *, redrive: bool) -> PlanOutcome:
        """Plan the run that this landing is about, unless it was answered or waits there."""
        retry, answering = redrive or self.options.retry_failed, self.answering
        succession = Succession(ledger=self.ledger, answering=answering, retry_failed=retry)
        found = succession.stand(scene)
        while found.standing is Standing.NEW:
            if outcome := self._claimed(scene, found.run, found.before):
                return outcome
            found = succession.stand(scene)  # another delivery enqueued it since
        kind, message = {
            Standing.WAITING: (Planned.DUPLICATE, "is on its way, and the event at its end answers this landing"),
            Standing.ANSWERED: (Planned.DUPLICATE, "was announced to this landing before"),
            Standing.REPEATED: (Planned.REPEATED, "is done, and was announced to this landing again"),
        }[found.standing]
        return PlanOutcome(kind=kind, run=found.run, message=f"scene {scene.source.name}: run {found.run} {message}")

    @property
    def _drafting(self) -> Drafting:
        return Drafting(objects=self.objects, headers=self.headers, manifest=self.manifest, options=self.options)

    @property
    def _making(self) -> Making:
        return Making(
            objects=self.objects,
            ledger=self.ledger,
            drafting=self._drafting,
            manifest=self.manifest,
            options=self.options,
        )

    @property
    def answering(self) -> Answering:
        """What tells those who landed."""
        return Answering(
            objects=self.objects,
            ledger=self.ledger,
            announcer=self.announcer,
            clock=self.clock,
            names=self.options.names,
        )

    def _claimed(self, scene: LandedScene, run: str, before: RunRow | None) -> PlanOutcome | None:
        """Plan under a lease; None if there is nothing left to plan. Raises SceneError, TransientError."""
        name, now = scene.source.name, self.clock()
        lease_until = now + self.options.lease
        claim = self.ledger.claim(
            run,
            scene=name,
            origin=scene.landing.model_dump_json(),
            now=now,
            lease_until=lease_until,
            due=lease_until + self.admission.patience,
        )
        if claim is Claim.DONE:
            return None
        if claim is Claim.HELD:
            msg = f"scene {name}: another delivery is planning run {run}. It is tried again when that lease runs out."
            raise LeaseHeldError(msg, wait=self.options.lease)
        try:
            plan = self._stored(run) or self._making.make(scene, run, before, created=self._row(run).claimed)
            # Before the first job is out: no run ends without the landings that it answers.
            self.ledger.keep_landing(run, scene.landing.landing, uri=scene.landed_uri)
            self.ledger.planned(run, jobs=len(plan.jobs), batches=len(plan.open_batches), due=self.clock())
        except (SceneError, ReplacedError):
            self.ledger.refuse(run, lease_until=lease_until)
            raise
        except TransientError:
            self.ledger.release(run, lease_until=lease_until)
            raise
        batches = by_job(plan.open_batches, jobs=len(plan.jobs))
        self.admission.admit(self._row(run), batches, self.admission.line())
        if not plan.open_batches:
            self.settling.send_on(self._row(run))
        chips = len(plan.grid)
        weights = ", by untrained weights" if self.manifest.untrained else ""
        message = f"scene {name}: {chips} chips in {sum(batches)} batches{weights}"
        return PlanOutcome(kind=Planned.ENQUEUED, run=run, message=message, chips=chips, batches=sum(batches))

    def _stored(self, run: str) -> Plan | None:
        try:
            return load_plan(self.objects, WorkObjects(bucket=self.options.work_bucket, run=run))
        except ObjectMissingError:
            return None

    def _row(self, run: str) -> RunRow:
        row = self.ledger.run(run)
        if row is None:
            msg = f"run {run} was claimed and is not in the ledger: it was changed by hand"
            raise RuntimeError(msg)
        return row

    def _refuse(self, landing: Landing, error: SceneError, *, name: str, hash_: str) -> PlanOutcome:
        """Write the receipt and announce, unless this very landing was told this before."""
        model = f"{self.manifest.name}-v{self.manifest.version}"
        refusal = Refusal(
            reason=error.reason,
            message=error.at(self.options.place),
            name=name,
            hash=hash_,
            landed_uri=self.options.names.of(landing.uri),
            model=model,
            options=self.options.choices(),
        )
        run, told = self.answering.refuse(landing, refusal, embeddings_bucket=self.options.embeddings_bucket)
        return PlanOutcome(kind=Planned.FAILED if told else Planned.DUPLICATE, run=run, message=refusal.message)
