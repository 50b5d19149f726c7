"""Plan's dry run of a staged scene: what it would decide, by the same code, and nothing is written."""

from dataclasses import dataclass

from clayline.chips.reading import Reading
from clayline.errors import SceneError
from clayline.model.manifest import Manifest, ModelEntry
from clayline.scene.intake import Landing, ObjectCreated, classify
from clayline.scene.source import LandedScene, SceneSource
from clayline.steps.drafting import Draft, Drafting
from clayline.steps.options import PlanOptions
from clayline_local.errors import LocalCloudError
from clayline_local.staged_objects import SCENES_BUCKET, StagedHeaders, StagedObjects, StagedPixels
from clayline_local.staged_scene import StagedScene

COG_PREFIX = "cog/"
"""The stack's own default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """How far plan would get with a scene."""

    scene: StagedScene
    source: SceneSource | None = None
    """None if what landed cannot be read."""
    entry: ModelEntry | None = None
    """None if the model has none for its bands."""
    landed: LandedScene | None = None
    """None if one of its files is not there."""
    draft: Draft | None = None
    """None if it would be refused."""
    reading: tuple[Reading, ...] | None = None
    """What each job will read; None if there is no draft, or too many blocks to look each up."""
    refused: SceneError | None = None
    """Why."""


def dry_run(scene: StagedScene, *, manifest: Manifest, options: PlanOptions, digest: bool = False) -> DryRun:
    """Plan a scene without a cloud. With ``digest``, the run's identity is what it would be.

    Raises TransientError for files that cannot be read just now, LocalCloudError for what starts no scene.
    """
    objects = StagedObjects(scene=scene, digest=digest)
    headers = StagedHeaders(names=options.names, files=objects.files)
    drafting = Drafting(objects=objects, headers=headers, manifest=manifest, options=options)
    source: SceneSource | None = None
    entry: ModelEntry | None = None
    landed: LandedScene | None = None
    try:
        landing = _landing(scene, objects)
        found = drafting.source(landing)
        if isinstance(found, str):
            raise LocalCloudError(f"{found}. Give the scene's STAC Item.")
        source = found
        entry = drafting.entry(source)
        landed = drafting.land(landing, source, entry)
        draft = drafting.draft(landed)
    except SceneError as error:
        return DryRun(scene=scene, source=source, entry=entry, landed=landed, refused=error)
    return DryRun(scene=scene, source=source, entry=entry, landed=landed, draft=draft, reading=_reading(draft, objects))


def _reading(draft: Draft, objects: StagedObjects) -> tuple[Reading, ...] | None:
    found = StagedPixels(files=objects.files).readings(
        draft.bands,
        draft.mask,
        draft.validity,
        transform=draft.scene.transform,
        windows=[job.pixel_window(draft.grid) for job in draft.jobs],
    )
    return None if found is None else tuple(found)


def _landing(scene: StagedScene, objects: StagedObjects) -> Landing:
    """Give what plan is told of the object that lands last."""
    key = scene.landing[0]
    head = objects.head(f"s3://{SCENES_BUCKET}/{key}")
    event = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": SCENES_BUCKET}, "object": {"key": key, "size": head.size, "etag": head.etag}},
    }
    found = classify(ObjectCreated.model_validate(event), item_prefix="", cog_prefix=COG_PREFIX)
    if isinstance(found, str):
        raise LocalCloudError(found)
    return found
