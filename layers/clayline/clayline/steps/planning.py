"""Plan: from a landed object to a stored plan and its tile jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from clayline.chips.batch import Job, block_grid, lay_batches, lay_jobs
from clayline.errors import LeaseHeldError, SceneError, TransientError
from clayline.model.manifest import Manifest, ModelEntry
from clayline.place import Option
from clayline.ports import Announcer, Clock, Headers, ObjectHead, ObjectMissingError, Objects, Queue
from clayline.run.keys import JSON, WorkObjects, scene_hash
from clayline.run.ledger import Claim, Ledger, RunRow, Stage
from clayline.run.plan import Plan, PlannedBand, PlannedModel
from clayline.run.stored_plan import load_plan
from clayline.scene.describe import OpenedBand, check_bands, describe, finest
from clayline.scene.intake import Landing
from clayline.scene.item import BandAsset
from clayline.scene.radiometry import BoaDecision, decide_boa
from clayline.scene.source import LandedScene, SceneSource, read_source
from clayline.steps.answering import Answering, Refusal
from clayline.steps.options import PlanOptions
from clayline.steps.placement import place
from clayline.steps.succession import Standing, Succession

MAX_BATCHES = 40_000
"""Of one scene: their names in the run's settled set must stay under DynamoDB's 400 KB an item."""


class Planned(Enum):
    """What became of a landed object."""

    ENQUEUED = "enqueued"
    DUPLICATE = "duplicate"
    """This landing was answered before, or the event at the run's end will answer it."""
    REPEATED = "repeated"
    """The scene is done: its outcome was announced again."""
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

    objects: Objects
    ledger: Ledger
    tile_queue: Queue
    announcer: Announcer
    headers: Headers
    clock: Clock
    manifest: Manifest
    options: PlanOptions

    def plan(self, landing: Landing) -> PlanOutcome:
        """Plan the scene and enqueue its tile jobs, announce again what became of it, or say that it can never work.

        Raises TransientError (LeaseHeldError among them): the message should come again.
        """
        try:
            source = read_source(
                landing,
                objects=self.objects,
                headers=self.headers,
                allowed_buckets=self.options.allowed_buckets,
                tiff_datetime=self.options.tiff_datetime,
                names=self.options.names,
            )
            if isinstance(source, str):
                return PlanOutcome(kind=Planned.IGNORED, run=None, message=source)
            entry = self.manifest.choose(
                scene=source.name, sensor=source.product.sensor, bands=frozenset(band.name for band in source.bands)
            )
            heads = self._heads(source, entry)
            scene = LandedScene(
                landing=landing,
                landed_uri=self.options.names.of(landing.uri),
                source=source,
                entry=entry,
                heads=heads,
                options=self.options.identity(source),
            )
        except SceneError as error:
            named = self.options.names.of(landing.uri)
            return self._refuse(landing, error, name=named, hash_=scene_hash(collection=None, item=None, uri=named))
        try:
            return self._take(scene)
        except SceneError as error:
            return self._refuse(landing, error, name=source.name, hash_=source.hash)

    def _take(self, scene: LandedScene) -> PlanOutcome:
        """Plan the run that this landing is about, unless it was answered or waits there."""
        retry, answering = self.options.retry_failed, self._answering
        succession = Succession(ledger=self.ledger, answering=answering, retry_failed=retry)
        found = succession.stand(scene)
        while found.standing is Standing.NEW:
            if outcome := self._claimed(scene, found.run, predecessor=found.predecessor):
                return outcome
            found = succession.stand(scene)  # another delivery enqueued it since
        kind, message = {
            Standing.WAITING: (Planned.DUPLICATE, "is on its way, and the event at its end answers this landing"),
            Standing.ANSWERED: (Planned.DUPLICATE, "was announced to this landing before"),
            Standing.REPEATED: (Planned.REPEATED, "is done, and was announced to this landing again"),
        }[found.standing]
        return PlanOutcome(kind=kind, run=found.run, message=f"scene {scene.source.name}: run {found.run} {message}")

    @property
    def _answering(self) -> Answering:
        return Answering(objects=self.objects, ledger=self.ledger, announcer=self.announcer, names=self.options.names)

    def _claimed(self, scene: LandedScene, run: str, *, predecessor: str | None) -> PlanOutcome | None:
        """Plan under a lease; None if there is nothing left to plan. Raises SceneError, TransientError."""
        name, now = scene.source.name, self.clock()
        lease_until = now + self.options.lease
        claim = self.ledger.claim(run, scene=name, now=now, lease_until=lease_until)
        if claim is Claim.DONE:
            return None
        if claim is Claim.HELD:
            msg = f"scene {name}: another delivery is planning run {run}. It is tried again when that lease runs out."
            raise LeaseHeldError(msg)
        try:
            plan = self._stored(run) or self._make(scene, run, predecessor)
            self.ledger.advance(run, Stage.PLANNED, batches=len(plan.batches))
            # Before the first job is out: no run ends without the landings that it answers.
            self.ledger.keep_landing(run, scene.landing.landing, uri=scene.landed_uri)
            self.tile_queue.send([{"run": run, "job": job.number} for job in plan.jobs])
            self.ledger.advance(run, Stage.ENQUEUED)
        except SceneError:
            self.ledger.refuse(run, lease_until=lease_until)
            raise
        except TransientError:
            self.ledger.release(run, lease_until=lease_until)
            raise
        chips, batches = len(plan.grid), len(plan.batches)
        weights = ", by untrained weights" if self.manifest.untrained else ""
        message = f"scene {name}: {chips} chips in {batches} batches{weights}"
        return PlanOutcome(kind=Planned.ENQUEUED, run=run, message=message, chips=chips, batches=batches)

    def _stored(self, run: str) -> Plan | None:
        try:
            return load_plan(self.objects, WorkObjects(bucket=self.options.work_bucket, run=run))
        except ObjectMissingError:
            return None

    def _make(self, landed: LandedScene, run: str, predecessor: str | None) -> Plan:
        """Read headers, lay the grid, write chips, then the plan: its object is the commit."""
        source, entry, heads = landed.source, landed.entry, landed.heads
        opened = {band.name: self._open(band, heads) for band in source.bands if band.name in entry.bands}
        bands = tuple(opened[name] for name in entry.bands)
        check_bands(source, bands, entry)
        mask = self._open(source.mask, heads) if source.mask else None
        boa = self._boa(source)
        grid_header = finest(bands)
        scene = describe(source, grid_header, entry, self.headers, any_gsd=self.options.any_gsd, boa=boa)
        planned = tuple(band.planned(nodata=source.product.nodata, offset=boa.offset if boa else 0) for band in bands)
        planned_mask = mask.planned(nodata=None, offset=0) if mask else None
        revision = self.ledger.revision(token=entry.token, scene_hash=source.hash, run=run)
        days = f"{scene.acquired.start:%Y%m%d}_{scene.acquired.end:%Y%m%d}"
        prefix = (
            f"s3://{self.options.embeddings_bucket}/{entry.token}/{source.hash}/{scene.mgrs}_{days}_v{revision:03d}"
        )
        plan = Plan(
            run=run,
            created=self._row(run).claimed,
            creator=self.options.creator,
            revision=revision,
            predecessor=predecessor,
            landed_uri=landed.landed_uri,
            scene=scene,
            bands=planned,
            mask=planned_mask,
            model=PlannedModel(
                folder=self.manifest.folder,
                entry=entry,
                checkpoint=self.manifest.checkpoint,
                producer=self.manifest.producer,
            ),
            options=dict(landed.options),
            thresholds=self.options.thresholds,
            encoding=self.options.encoding,
            jobs=(),
            batches=(),
            output_prefix=prefix,
            names=self.options.names,
            place=self.options.place,
        )
        jobs = self._jobs(plan, (*planned, *((planned_mask,) if planned_mask else ())))
        batches = lay_batches(jobs, self.options.chips_per_batch)
        if len(batches) > MAX_BATCHES:
            msg = (
                f"scene {source.name}: {len(batches)} batches are over the {MAX_BATCHES} that the ledger holds of one"
                f" scene. Raise {Option.CHIPS_PER_BATCH} ({self.options.chips_per_batch}), or cut the scene into tiles."
            )
            raise SceneError(msg, reason="too-many-batches")
        plan = plan.model_copy(update={"jobs": jobs, "batches": batches})
        chips = place(scene, plan.grid, token=entry.token, headers=self.headers)
        work = WorkObjects(bucket=self.options.work_bucket, run=run)
        self.objects.put_new(work.chips, chips.to_bytes(), run=run, content_type="application/x-safetensors")
        if self.objects.put_new(work.plan, plan.model_dump_json(indent=1).encode(), run=run, content_type=JSON):
            return plan
        return load_plan(self.objects, work)  # another delivery outlived its lease and was first: its plan is the plan

    def _row(self, run: str) -> RunRow:
        row = self.ledger.run(run)
        if row is None:
            msg = f"run {run} was claimed and is not in the ledger: it was changed by hand"
            raise RuntimeError(msg)
        return row

    def _jobs(self, plan: Plan, bands: tuple[PlannedBand, ...]) -> tuple[Job, ...]:
        blocks = {block_grid(band.header, finest=plan.scene.transform) for band in bands}
        itemsize = sum({"uint8": 1, "uint16": 2}.get(band.header.dtype, 4) for band in bands)
        return lay_jobs(
            plan.grid,
            tuple(sorted(blocks, key=str)),
            bytes_per_pixel=itemsize,
            memory_budget=self.options.memory_budget,
            chips_per_batch=self.options.chips_per_batch,
        )

    def _heads(self, source: SceneSource, entry: ModelEntry) -> dict[str, ObjectHead]:
        """Ask for the ETag of every file that will be read."""
        used = [band for band in source.bands if band.name in entry.bands] + ([source.mask] if source.mask else [])
        heads = {}
        for asset in used:
            try:
                heads[asset.uri] = self.objects.head(asset.uri)
            except ObjectMissingError as error:
                msg = (
                    f"scene {source.name}: band {asset.name} should be {self.options.names.of(asset.uri)}, and nothing"
                    f" is there. {Option.FIND_ASSETS}"
                )
                raise SceneError(msg, reason="asset-missing") from error
        return heads

    def _open(self, asset: BandAsset, heads: Mapping[str, ObjectHead]) -> OpenedBand:
        head = heads[asset.uri]
        found = self.headers.source(head)
        return OpenedBand(asset=asset, head=head, header=self.headers.read_header(found), called=found.uri)

    def _boa(self, source: SceneSource) -> BoaDecision | None:
        if not source.product.boa:
            return None
        return decide_boa(
            scene=source.name, properties=source.properties, acquired=source.acquired.start, override=self.options.boa
        )

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
        run, told = self._answering.refuse(landing, refusal, embeddings_bucket=self.options.embeddings_bucket)
        return PlanOutcome(kind=Planned.FAILED if told else Planned.DUPLICATE, run=run, message=refusal.message)
