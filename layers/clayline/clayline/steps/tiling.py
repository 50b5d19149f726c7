"""Tile: read a job's blocks once, cut its chips, and send each batch to the endpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from clayline.chips.batch import Batch, Job
from clayline.chips.reading import NOTHING, Reading
from clayline.errors import BatchError, TransientError
from clayline.model.wire import CONTENT_TYPE
from clayline.ports import Clock, Endpoint, JobPixels, ObjectMissingError, Objects, Pixels, Queue
from clayline.run.keys import JSON, WorkObjects, inference_id
from clayline.run.ledger import BatchRow, Ledger
from clayline.run.plan import Plan, PlannedChips
from clayline.run.receipt import BatchOutcomes, State
from clayline.run.result import NothingSent
from clayline.run.stored_plan import load_plan
from clayline.steps.cutting import cut_batches


class TileJob(BaseModel):
    """The tile queue's message."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\z")]
    job: int = Field(ge=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiled:
    """What a delivery did, for the log: batches found done by an earlier one are not counted."""

    batches: int
    sent: int
    skipped: int
    failed: int
    reading: Reading = NOTHING
    """What reading the job took."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Ports of tile."""

    objects: Objects
    ledger: Ledger
    endpoint: Endpoint
    result_queue: Queue
    pixels: Pixels
    clock: Clock
    work_bucket: str

    def tile(self, message: TileJob) -> Tiled:
        """Tile one job. Batches that are under way or have ended are left alone.

        Those whose request is stored are sent without reading again. A batch whose last attempt failed, or of which
        nobody knows whether the endpoint took it, is sent as the next attempt.

        Raises TransientError.
        """
        work = WorkObjects(bucket=self.work_bucket, run=message.run)
        try:
            plan = load_plan(self.objects, work)
        except ObjectMissingError as error:
            msg = f"run {message.run} has no plan yet: {error}. The job is tried again."
            raise TransientError(msg) from error
        run = self.ledger.run(plan.run)
        if run is None or not run.state.is_open:
            return Tiled(batches=0, sent=0, skipped=0, failed=0)
        rows = {batch.name: self.ledger.batch(plan.run, batch.name) for batch in plan.job_batches(message.job)}
        todo = [batch for batch in plan.job_batches(message.job) if _is_to_be_sent(rows[batch.name])]
        stored = {batch.name: self._stored(work, batch) for batch in todo}
        unread = [batch for batch in todo if stored[batch.name] is None]
        done, reading = [], NOTHING
        for batch in todo:
            if found := stored[batch.name]:
                self._send(work, found, message.job, rows[batch.name])
                done.append(found)
        if unread:
            job = next(job for job in plan.jobs if job.number == message.job)
            read = self._pixels(plan, job)
            reading = NOTHING if isinstance(read, BatchError) else read.reading
            for outcomes in self._cut(work, plan, job, unread, read):
                self._send(work, outcomes, message.job, rows[outcomes.batch])
                done.append(outcomes)
        states = [state for outcomes in done for state in outcomes.state]
        return Tiled(
            batches=len(done),
            sent=states.count(None),
            skipped=states.count(State.SKIPPED),
            failed=states.count(State.FAILED),
            reading=reading,
        )

    def _stored(self, work: WorkObjects, batch: Batch) -> BatchOutcomes | None:
        """Give what an earlier delivery decided; None if it did not come so far, or its request has expired since."""
        try:
            outcomes = BatchOutcomes.model_validate_json(self.objects.get(work.outcomes(batch.name)))
            if outcomes.sent_indexes:
                self.objects.head(work.request(batch.name))
        except ObjectMissingError:
            return None
        return outcomes

    def _send(self, work: WorkObjects, outcomes: BatchOutcomes, job: int, row: BatchRow | None) -> None:
        """Row, then invocation, then where its answer will be: a completion can never beat the row."""
        run, batch, attempt = outcomes.run, outcomes.batch, row.attempt + 1 if row else 1
        if not self.ledger.begin(run, batch, job=job, attempt=attempt, now=self.clock()):
            return  # another delivery is at it
        if outcomes.sent_indexes:
            identity = inference_id(run=run, batch=batch, attempt=attempt)
            invocation = self.endpoint.invoke(input_uri=work.request(batch), inference_id=identity)
            self.ledger.invoked(run, batch, attempt=attempt, invocation=invocation)
        else:
            self.result_queue.send([NothingSent(run=run, batch=batch, attempt=attempt).model_dump()])

    def _pixels(self, plan: Plan, job: Job) -> JobPixels | BatchError:
        """Read the job's pixels, or give why they can never be read. Raises TransientError."""
        try:
            self._pinned(plan)
            read = self.pixels.read_job(plan, job)
            self._pinned(plan)  # before anything is written or invoked: these are the plan's pixels, or none
        except BatchError as error:
            return error
        return read

    def _cut(
        self, work: WorkObjects, plan: Plan, job: Job, batches: Sequence[Batch], read: JobPixels | BatchError
    ) -> Iterator[BatchOutcomes]:
        """Write request and outcomes of each batch; what can never be read gives failed chips."""
        if isinstance(read, BatchError):
            for batch in batches:
                failed = BatchOutcomes.all_failed(plan.run, batch.name, plan.indexes(batch), read.reason)
                yield self._store(work, failed)
            return
        for outcomes, request in cut_batches(plan, job, batches, read, self._corners(work, plan)):
            stored = outcomes
            if request:
                body = request.to_bytes()
                self.objects.put_new(work.request(outcomes.batch), body, run=plan.run, content_type=CONTENT_TYPE)
                stored = outcomes.model_copy(update={"request_bytes": len(body)})
            yield self._store(work, stored)

    def _store(self, work: WorkObjects, outcomes: BatchOutcomes) -> BatchOutcomes:
        """Write the outcomes: the commit of the batch's tiling. If another delivery was first, its outcomes hold."""
        uri = work.outcomes(outcomes.batch)
        if self.objects.put_new(uri, outcomes.model_dump_json().encode(), run=outcomes.run, content_type=JSON):
            return outcomes
        return BatchOutcomes.model_validate_json(self.objects.get(uri))

    def _pinned(self, plan: Plan) -> None:
        """Refuse sources that are not the plan's any more. Raises BatchError."""
        for uri, band in plan.sources().items():
            try:
                etag = self.objects.head(uri).etag
            except ObjectMissingError as error:
                msg = f"scene {plan.scene.name}: {uri} was deleted after it was planned."
                raise BatchError(msg, reason="source-missing") from error
            if etag != band.etag:
                msg = (
                    f"scene {plan.scene.name}: {uri} was replaced after it was planned (ETag {band.etag}, now {etag})."
                )
                raise BatchError(msg, reason="source-changed")

    def _corners(self, work: WorkObjects, plan: Plan) -> NDArray[np.float64] | None:
        """Read the corners [N, 4, 2] of all chips, once a job; None if the model does not ask where chips lie."""
        if "latlon" not in plan.model.entry.inputs:
            return None
        return PlannedChips.from_bytes(self.objects.get(work.chips)).corners


def _is_to_be_sent(row: BatchRow | None) -> bool:
    return row is None or (row.result is None and (row.lost is not None or row.invocation is None))
