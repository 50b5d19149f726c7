"""Tile: read a job's blocks once, cut its chips, and send each batch to the endpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from clayline.chips.batch import Batch, Job
from clayline.chips.chip import count_in, cut, fractions, prepare, take_impossible, touched, valid_mask
from clayline.chips.cloud import SCL, find_cloud
from clayline.chips.grid import ChipWindow
from clayline.chips.reading import NOTHING, Reading
from clayline.errors import BatchError, TransientError
from clayline.model.wire import CONTENT_TYPE, BatchHeader, Request
from clayline.ports import Clock, Endpoint, JobPixels, ObjectMissingError, Objects, Pixels, Queue
from clayline.run.keys import JSON, WorkObjects, inference_id
from clayline.run.ledger import BatchRow, Ledger
from clayline.run.plan import Plan, PlannedChips, Thresholds
from clayline.run.receipt import NODATA, UNREADABLE, BatchOutcomes, State
from clayline.run.result import NothingSent
from clayline.run.stored_plan import load_plan
from clayline.scene.acquisition import place_vector, time_vector


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
        """Write request and outcomes of each batch; what can never be read gives failed chips.

        Damaged pixels fail the chips that hold one, also where only the class mask is damaged: their cloud fraction
        would be a guess.
        """
        if isinstance(read, BatchError):
            for batch in batches:
                failed = BatchOutcomes.all_failed(plan.run, batch.name, plan.indexes(batch), read.reason)
                yield self._store(work, failed)
            return
        windows = list(job.windows(plan.grid))
        entry = plan.model.entry
        valid = valid_mask(read.pixels, [band.nodata for band in plan.bands], read.masked)
        impossible = take_impossible(read.pixels, valid, [band.possible for band in plan.bands])
        clamped = np.zeros(valid.shape, np.bool_)
        pixels = prepare(
            read.pixels,
            valid,
            offsets=[band.offset for band in plan.bands],
            fill=entry.nodata_fill,
            dtype=entry.dtype,
            conversions=[band.conversion for band in plan.bands],
            clamped=clamped,
        )
        classification = plan.classification or SCL
        cloud = None if read.mask is None else find_cloud(read.mask, classification, read.unclassified)
        origin = (read.row, read.col)
        most, size = max(batch.stop - batch.start for batch in batches), windows[0].size
        room = np.empty((most, len(pixels), size, size), pixels.dtype)
        corners = self._corners(work, plan)
        for batch in batches:
            part = windows[batch.start : batch.stop]
            shares = fractions(valid, cloud, part, origin=origin)
            outcomes = _decide(
                plan,
                batch,
                part,
                shares,
                touched(read.damaged, part, origin=origin),
                impossible=count_in(impossible, part, origin=origin),
                clamped=count_in(clamped, part, origin=origin),
            )
            sent = [window for window, is_sent in zip(part, outcomes.sent, strict=True) if is_sent]
            if sent:
                chips = cut(pixels, sent, origin=origin, fill=entry.nodata_fill, room=room)
                inputs = {"pixels": chips, **_position(plan, sent, corners)}
                request = Request(
                    header=_header(plan, batch), index=np.array([window.index for window in sent]), inputs=inputs
                )
                body = request.to_bytes()
                self.objects.put_new(work.request(batch.name), body, run=plan.run, content_type=CONTENT_TYPE)
                outcomes = outcomes.model_copy(update={"request_bytes": len(body)})
            yield self._store(work, outcomes)

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


def _position(plan: Plan, sent: Sequence[ChipWindow], corners: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
    """Give ``time`` and ``latlon`` [N, 4] float32, if the model takes them; it takes ``latlon`` if there are
    ``corners`` [all chips, 4, 2].
    """
    entry, inputs = plan.model.entry, {}
    if "time" in entry.inputs:
        taken, hour = plan.scene.acquired, entry.options.hour or "noon"
        if hour == "acquisition" and taken.start != taken.end:
            hour = "noon"  # an interval has no hour; noon is what Clay was trained with, midnight would be made up
        vector = time_vector(taken.start, hour=hour)
        inputs["time"] = np.tile(np.array(vector, dtype=np.float32), (len(sent), 1))
    if corners is not None:
        lons, lats = _centres(corners[[window.index for window in sent]])
        order = entry.options.coordinate_order or "lonlat"
        vectors = [place_vector(lon, lat, order=order) for lon, lat in zip(lons.tolist(), lats.tolist(), strict=True)]
        inputs["latlon"] = np.array(vectors, dtype=np.float32)
    return inputs


def _is_to_be_sent(row: BatchRow | None) -> bool:
    return row is None or (row.result is None and (row.lost is not None or row.invocation is None))


def _header(plan: Plan, batch: Batch) -> BatchHeader:
    entry = plan.model.entry
    return BatchHeader(
        run=plan.run,
        batch=batch.name,
        folder=plan.model.folder,
        token=entry.token,
        digest=entry.digest,
    )


def _centres(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give longitude and latitude [N] of chips with ``corners`` [N, 4, 2], degrees.

    The mean of the corners' directions: degrees cannot be averaged over the antimeridian or a pole, and their mean lies
    off a large chip's centre at high latitudes.
    """
    lon, lat = np.radians(corners[:, :, 0]), np.radians(corners[:, :, 1])
    x, y, z = (part.sum(axis=1) for part in (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)))
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def _decide(
    plan: Plan,
    batch: Batch,
    windows: Sequence[ChipWindow],
    shares: tuple[NDArray[np.float32], NDArray[np.float32]],
    damaged: Sequence[bool],
    *,
    impossible: int,
    clamped: int,
) -> BatchOutcomes:
    valid, cloud = (share.astype(float).tolist() for share in shares)
    ends = [
        (State.FAILED, UNREADABLE) if is_damaged else _skipped(*pair, plan.thresholds)
        for is_damaged, pair in zip(damaged, zip(valid, cloud, strict=True), strict=True)
    ]
    return BatchOutcomes(
        run=plan.run,
        batch=batch.name,
        index=tuple(window.index for window in windows),
        sent=tuple(state is None for state, _ in ends),
        state=tuple(state for state, _ in ends),
        reason=tuple(reason for _, reason in ends),
        valid_fraction=tuple(None if lost else share for share, lost in zip(valid, damaged, strict=True)),
        cloud_fraction=tuple(
            None if lost or np.isnan(share) else share for share, lost in zip(cloud, damaged, strict=True)
        ),
        impossible=impossible,
        clamped=clamped,
    )


def _skipped(valid: float, cloud: float, thresholds: Thresholds) -> tuple[State | None, str | None]:
    reason = _skip_reason(valid, cloud, thresholds)
    return (None, None) if reason is None else (State.SKIPPED, reason)


def _skip_reason(valid: float, cloud: float, thresholds: Thresholds) -> str | None:
    if valid == 0:
        return NODATA
    if valid < thresholds.min_valid_fraction:
        return "valid-below-threshold"
    # NaN, an unknown cloud fraction, is above nothing.
    return "cloud-above-threshold" if cloud > thresholds.max_cloud_fraction else None
