"""Plan: from a landed object to a stored plan and its tile jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from clayline.batch import Job, block_grid, lay_batches, lay_jobs
from clayline.encoding import VectorEncoding
from clayline.errors import LeaseHeldError, SceneError, TransientError
from clayline.intake import Landing
from clayline.item import BandAsset
from clayline.ledger import Claim, Ledger, Stage
from clayline.manifest import Manifest, ModelEntry
from clayline.placement import place
from clayline.plan import Plan, PlannedBand, PlannedModel, Thresholds
from clayline.ports import Announcer, Clock, Headers, ObjectHead, ObjectMissingError, Objects, Queue
from clayline.radiometry import BoaDecision, BoaOverride, decide_boa
from clayline.receipt import failed_receipt
from clayline.run import OutputObjects, WorkObjects, failed_run_id, run_id, scene_hash
from clayline.scene import OpenedBand, check_bands, describe, finest
from clayline.source import SceneSource, read_source

JSON = "application/json"
MAX_BATCHES = 40_000
"""Of one scene: their names in the run's settled set must stay under DynamoDB's 400 KB an item."""


class Planned(Enum):
    """What became of a landed object."""

    ENQUEUED = "enqueued"
    DUPLICATE = "duplicate"
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


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOptions:
    """What a deployment chose."""

    work_bucket: str
    embeddings_bucket: str
    allowed_buckets: frozenset[str]
    any_gsd: bool
    boa: BoaOverride
    tiff_datetime: bool
    creator: str
    thresholds: Thresholds
    encoding: VectorEncoding
    lease: timedelta
    chips_per_batch: int
    memory_budget: int
    """Bytes of a tile job's pixels."""

    def identity(self, source: SceneSource) -> dict[str, Any]:
        """Give the choices that change what comes out: part of the run's identity."""
        return {
            "any_gsd": self.any_gsd,
            "boa": self.boa.value,
            "tiff_datetime": self.tiff_datetime,
            "creator": self.creator,
            **self.thresholds.model_dump(),
            "vector_encoding": self.encoding.value,
            **({"object_metadata": dict(source.identity)} if source.identity else {}),
        }


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
        """Plan the scene and enqueue its tile jobs; a scene that can never work is recorded and announced as failed.

        Raises TransientError (LeaseHeldError among them): the message should come again.
        """
        try:
            source = read_source(
                landing,
                objects=self.objects,
                headers=self.headers,
                allowed_buckets=self.options.allowed_buckets,
                tiff_datetime=self.options.tiff_datetime,
            )
            if isinstance(source, str):
                return PlanOutcome(kind=Planned.IGNORED, run=None, message=source)
            entry = self.manifest.choose(
                scene=source.name, sensor=source.product.sensor, bands=frozenset(band.name for band in source.bands)
            )
            heads = self._heads(source, entry)
            options = self.options.identity(source)
            etags = {uri: head.etag for uri, head in heads.items() if uri != source.uri}
            run = run_id(source_etag=source.etag, asset_etags=etags, token=entry.token, digest=entry.digest, options=options)
        except SceneError as error:
            return self._fail(landing, error, run=None, name=landing.uri, hash_=scene_hash(collection=None, item=None, uri=landing.uri))
        return self._claimed(landing, source, entry, heads, run, options)

    def _claimed(
        self, landing: Landing, source: SceneSource, entry: ModelEntry, heads: Mapping[str, ObjectHead], run: str, options: dict[str, Any]
    ) -> PlanOutcome:
        now = self.clock()
        lease_until = now + self.options.lease
        claim = self.ledger.claim(run, scene=source.name, now=now, lease_until=lease_until)
        if claim is Claim.DONE:
            return PlanOutcome(kind=Planned.DUPLICATE, run=run, message=f"scene {source.name} is already planned as run {run}")
        if claim is Claim.HELD:
            msg = f"scene {source.name}: another delivery is planning run {run}. It is tried again when that lease has run out."
            raise LeaseHeldError(msg)
        try:
            plan = self._stored(run) or self._make(source, entry, heads, run, options)
            self.ledger.advance(run, Stage.PLANNED, batches=len(plan.batches))
            self.tile_queue.send([{"run": run, "job": job.number} for job in plan.jobs])
            self.ledger.advance(run, Stage.ENQUEUED)
        except SceneError as error:
            return self._fail(landing, error, run=run, name=source.name, hash_=source.hash)
        except TransientError:
            self.ledger.release(run, lease_until=lease_until)
            raise
        chips, batches = len(plan.grid), len(plan.batches)
        weights = ", by untrained weights" if self.manifest.untrained else ""
        message = f"scene {source.name}: {chips} chips in {batches} batches{weights}"
        return PlanOutcome(kind=Planned.ENQUEUED, run=run, message=message, chips=chips, batches=batches)

    def _stored(self, run: str) -> Plan | None:
        try:
            return load_plan(self.objects, WorkObjects(bucket=self.options.work_bucket, run=run))
        except ObjectMissingError:
            return None

    def _make(self, source: SceneSource, entry: ModelEntry, heads: Mapping[str, ObjectHead], run: str, options: dict[str, Any]) -> Plan:
        """Read headers, lay the grid, write chips, then the plan: its object is the commit."""
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
        prefix = f"s3://{self.options.embeddings_bucket}/{entry.token}/{source.hash}/{scene.mgrs}_{days}_v{revision:03d}"
        plan = Plan(
            run=run,
            created=self._claimed_at(run),
            creator=self.options.creator,
            revision=revision,
            scene=scene,
            bands=planned,
            mask=planned_mask,
            model=PlannedModel(
                folder=self.manifest.folder, entry=entry, checkpoint=self.manifest.checkpoint, producer=self.manifest.producer
            ),
            options=options,
            thresholds=self.options.thresholds,
            encoding=self.options.encoding,
            jobs=(),
            batches=(),
            output_prefix=prefix,
        )
        jobs = self._jobs(plan, (*planned, *((planned_mask,) if planned_mask else ())))
        batches = lay_batches(jobs, self.options.chips_per_batch)
        if len(batches) > MAX_BATCHES:
            msg = (
                f"scene {source.name}: {len(batches)} batches are over the {MAX_BATCHES} that the ledger holds of one scene. "
                f"Raise ChipsPerBatch ({self.options.chips_per_batch}), or cut the scene into tiles."
            )
            raise SceneError(msg, reason="too-many-batches")
        plan = plan.model_copy(update={"jobs": jobs, "batches": batches})
        chips = place(scene, plan.grid, token=entry.token, headers=self.headers)
        work = WorkObjects(bucket=self.options.work_bucket, run=run)
        self.objects.put_new(work.chips, chips.to_bytes(), run=run, content_type="application/x-safetensors")
        if self.objects.put_new(work.plan, plan.model_dump_json(indent=1).encode(), run=run, content_type=JSON):
            return plan
        return load_plan(self.objects, work)  # another delivery outlived its lease and was first: its plan is the plan

    def _claimed_at(self, run: str) -> datetime:
        row = self.ledger.run(run)
        if row is None:
            msg = f"run {run} was claimed and is not in the ledger: it was changed by hand"
            raise RuntimeError(msg)
        return row.claimed

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
                    f"scene {source.name}: band {asset.name} should be {asset.uri}, and there is no such object. "
                    "Upload the assets first, then land the Item again."
                )
                raise SceneError(msg, reason="asset-missing") from error
        return heads

    def _open(self, asset: BandAsset, heads: Mapping[str, ObjectHead]) -> OpenedBand:
        head = heads[asset.uri]
        return OpenedBand(asset=asset, head=head, header=self.headers.read_header(self.headers.source(head)))

    def _boa(self, source: SceneSource) -> BoaDecision | None:
        if not source.product.boa:
            return None
        return decide_boa(scene=source.name, properties=source.properties, acquired=source.acquired.start, override=self.options.boa)

    def _fail(self, landing: Landing, error: SceneError, *, run: str | None, name: str, hash_: str) -> PlanOutcome:
        """Write the receipt, announce, and remember that it was announced; a repetition finds all three done."""
        run = run or failed_run_id(
            source_uri=landing.uri, source_etag=landing.etag, reason=error.reason, token=f"{self.manifest.name}-v{self.manifest.version}"
        )
        row = self.ledger.run(run)
        if row and row.stage >= Stage.ANNOUNCED:
            return PlanOutcome(kind=Planned.DUPLICATE, run=run, message=str(error))
        outputs = OutputObjects(prefix=f"s3://{self.options.embeddings_bucket}/failed/{hash_}/{run}")
        receipt = failed_receipt(
            run=run, scene=name, source_uri=landing.uri, reason=error.reason, message=str(error), outputs={"receipt": outputs.receipt}
        )
        self.objects.put_new(outputs.receipt, receipt.model_dump_json(indent=1).encode(), run=run, content_type=JSON)
        self.announcer.announce(receipt.status, receipt.summary())
        self.ledger.announce_failure(run, scene=name)
        return PlanOutcome(kind=Planned.FAILED, run=run, message=str(error))


def load_plan(objects: Objects, work: WorkObjects) -> Plan:
    """Read a stored plan. Raises ObjectMissingError, TransientError."""
    return Plan.model_validate_json(objects.get(work.plan))
