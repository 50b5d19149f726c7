"""Where a dataset is written: a folder, or a bucket's prefix."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from clayline.dataset.folder import FolderRoot
from clayline_cli import arguments

if TYPE_CHECKING:
    from clayline.dataset.ports import WritableRoot

_S3: Final = "s3://"
AT_ONCE: Final = 32
"""Requests."""
HELP: Final = "a folder into which scenes were embedded, or s3://BUCKET[/PREFIX]"


def root(text: str) -> str:
    """Take the name of a root: a folder that is there, or an S3 URI."""
    if text.startswith(_S3):
        arguments.bucket(text.removeprefix(_S3).partition("/")[0])
        return text
    if "://" in text:
        arguments.refuse(f"{text!r} is no place of a dataset: give a folder or s3://BUCKET/PREFIX")
    return str(arguments.folder(text))


def writable(name: str) -> "WritableRoot":
    """Give the place, S3 by the credentials of boto3's default session."""
    if not name.startswith(_S3):
        return FolderRoot(Path(name))
    import boto3  # noqa: PLC0415 - seconds of imports, which a folder need not wait for
    from botocore.config import Config  # noqa: PLC0415

    from clayline.aws.dataset_root import S3Root  # noqa: PLC0415

    bucket, _, prefix = name.removeprefix(_S3).partition("/")
    client = boto3.session.Session().client("s3", config=Config(max_pool_connections=AT_ONCE))
    return S3Root(client, bucket=bucket, prefix=prefix)
