"""Make a run's plan: the scene's revision, what is taken over from the run before, and the object that commits it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from clayline.errors import OutputConflictError, ReplacedError
from clayline.model.manifest import Manifest
from clayline.ports import ObjectMissingError, PinnedObjects, is_there
from clayline.run.carried import Carried, StoredObject
from clayline.run.keys import JSON, OutputObjects, WorkObjects
from clayline.run.ledger import Ledger, RunRow
from clayline.run.plan import Plan, PlannedChips, PlannedModel
from clayline.run.receipt import State
from clayline.run.stored_plan import load_plan
from clayline.scene.intake import Entrance
from clayline.scene.source import LandedScene
from clayline.steps.drafting import Draft, Drafting
from clayline.steps.options import PlanOptions
from clayline.steps.taking_over import read_receipt

MAX_REVISIONS: Final = 999
"""Of a scene under one model: the name of a file has three digits for it."""


@dataclass(frozen=True, kw_only=True)
class Making:
    """Ports of making a plan."""

    objects: PinnedObjects
    ledger: Ledger
    drafting: Drafting
    manifest: Manifest
    options: PlanOptions

    def make(self, landed: LandedScene, run: str, before: RunRow | None, *, created: datetime) -> Plan:
        """Draft the plan, write its chips, then the plan. ``before`` is the run of the same content before this one.

        Raises SceneError, ReplacedError, TransientError.
        """
        draft = self.drafting.draft(landed)
        revision, outputs = self._revision(landed, draft, run)
        self._compare(landed, run)
        plan = plan_of(
            landed,
            draft,
            run,
            manifest=self.manifest,
            options=self.options,
            created=created,
            revision=revision,
            outputs=outputs,
            before=before,
        )
        if before and (carried := self._carried(plan, draft.chips, before)):
            plan = plan.model_copy(update={"carried": carried})
        work = WorkObjects(bucket=self.options.work_bucket, run=run)
        self.objects.put_new(work.chips, draft.chips.to_bytes(), run=run, content_type="application/x-safetensors")
        if self.objects.put_new(work.plan, plan.model_dump_json(indent=1).encode(), run=run, content_type=JSON):
            return plan
        return load_plan(self.objects, work)  # another delivery outlived its lease and was first: its plan is the plan

    def _revision(self, landed: LandedScene, draft: Draft, run: str) -> tuple[int, OutputObjects]:
        """Take the newest revision whose place in the bucket is free: a ledger may be younger than the files.

        Raises OutputConflictError when there is none.
        """
        scene, token, hash_ = draft.scene, landed.entry.token, landed.source.hash
        days = f"{scene.acquired.start:%Y%m%d}_{scene.acquired.end:%Y%m%d}"
        folder = f"s3://{self.options.embeddings_bucket}/{token}/{hash_}"
        revision = self.ledger.revision(token=token, scene_hash=hash_, run=run)
        while revision <= MAX_REVISIONS:
            outputs = OutputObjects(prefix=f"{folder}/{scene.mgrs}_{days}_v{revision:03d}")
            if not (is_there(self.objects, outputs.receipt) or is_there(self.objects, outputs.parquet)):
                return revision, outputs
            revision = self.ledger.revision(token=token, scene_hash=hash_, run=run, least=revision + 1)
        msg = (
            f"scene {scene.name}: {folder} has {MAX_REVISIONS} revisions of it. Move some away, or let embeddings go to"
            " another bucket."
        )
        raise OutputConflictError(msg)

    def _compare(self, landed: LandedScene, run: str) -> None:
        """Look whether the scene still is what was read, now that it has its revision: what lands from now on is newer.

        Raises ReplacedError; the run gives its revision back.
        """
        etags = {uri: head.etag for uri, head in landed.heads.items()}
        if landed.landing.entrance is not Entrance.DOCUMENT:  # kept under its digest: it cannot change
            etags[landed.source.uri] = landed.source.etag
        for uri, etag in etags.items():
            try:
                found = self.objects.head(uri).etag
            except ObjectMissingError:
                found = None
            if found != etag:
                self.ledger.forget_revision(token=landed.entry.token, scene_hash=landed.source.hash, run=run)
                msg = f"scene {landed.source.name}: {uri} was replaced while it was planned. It is planned again."
                raise ReplacedError(msg)

    def _carried(self, plan: Plan, chips: PlannedChips, before: RunRow) -> Carried | None:
        """Find the batches of which no chip failed in the run before, if what it wrote is there as it wrote it."""
        if before.outcome is None:
            return None
        outputs = OutputObjects.of_receipt(before.outcome.receipt)
        try:
            stored = self._pinned(outputs.receipt, before.run)
            receipt = read_receipt(self.objects, stored)
            parquet = self._pinned(outputs.parquet, before.run) if receipt.counts.written else None
        except (ObjectMissingError, ValidationError):
            return None
        if [line.uci for line in sorted(receipt.chips, key=lambda line: line.index)] != list(chips.uci):
            return None
        failed = {line.index for line in receipt.chips if line.state is State.FAILED}
        batches = tuple(batch.name for batch in plan.batches if failed.isdisjoint(plan.indexes(batch)))
        return Carried(run=before.run, receipt=stored, parquet=parquet, batches=batches) if batches else None

    def _pinned(self, uri: str, run: str) -> StoredObject:
        """Pin an object that ``run`` wrote. Raises ObjectMissingError, also where another's lies in its place."""
        head = self.objects.head(uri)
        if head.run != run:
            msg = f"{uri} is not run {run}'s any more"
            raise ObjectMissingError(msg)
        return StoredObject(uri=uri, etag=head.etag, size=head.size)


def plan_of(  # noqa: PLR0913 - what a plan is made of
    landed: LandedScene,
    draft: Draft,
    run: str,
    *,
    manifest: Manifest,
    options: PlanOptions,
    created: datetime,
    revision: int,
    outputs: OutputObjects,
    before: RunRow | None = None,
) -> Plan:
    """Put the plan of a run together."""
    return Plan(
        run=run,
        created=created,
        creator=options.creator,
        revision=revision,
        predecessor=before.run if before else None,
        landed_uri=landed.landed_uri,
        scene=draft.scene,
        bands=draft.bands,
        mask=draft.mask,
        classification=draft.classification,
        mask_chosen_by=draft.mask_chosen_by,
        validity=draft.validity,
        model=PlannedModel(
            folder=manifest.folder,
            entry=landed.entry,
            checkpoint=manifest.checkpoint,
            producer=manifest.producer,
            licence=manifest.licence,
            files={name: manifest.files[name] for name in landed.entry.files},
            uri=options.model_uri,
        ),
        options=dict(landed.options),
        thresholds=options.thresholds,
        encoding=options.encoding,
        warnings=draft.warnings,
        jobs=draft.jobs,
        batches=draft.batches,
        output_prefix=outputs.prefix,
        names=options.names,
        place=options.place,
    )
