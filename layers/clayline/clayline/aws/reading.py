"""S3 for whoever reads a dataset, by the user's own credentials."""

from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from clayline.errors import DatasetError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONNECTIONS: Final = 64
"""As many as there are requests on their way at most: 4 of each of 16 row groups (table/streaming.py)."""


def reading_client(*, profile: str | None = None, region: str | None = None) -> "S3Client":
    """Give a client of a profile and region, by default those of the environment. Raises DatasetError."""
    try:
        session = boto3.session.Session(profile_name=profile, region_name=region)
        return session.client("s3", config=Config(max_pool_connections=_CONNECTIONS))
    except BotoCoreError as error:
        msg = f"no access to AWS: {error}. Check profile and region."
        raise DatasetError(msg) from error
