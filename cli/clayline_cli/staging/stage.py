"""A scene on this machine or in S3, made ready for the local scenes bucket: its files, and which of them lands last."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, override
from urllib.parse import unquote

from clayline.run.keys import parse_s3_uri
from clayline.scene.sensor import Product
from clayline_cli.errors import CommandError
from clayline_cli.staging.assets import Asset, locate, relink
from clayline_cli.staging.look import WANTED, is_json, is_tiff, look
from clayline_cli.staging.remote import NoObjectError, Remote
from clayline_cli.staging.scene_folder import scenes_of
from clayline_local.scene_keys import file_key, named, object_key
from clayline_local.staged_scene import StagedScene
from clayline_local.stopping import stoppable, temporary_folder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COG_PREFIX: Final = "cog/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Staging:
    """Where else than at its hrefs an Item's files may be."""

    assets: Path | None = None
    """A folder in which files are matched by name, before those beside the Item."""
    allowed_buckets: frozenset[str] = frozenset()
    """Buckets beside the Item's own from which assets are fetched."""
    request_payer: bool = False
    """Whether the user pays for what is fetched."""
    products: tuple[Product, ...] | None = None
    """That may be recognised, the user's own among them; None: those that come with the package."""


def find_scenes(
    targets: Sequence[str], *, sensor_said: bool = False, notice: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Give every scene once: of a folder those that ``scenes_of`` gives; other targets as they are.

    ``sensor_said``: whether the user says the sensor of every GeoTIFF. ``notice`` is told what is left out. Raises
    CommandError for a folder without a scene, and for another target that is none at first sight.
    """
    found: dict[str, str] = {}
    for target in targets:
        if _is_uri(target):
            parse(target)
            found.setdefault(target, target)
            continue
        path = _path(target)
        scenes = scenes_of(path, sensor_said=sensor_said, notice=notice) if path.is_dir() else (_seen(path),)
        for scene in scenes:
            found.setdefault(file_key(scene), str(scene))
    return list(found.values())


@contextmanager
def stage(
    target: str,
    *,
    staging: Staging = Staging(),
    metadata: Mapping[str, str] | None = None,
    remote: "S3Client | None" = None,
) -> Iterator[StagedScene]:
    """Find a scene's files; those in S3 are there for as long as this lasts, fetched with ``remote`` or the user's own.

    ``metadata`` says of a COG what its name may not. Raises CommandError if there is nothing to start with, or S3
    does not give it. Anything wrong inside the scene is left to the pipeline to say.
    """
    with temporary_folder("clayline-stage-") as folder:
        with stoppable():
            staged = _Stage(staging, Remote(remote, request_payer=staging.request_payer), folder).scene(
                target, metadata or {}
            )
        yield staged


def look_at(
    target: str,
    *,
    staging: Staging = Staging(),
    metadata: Mapping[str, str] | None = None,
    remote: "S3Client | None" = None,
) -> None:
    """Find a scene's files as ``stage`` does, and raise what it raises, but fetch no imagery: of each
    object its first bytes.
    """
    with temporary_folder("clayline-stage-") as folder:
        looker = _Look(staging, Remote(remote, request_payer=staging.request_payer), folder)
        looker.scene(target, metadata or {})


def parse(uri: str) -> tuple[str, str]:
    """Give bucket and key of a target in S3. Raises CommandError."""
    try:
        bucket, key = parse_s3_uri(uri)
    except ValueError as error:
        msg = f"{uri} is no file and no s3://BUCKET/KEY URI. Give {WANTED}; what lies elsewhere, download first."
        raise CommandError(msg) from error
    if not (is_json(Path(key)) or is_tiff(Path(key))):
        msg = (
            f"{uri} is neither a STAC Item (.json, .geojson) nor a GeoTIFF (.tif, .tiff) by its name. Give one scene's."
        )
        raise CommandError(msg)
    return bucket, key


class _Stage:
    """One scene's staging."""

    def __init__(self, staging: Staging, remote: Remote, folder: Path) -> None:
        self._staging = staging
        self._remote = remote
        self._folder = folder
        self._fetched: dict[str, Path] = {}
        if staging.assets is not None and not staging.assets.is_dir():
            msg = f"--assets {staging.assets} is no folder. Give the folder in which the Item's files are."
            raise CommandError(msg)

    def scene(self, target: str, metadata: Mapping[str, str]) -> StagedScene:
        return self.from_s3(target, metadata) if _is_uri(target) else self.from_file(_path(target), metadata)

    def from_file(self, path: Path, metadata: Mapping[str, str]) -> StagedScene:
        content, key = look(path), file_key(path)
        if content is None:
            return StagedScene(assets=(), landing=(COG_PREFIX + key, path), metadata=metadata)
        beside = dict.fromkeys((path.absolute().parent, path.resolve().parent))
        return self._item(content, key, path, metadata, item=path, folders=tuple(beside))

    def from_s3(self, uri: str, metadata: Mapping[str, str]) -> StagedScene:
        bucket, key = parse(uri)
        own = object_key(bucket, key)
        file = self._fetch(bucket, key)
        content = look(file, called=uri)
        if content is None:
            return StagedScene(assets=(), landing=(COG_PREFIX + own, file), metadata=metadata)
        return self._item(content, own, file, metadata, item=None, folders=(), buckets=frozenset({bucket}))

    def _item(
        self,
        content: dict[str, Any],
        key: str,
        file: Path,
        metadata: Mapping[str, str],
        *,
        item: Path | None,
        folders: tuple[Path, ...],
        buckets: frozenset[str] = frozenset(),
    ) -> StagedScene:
        if metadata:
            given = " and ".join(f"--{name}" for name in metadata)
            msg = f"{named(key)} is a STAC Item, which says itself what {given} would say. Leave {given} out."
            raise CommandError(msg)
        first = (self._staging.assets,) if self._staging.assets else ()
        assets = [
            self._have(asset)
            for asset in locate(
                content,
                own=key,
                item=item,
                folders=(*first, *folders),
                allowed_buckets=buckets | self._staging.allowed_buckets,
                products=self._staging.products,
            )
        ]
        if relinked := relink(content, assets, own=key):
            file = self._folder / "relinked.json"
            file.write_text(json.dumps(relinked, separators=(",", ":")), encoding="ascii")
        files = {asset.key: asset.file for asset in assets if asset.file is not None}
        identity = content.get("id")
        return StagedScene(
            assets=tuple(files.items()), landing=(key, file), item=identity if isinstance(identity, str) else None
        )

    def _have(self, asset: Asset) -> Asset:
        """Fetch it if it is in S3. What S3 does not have is left to plan to name."""
        if asset.fetched is None:
            return asset
        try:
            return replace(asset, file=self._fetched.get(asset.key) or self._fetch(*asset.fetched))
        except NoObjectError:
            return asset

    def _fetch(self, bucket: str, key: str) -> Path:
        """Fetch under a number: a key may hold names that a file cannot have."""
        suffix = Path(key).suffix.lower()
        target = (
            self._folder
            / f"{len(self._fetched):04d}{suffix if suffix in {'.tif', '.tiff', '.json', '.geojson'} else ''}"
        )
        self._get(bucket, key, target)
        self._fetched[object_key(bucket, key)] = target
        return target

    def _get(self, bucket: str, key: str, target: Path) -> None:
        self._remote.fetch(bucket, key, target)


class _Look(_Stage):
    """A scene's staging in which what is not JSON has only a beginning."""

    @override
    def _get(self, bucket: str, key: str, target: Path) -> None:
        get = self._remote.fetch if is_json(target) else self._remote.fetch_start
        get(bucket, key, target)


def _is_uri(target: str) -> bool:
    return "://" in target and not target.startswith("file://") and not Path(target).exists()


def _path(target: str) -> Path:
    """Give the path of a target here; outputs name imagery by ``file:`` URIs, so these come back as targets."""
    return Path(unquote(target.removeprefix("file://"))) if target.startswith("file:///") else Path(target)


def _seen(path: Path) -> Path:
    look(path)
    return path
