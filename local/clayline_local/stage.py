"""A scene on this machine or in S3, made ready to be dropped into the local scenes bucket: its files, and which of them lands last."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clayline.errors import ClaylineError
from clayline.item import MAX_ITEM_BYTES, is_item, read_item
from clayline.run import parse_s3_uri
from clayline_local.errors import LocalCloudError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COG_PREFIX = "cog/"
NAMES: Final[Mapping[str, str]] = {"file/": "file:///", "cog/file/": "file:///", "s3/": "s3://", "cog/s3/": "s3://"}
"""Prefixes of keys in the local scenes bucket, and what stands for each in the names that people know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Staging:
    """Where else than beside it an Item's files may be."""

    assets: Path | None = None
    """A folder in which files are matched by name."""
    allowed_buckets: frozenset[str] = frozenset()
    """Buckets beside the Item's own from which assets are fetched."""
    request_payer: bool = False
    """Whether the user pays for what is fetched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedScene:
    """What is uploaded, in this order."""

    assets: tuple[tuple[str, Path], ...]
    """Key and file."""
    landing: tuple[str, Path]
    """Key and file of the Item or the COG: it lands last and starts the scene."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Object metadata of the landing (sensor, datetime, platform of a COG without an Item)."""
    name: str = ""
    """What people call the landing: its ``file:`` or ``s3:`` URI."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The part of NAMES that its keys need."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Each file by the URI that people know, as in the provenance; those of S3 are there for as long as the scene is staged."""


def find_scenes(targets: Sequence[str]) -> list[str]:
    """Give every scene: a folder's STAC Items and each TIFF that no Item there refers to; other targets as they are.

    Raises LocalCloudError for a target that does not exist, and for a folder without a scene.
    """
    return list(targets)


@contextmanager
def stage(
    target: str, *, staging: Staging = Staging(), metadata: Mapping[str, str] | None = None, remote: "S3Client | None" = None
) -> Iterator[StagedScene]:
    """Find a scene's files; those of an ``s3://`` URI are fetched with ``remote``, a client on the real S3, for as long as this lasts.

    Raises LocalCloudError if there is nothing there to start with. Anything wrong inside the scene is left to the pipeline to say.
    """
    if not target.startswith("s3://"):
        yield _stage_file(Path(target), metadata)
        return
    if remote is None:
        msg = f"{target} needs AWS credentials"
        raise LocalCloudError(msg)
    with tempfile.TemporaryDirectory(prefix="clayline-stage-") as folder:
        yield _stage_file(_fetch(target, Path(folder), remote), metadata)


def _stage_file(path: Path, metadata: dict[str, str]) -> StagedScene:
    if not path.is_file():
        msg = f"{path} is no file. Give a STAC Item (.json) or a Cloud-Optimized GeoTIFF (.tif)."
        raise LocalCloudError(msg)
    if path.suffix.lower() in {".tif", ".tiff"}:
        return StagedScene(assets=(), landing=(COG_PREFIX + path.name, path), metadata=metadata)
    if path.suffix.lower() not in {".json", ".geojson"}:
        msg = f"{path} is neither a STAC Item (.json) nor a GeoTIFF (.tif)."
        raise LocalCloudError(msg)
    folder = path.stem
    assets = tuple((f"{folder}/{href.removeprefix('./')}", file) for href, file in _relative_files(path))
    return StagedScene(assets=assets, landing=(f"{folder}/{path.name}", path))


def _relative_files(path: Path) -> Iterator[tuple[str, Path]]:
    """Give href and file of each asset that lies beside the Item. What is missing is not ours to say: plan names it in the receipt."""
    content = _read(path)
    for asset in content.get("assets", {}).values() if is_item(content) else ():
        href = asset.get("href") if isinstance(asset, dict) else None
        if isinstance(href, str) and "://" not in href and not href.startswith("/") and ".." not in Path(href).parts:
            file = path.parent / href
            if file.is_file():
                yield href, file


def _read(path: Path) -> Any:  # noqa: ANN401 - any JSON
    if path.stat().st_size > MAX_ITEM_BYTES:
        return None
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None


def _fetch(uri: str, folder: Path, remote: "S3Client") -> Path:
    """Fetch an Item with its bands, or a COG, from S3. Hrefs into the Item's own bucket are followed, and made relative in the copy."""
    bucket, key = parse_s3_uri(uri)
    target = folder / Path(key).name
    remote.download_file(bucket, key, str(target))
    content = _read(target) if target.suffix.lower() != ".tif" else None
    if not isinstance(content, dict) or not is_item(content):
        return target
    try:
        item = read_item(content, uri=uri, allowed_buckets=frozenset({bucket}))
    except ClaylineError as error:
        msg = f"{uri}: {error}"
        raise LocalCloudError(msg) from error
    hrefs = {}
    for number, asset in enumerate((*item.bands, *((item.mask,) if item.mask else ()))):
        if asset.uri not in hrefs:
            source_bucket, source_key = parse_s3_uri(asset.uri)
            hrefs[asset.uri] = f"{number:02d}-{Path(source_key).name}"
            remote.download_file(source_bucket, source_key, str(folder / hrefs[asset.uri]))
    for asset in content["assets"].values():
        for source, name in hrefs.items():
            if isinstance(asset, dict) and str(asset.get("href", "")).rpartition("/")[2] == source.rpartition("/")[2]:
                asset["href"] = f"./{name}"
    target.write_text(json.dumps(content))
    return target
