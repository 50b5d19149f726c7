"""From a job's pixels to each batch's request: what tile stores, and what a chip that is asked about is made from."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.chips.batch import Batch, Job
from clayline.chips.chip import count_in, cut, fractions, prepare, take_impossible, touched, valid_mask
from clayline.chips.cloud import SCL, find_cloud
from clayline.chips.grid import ChipWindow
from clayline.chips.limits import exceeds, reaches
from clayline.model.wire import BatchHeader, Request
from clayline.ports import JobPixels
from clayline.run.plan import Plan, Thresholds
from clayline.run.receipt import NODATA, UNREADABLE, BatchOutcomes, State
from clayline.scene.acquisition import place_vector, time_vector


def cut_batches(
    plan: Plan, job: Job, batches: Sequence[Batch], read: JobPixels, corners: NDArray[np.float64] | None
) -> Iterator[tuple[BatchOutcomes, Request | None]]:
    """Give what becomes of each batch's chips, and its request; None where no chip is sent.

    ``corners`` [all chips, 4, 2] are given to a model that asks where chips lie. The request's arrays are used again
    for the next one. Damaged pixels fail the chips that hold one, also where only the class mask is damaged: their
    cloud fraction would be a guess.
    """
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
        request = None
        if sent:
            chips = cut(pixels, sent, origin=origin, fill=entry.nodata_fill, room=room)
            inputs = {"pixels": chips, **_position(plan, sent, corners)}
            request = Request(
                header=_header(plan, batch), index=np.array([window.index for window in sent]), inputs=inputs
            )
        yield outcomes, request


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
    if not reaches(valid, thresholds.min_valid_fraction):
        return "valid-below-threshold"
    # NaN, an unknown cloud fraction, is above nothing.
    return "cloud-above-threshold" if exceeds(cloud, thresholds.max_cloud_fraction) else None
