"""Where a dataset lies, by the name that a user gives it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from clayline.api.dataset import Dataset
from clayline.dataset.folder import FolderRoot
from clayline.dataset.manifest import FRAGMENTS, MANIFEST
from clayline.dataset.ports import WritableRoot
from clayline.errors import DatasetError
from clayline.table.lone_files import is_scene_file, rows_of_files, rows_there

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_S3 = "s3://"
_FILE = "file:"
_BUCKET = re.compile(r"[a-zA-Z0-9._-]{3,255}|arn:[^/]+")
"""As far as boto3 takes it: also old names, and access points."""


def open_dataset(root: str | Path, *, client: "S3Client | None" = None) -> Dataset:
    """Open the dataset of a folder, a ``file://`` URI, or ``s3://BUCKET`` with or without a prefix.

    S3 is read with the credentials of boto3's default session, or by ``client`` (another profile, region or endpoint).
    Nothing is read yet. Raises DatasetError for a name that is none of these, and a folder that is not there.
    """
    return Dataset(root_of(root, client=client))


def open_scene_files(
    places: str | Path | Iterable[str | Path], *, client: "S3Client | None" = None, root: WritableRoot | None = None
) -> Dataset:
    """Open scene files that no index has as one dataset: one or more, all on this machine or all in one bucket.

    The end of each is read. Raises DatasetError, TransientError.
    """
    listed = [places] if isinstance(places, str | Path) else list(places) if isinstance(places, Iterable) else []
    if wrong := [each for each in listed if not isinstance(each, str | Path) or not str(each).strip()]:
        msg = f"{wrong[0]!r} is no scene file: give paths of this machine, or s3://BUCKET/KEY."
        raise DatasetError(msg)
    if not listed:
        msg = f"no scene file was named ({places!r}): give one at least, a path of this machine or s3://BUCKET/KEY."
        raise DatasetError(msg)
    uris = {str(place) for place in listed}
    buckets = {uri.removeprefix(_S3).partition("/")[0] if uri.startswith(_S3) else None for uri in uris}
    if len(buckets) != 1:
        msg = "these files lie in several places: name files of this machine, or of one bucket."
        raise DatasetError(msg)
    [bucket] = buckets
    where = root or root_of(f"{_S3}{bucket}" if bucket else Path("/"), client=client)
    keys = [
        uri.removeprefix(f"{_S3}{bucket}/") if bucket else _local(uri).absolute().as_posix().removeprefix("/")
        for uri in sorted(uris)
    ]
    return Dataset(where, rows=rows_of_files(where, keys))


def open_place(place: str | Path, *, client: "S3Client | None" = None) -> Dataset:
    """Open what lies at a place: the dataset, if it has an index, else its scene files.

    Raises DatasetError, also where there are neither, TransientError.
    """
    return dataset_at(root_of(place, client=client))


def dataset_at(where: WritableRoot) -> Dataset:
    """Open what lies at a root, as ``open_place`` does.

    Of scene files without an index each one's end is read. Questions that one may answer whose end cannot be read are a
    DatasetError that names it; but for ``change``, which tells it.
    """
    if any(next(iter(where.list(key)), None) for key in (MANIFEST, FRAGMENTS)):
        return Dataset(where)
    keys = [each.key for each in where.list("") if is_scene_file(each.key)]
    if not keys:
        msg = f"{where.uri} has no embeddings: no index (`dataset/`) and no scene file (TOKEN/SCENE/NAME.parquet)."
        raise DatasetError(msg)
    rows, unread = rows_there(where, keys)
    return Dataset(where, rows=rows, unread=unread)


def _local(uri: str) -> Path:
    return Path.from_uri(uri) if uri.startswith(_FILE) else Path(uri)


def root_of(root: str | Path, *, client: "S3Client | None" = None) -> WritableRoot:
    """Give the place. Raises DatasetError."""
    if not isinstance(root, str | Path) or not str(root).strip():
        msg = f"{root!r} is no place of a dataset: give a folder, file:///FOLDER or s3://BUCKET/PREFIX"
        raise DatasetError(msg)
    if isinstance(root, str) and root.startswith(_S3):
        bucket, _, prefix = root.removeprefix(_S3).partition("/")
        if not _BUCKET.fullmatch(bucket):
            what = f"{bucket!r} is no bucket's name" if bucket else f"{root} names no bucket"
            msg = f"{what}: give s3://BUCKET or s3://BUCKET/PREFIX"
            raise DatasetError(msg)
        from clayline.aws.dataset_root import S3Root  # noqa: PLC0415 - whoever reads a folder need not have boto3
        from clayline.aws.reading import reading_client  # noqa: PLC0415 - the same

        return S3Root(client or reading_client(), bucket=bucket, prefix=prefix)
    if isinstance(root, str) and "://" in root and not root.startswith(_FILE):
        msg = f"{root} is no place of a dataset: give a folder, file:///FOLDER or s3://BUCKET/PREFIX"
        raise DatasetError(msg)
    try:
        path = Path.from_uri(root) if isinstance(root, str) and root.startswith(_FILE) else Path(root)
    except ValueError as error:
        msg = f"{root} is no URI of a folder: give file:///ABSOLUTE/PATH"
        raise DatasetError(msg) from error
    if not path.is_dir():
        msg = f"{path} is no folder. Give that into which scenes were embedded."
        raise DatasetError(msg)
    return FolderRoot(path)
