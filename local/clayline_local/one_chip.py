"""One chip of a scene on this machine through the model: the vector that the whole pipeline would give it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.chips.batch import Batch, Job
from clayline.likeness.examples import Facts
from clayline.model.manifest import ModelEntry
from clayline.model.wire import CONTENT_TYPE, STATUS_GOOD, Response
from clayline.outputs.footprints import footprints
from clayline.run.keys import OutputObjects
from clayline.run.plan import Plan
from clayline.steps.cutting import cut_batches
from clayline.steps.making import plan_of
from clayline.steps.options import PlanOptions
from clayline_local.container import Container
from clayline_local.dry_run import dry_run
from clayline_local.errors import LocalCloudError
from clayline_local.model_folder import ModelFolder
from clayline_local.model_server import ModelServer
from clayline_local.staged_objects import StagedObjects, StagedPixels
from clayline_local.staged_scene import StagedScene

_SECONDS: Final = 900


@dataclass(frozen=True, kw_only=True)
class OneChip:
    """A chip's vector, and whose it is."""

    vector: NDArray[np.float32]
    """[D]."""
    entry: ModelEntry
    instrument: str
    uci: str
    """That the chip would have."""
    facts: Facts
    plan: Plan
    """Of the scene, whose grid has the chip as ``index``."""
    index: int


def embed_one(
    scene: StagedScene,
    *,
    lon: float,
    lat: float,
    model: ModelFolder,
    options: PlanOptions,
    scratch: Path,
    notice: Callable[[str], None],
) -> OneChip:
    """Embed the chip of a scene's grid on which a place lies, by the functions' own code and the container's server.

    Of several the one whose centre is nearest. Raises SceneError for a scene or chip that the pipeline would refuse,
    LocalCloudError for a place beside the scene and a model that does not answer, TransientError.
    """
    found = dry_run(scene, manifest=model.manifest, options=options)
    if found.refused:
        raise found.refused
    draft, landed = found.draft, found.landed
    if draft is None or landed is None:
        msg = f"{scene.name} starts no scene."
        raise LocalCloudError(msg)
    index = _index(draft.chips.corners, lon, lat)
    if index is None:
        msg = f"{scene.name}: no chip lies on {lon:g},{lat:g}. Give longitude, then latitude, of a place on it."
        raise LocalCloudError(msg)
    row, col = divmod(index, draft.grid.cols)
    job = Job(number=0, row_start=row, row_stop=row + 1, col_start=col, col_stop=col + 1)
    batch = Batch(name="b00000", job=0, start=0, stop=1)
    plan = plan_of(
        landed,
        replace(draft, jobs=(job,), batches=(batch,)),
        "0" * 32,
        manifest=model.manifest,
        options=options,
        created=datetime.now(UTC),
        revision=1,
        outputs=OutputObjects(prefix="s3://embeddings/one/chip"),
    )
    pixels = StagedPixels(files=StagedObjects(scene=scene).files).read_job(plan, job)
    [(outcomes, request)] = cut_batches(plan, job, [batch], pixels, draft.chips.corners if _asks_where(plan) else None)
    if request is None:
        msg = f"{scene.name}: the chip on {lon:g},{lat:g} has nothing to embed ({outcomes.reason[0]}). Give another."
        raise LocalCloudError(msg)
    with ModelServer(model, scratch=scratch, log=scratch / "server.log") as server:
        server.wait(seconds=_SECONDS, notice=notice)
        container = Container(server.url, supervised=False)
        _, body = container.answer(request.to_bytes(), {"Content-Type": CONTENT_TYPE}, seconds=_SECONDS)
    answer = Response.from_bytes(body)
    if answer.status[0] != STATUS_GOOD:
        msg = f"{scene.name}: the model's vector of the chip on {lon:g},{lat:g} is not finite. Give another."
        raise LocalCloudError(msg)
    return OneChip(
        vector=answer.embeddings[0],
        entry=landed.entry,
        instrument=plan.scene.instrument,
        uci=draft.chips.uci[index],
        facts=Facts(
            valid=float(outcomes.valid_fraction[0] or 0),
            cloud=outcomes.cloud_fraction[0],
            loss=None if answer.loss is None else float(answer.loss[0]),
            footprint=footprints(draft.chips.corners[[index]], [draft.chips.uci[index]]).wkb[0],
        ),
        plan=plan,
        index=index,
    )


def _asks_where(plan: Plan) -> bool:
    return "latlon" in plan.model.entry.inputs


def _index(corners: NDArray[np.float64], lon: float, lat: float) -> int | None:
    """Give the chip on which a place lies; of several that whose centre is nearest."""
    ring = corners.copy()
    ring[..., 0] = (ring[..., 0] - lon + 180) % 360 - 180
    ring[..., 1] -= lat
    ahead = np.roll(ring, -1, axis=1)
    turns = ring[..., 0] * ahead[..., 1] - ring[..., 1] * ahead[..., 0]
    inside = (turns <= 0).all(axis=1) | (turns >= 0).all(axis=1)
    wide = np.ptp(ring[..., 0], axis=1) < 180  # noqa: PLR2004 - the chip does not lie on the other side of the globe
    there = np.flatnonzero(inside & wide)
    if not len(there):
        return None
    away = np.hypot(*(ring[there].mean(axis=1) * (np.cos(np.radians(lat)), 1)).T)
    return int(there[np.argmin(away)])
