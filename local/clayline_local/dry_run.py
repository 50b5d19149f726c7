"""Plan's dry run of a scene, staged or in S3: what it would decide, by the same code, and nothing is written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, override

from clayline.aws.objects import S3Objects
from clayline.chips.reading import Reading
from clayline.errors import SceneError
from clayline.model.manifest import Manifest, ModelEntry
from clayline.ports import ObjectHead, ObjectMissingError
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import GdalHeaders
from clayline.run.access import Access
from clayline.run.keys import parse_s3_uri
from clayline.run.names import AS_THEY_LIE
from clayline.scene.intake import Landing, ObjectCreated, classify
from clayline.scene.notification import Document
from clayline.scene.source import LandedScene, SceneSource
from clayline.steps.drafting import Draft, Drafting
from clayline.steps.options import PlanOptions
from clayline_local.errors import LocalCloudError, NoSceneError
from clayline_local.looked_up import LookedUpPixels
from clayline_local.staged_objects import SCENES_BUCKET, StagedHeaders, StagedObjects, StagedPixels
from clayline_local.staged_scene import StagedScene

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COG_PREFIX = "cog/"
"""The stack's own default."""
_PUBLISHED = "published"
"""Stands for the bucket in which a stack keeps Items that come as messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """How far plan would get with a scene."""

    name: str
    """What people call what lands."""
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
    head = objects.head(f"s3://{SCENES_BUCKET}/{scene.landing[0]}")
    pixels = StagedPixels(files=objects.files)
    return _dry_run(scene.name, _landing(head, cog_prefix=COG_PREFIX), drafting, pixels)


def dry_run_in_s3(
    scene: str | bytes,
    *,
    client: "S3Client",
    access: Access,
    metadata: Mapping[str, str],
    manifest: Manifest,
    options: PlanOptions,
) -> DryRun:
    """Plan the scene of an Item or a COG where it lies: of its files only what plan asks for is fetched.

    Bytes are an Item that is published itself, and lies nowhere. An Item's own bucket is among those that its hrefs may
    point to; ``metadata`` says of a COG what its name may not. Raises TransientError for what cannot be read just now,
    LocalCloudError for what starts no scene.
    """
    document = None if isinstance(scene, str) else Document(content=scene, message="a dry run")
    published = document.landing(bucket=_PUBLISHED) if document else None
    uri = published.uri if published else str(scene)
    bucket, key = parse_s3_uri(uri)
    is_cog = key.lower().endswith((".tif", ".tiff"))
    objects = _SaidObjects(client, access=access, uri=uri, said=metadata if is_cog else {}, document=document)
    settings = ReadSettings(access=access)
    drafting = Drafting(
        objects=objects,
        headers=GdalHeaders(settings=settings, objects=objects, names=AS_THEY_LIE),
        manifest=manifest,
        options=replace(options, allowed_buckets=options.allowed_buckets | {bucket}, names=AS_THEY_LIE),
    )
    try:
        landing = published or _landing(objects.head(uri), cog_prefix=key if is_cog else f"{key}/")
    except ObjectMissingError as error:
        raise LocalCloudError(f"{uri}: there is no such object. Check the key.") from error
    return _dry_run(uri, landing, drafting, LookedUpPixels(settings=settings))


class _SaidObjects(S3Objects):
    """Objects of S3, of one of which more is said than it says itself, or which is not there but given."""

    def __init__(
        self, client: "S3Client", *, access: Access, uri: str, said: Mapping[str, str], document: Document | None
    ) -> None:
        super().__init__(client, access=access)
        self._uri = uri
        self._document = document
        self._said = {name.lower(): value for name, value in said.items()}

    @override
    def head(self, uri: str) -> ObjectHead:
        if self._document and uri == self._uri:
            return ObjectHead(uri=uri, size=len(self._document.content), etag=self._document.digest, metadata={})
        found = super().head(uri)
        return replace(found, metadata={**found.metadata, **self._said}) if uri == self._uri else found

    @override
    def get(self, uri: str, *, most: int | None = None) -> bytes:
        if self._document and uri == self._uri:
            return self._document.content
        return super().get(uri, most=most)


def _dry_run(name: str, landing: Landing, drafting: Drafting, pixels: LookedUpPixels) -> DryRun:
    source: SceneSource | None = None
    entry: ModelEntry | None = None
    landed: LandedScene | None = None
    try:
        found = drafting.source(landing)
        if isinstance(found, str):
            raise NoSceneError(f"{found}. Give the scene's STAC Item.")
        source = found
        entry = drafting.entry(source)
        landed = drafting.land(landing, source, entry)
        draft = drafting.draft(landed)
    except SceneError as error:
        return DryRun(name=name, source=source, entry=entry, landed=landed, refused=error)
    reading = _reading(draft, pixels)
    return DryRun(name=name, source=source, entry=entry, landed=landed, draft=draft, reading=reading)


def _reading(draft: Draft, pixels: LookedUpPixels) -> tuple[Reading, ...] | None:
    found = pixels.readings(
        draft.bands,
        draft.mask,
        draft.validity,
        transform=draft.scene.transform,
        windows=[job.pixel_window(draft.grid) for job in draft.jobs],
    )
    return None if found is None else tuple(found)


def _landing(head: ObjectHead, *, cog_prefix: str) -> Landing:
    """Give what plan is told of the object that lands last: an Item anywhere, or a COG under its prefix."""
    bucket, key = parse_s3_uri(head.uri)
    event = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": bucket}, "object": {"key": key, "size": head.size, "etag": head.etag}},
    }
    found = classify(ObjectCreated.model_validate(event), item_prefix="", cog_prefix=cog_prefix)
    if isinstance(found, str):
        raise LocalCloudError(found)
    return found
