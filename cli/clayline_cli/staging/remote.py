"""The real S3: what is fetched from there, and a sentence for each way in which that fails."""

from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clayline_cli.errors import CommandError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

_CREDENTIALS: Final = (
    "Give AWS credentials: `aws configure`, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_REFUSED: Final[Mapping[str, str]] = {
    "NoSuchBucket": "there is no such bucket. Check the bucket's name",
    "InvalidBucketName": "that is no bucket's name. Check it",
    "InvalidAccessKeyId": f"AWS does not know these credentials. {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"AWS refuses the secret of these credentials. {_CREDENTIALS}",
    "ExpiredToken": "the credentials have expired. Sign in again: `aws sso login`, or fresh credentials",
    "InvalidToken": "the credentials are expired or not whole. Sign in again: `aws sso login`, or fresh ones",
    "RequestTimeTooSkewed": "this machine's clock is wrong. Set it",
    "InvalidObjectState": "the object is archived (Glacier). Restore it first",
    "PermanentRedirect": "the bucket is in another region. Set AWS_REGION to the bucket's",
    "AuthorizationHeaderMalformed": "the bucket is in another region. Set AWS_REGION to the bucket's",
    "IllegalLocationConstraintException": "the bucket is in another region. Set AWS_REGION to the bucket's",
    "SlowDown": "S3 is busy. Try again later",
}
_START: Final = 64
_DENIED: Final = {"AccessDenied", "403", "Forbidden", "AllAccessDisabled"}
_MISSING: Final = {"NoSuchKey", "404", "NotFound"}


class NoObjectError(CommandError):
    """There is no object of this key in a bucket that is there."""


class Entry(NamedTuple):
    """An object, as S3 lists it."""

    key: str
    size: int
    etag: str
    """Without quotes."""


class Remote:
    """Reads from S3 with the user's own credentials."""

    def __init__(self, client: "S3Client | None", *, request_payer: bool) -> None:
        """Take a client, or None for one that is made when it is first needed."""
        self._client = client
        self._payer: dict[str, Any] = {"RequestPayer": "requester"} if request_payer else {}

    def fetch(self, bucket: str, key: str, target: Path) -> None:
        """Write an object to ``target``, piece by piece. Raises NoObjectError, CommandError."""
        self._ask(
            bucket, key, target, lambda: self._s3().download_file(bucket, key, str(target), ExtraArgs=dict(self._payer))
        )

    def fetch_start(self, bucket: str, key: str, target: Path) -> None:
        """Write the first bytes of an object to ``target``, enough for a look at it. Raises as ``fetch``."""
        self._ask(bucket, key, target, lambda: target.write_bytes(self._start(bucket, key)))

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Give the keys that begin so, in their order. Raises CommandError."""
        return [entry.key for entry in self.entries(bucket, prefix)]

    def entries(self, bucket: str, prefix: str) -> Iterator[Entry]:
        """Give the objects whose keys begin so, in their order, page by page. Raises CommandError."""
        pages: list[Iterator[Any]] = []
        page: list[Any] = []

        def turn() -> None:
            if not pages:
                paginator = self._s3().get_paginator("list_objects_v2")
                pages.append(iter(paginator.paginate(Bucket=bucket, Prefix=prefix, **self._payer)))
            page[:] = [next(pages[0], None)]

        while True:
            self._ask(bucket, prefix, Path(prefix), turn)
            if page[0] is None:
                return
            for entry in page[0].get("Contents", []):
                yield Entry(entry["Key"], entry["Size"], entry["ETag"].strip('"'))

    def head(self, bucket: str, key: str) -> Entry:
        """Ask for one object. Raises NoObjectError, CommandError."""
        found: list[Entry] = []

        def look() -> None:
            answer = self._s3().head_object(Bucket=bucket, Key=key, **self._payer)
            found.append(Entry(key, answer["ContentLength"], answer["ETag"].strip('"')))

        self._ask(bucket, key, Path(key), look)
        return found[0]

    def sha256(self, bucket: str, key: str, *, etag: str) -> str | None:
        """Give the SHA-256 that S3 keeps of an object, hex; None where it keeps none, or one of parts.

        Raises NoObjectError, CommandError.
        """
        found: list[str] = []

        def look() -> None:
            answer = self._s3().head_object(
                Bucket=bucket, Key=key, ChecksumMode="ENABLED", IfMatch=f'"{etag}"', **self._payer
            )
            if answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
                found.append(answer.get("ChecksumSHA256", ""))

        self._ask(bucket, key, Path(key), look)
        is_whole = bool(found and found[0]) and "-" not in found[0]
        return b64decode(found[0]).hex() if is_whole else None

    def _start(self, bucket: str, key: str) -> bytes:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - a second of imports that only S3 needs

        try:
            answer = self._s3().get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{_START - 1}", **self._payer)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "InvalidRange":
                return b""  # of nothing, there is no first byte
            raise
        return answer["Body"].read()

    def _ask(self, bucket: str, key: str, target: Path, get: Callable[[], object]) -> None:
        """Say in a sentence what S3 refuses."""
        from boto3.exceptions import Boto3Error  # noqa: PLC0415 - a second of imports that only S3 needs
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError  # noqa: PLC0415
        from botocore.exceptions import ConnectionError as NoConnectionError  # noqa: PLC0415
        from botocore.exceptions import HTTPClientError as NoAnswerError  # noqa: PLC0415

        uri = f"s3://{bucket}/{key}"
        try:
            get()
        except ClientError as error:
            self._refuse(self._reason(bucket, key, error), uri, error)
        except (NoCredentialsError, PartialCredentialsError) as error:
            msg = f"{uri}: there are no AWS credentials. {_CREDENTIALS}."
            raise CommandError(msg) from error
        except (NoConnectionError, NoAnswerError) as error:
            msg = f"{uri}: S3 cannot be reached ({error}). Check the network, and AWS_REGION."
            raise CommandError(msg) from error
        except (BotoCoreError, Boto3Error) as error:
            msg = f"{uri}: {str(error).rstrip('.')}. {_CREDENTIALS}."
            raise CommandError(msg) from error
        except OSError as error:
            msg = f"{uri} cannot be kept in {target.parent} ({error.strerror}). Free space there, or set TMPDIR."
            raise CommandError(msg) from error

    def _s3(self) -> "S3Client":
        if self._client is None:
            import boto3  # noqa: PLC0415 - see above

            self._client = boto3.client("s3")
        return self._client

    def _reason(self, bucket: str, key: str, error: "ClientError") -> str:
        """Give S3's code. A refused HEAD, with which a download begins, has no body to say it: GET has one."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        if error.operation_name != "HeadObject":
            return str(error.response.get("Error", {}).get("Code", ""))
        try:
            self._s3().get_object(Bucket=bucket, Key=key, Range="bytes=0-0", **self._payer)["Body"].close()
        except ClientError as again:
            error = again
        return str(error.response.get("Error", {}).get("Code", ""))

    def _refuse(self, code: str, uri: str, error: "ClientError") -> None:
        if code in _MISSING:
            msg = f"{uri}: there is no such object. Check the key."
            raise NoObjectError(msg) from error
        if code in _DENIED:
            payer = "" if self._payer else "; if its owner has readers pay, add --request-payer"
            action = "list it (s3:ListBucket)" if error.operation_name == "ListObjectsV2" else "read it (s3:GetObject)"
            msg = f"{uri}: access is denied. Use credentials that may {action}{payer}."
        else:
            msg = (
                f"{uri}: {_REFUSED.get(code) or f'S3 refuses it ({code or error}). Check the URI and the credentials'}."
            )
        raise CommandError(msg) from error
