"""A dataset in S3: a bucket, or a prefix of one."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import batched
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from clayline.aws.failures import code_of, retryable
from clayline.dataset.ports import Stored
from clayline.errors import TransientError
from clayline.ports import ObjectForbiddenError, ObjectMissingError, ObjectTooLargeError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DELETES: Final = 1_000
"""Of a call, S3's limit."""
_MISSING: Final = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}
_OTHER: Final = {"PreconditionFailed", "412"}
_AT_ONCE: Final = {"ConditionalRequestConflict", "409"}
_FORBIDDEN: Final = {"AccessDenied", "403"}
_TYPES: Final = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".png": "image/png",
    ".md": "text/markdown; charset=utf-8",
}


class S3Root:
    """A WritableRoot over a boto3 S3 client."""

    def __init__(self, client: "S3Client", *, bucket: str, prefix: str = "") -> None:
        """Take the bucket, and the prefix under which the root lies, without slashes at its ends."""
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def list(self, prefix: str) -> Iterator[Stored]:
        """Give the objects under a prefix, by key. Raises ObjectForbiddenError, TransientError."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with _told("LIST", f"{self.uri}/{prefix}"):
            for page in pages:
                for found in page.get("Contents", []):
                    yield Stored(
                        key=found["Key"].removeprefix(self._prefix),
                        size=found["Size"],
                        etag=found["ETag"].strip('"'),
                        modified=found["LastModified"],
                    )

    def head(self, key: str) -> Stored:
        """Raises ObjectMissingError, ObjectForbiddenError, TransientError."""
        with _told("HEAD", f"{self.uri}/{key}"):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        return Stored(
            key=key, size=answer["ContentLength"], etag=answer["ETag"].strip('"'), modified=answer["LastModified"]
        )

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        """Raises ObjectMissingError, ObjectTooLargeError, ObjectForbiddenError, TransientError."""
        with _told("GET", f"{self.uri}/{key}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            with closing(answer["Body"]) as body:
                if (size := answer["ContentLength"]) > most:
                    msg = f"{self.uri}/{key} has {size} bytes; at most {most} are read"
                    raise ObjectTooLargeError(msg)
                return body.read(), answer["ETag"].strip('"')

    def get_range(self, key: str, *, start: int, stop: int, etag: str | None = None) -> bytes:
        """Raises ObjectMissingError, also where the object has another ETag, ObjectForbiddenError, TransientError."""
        wanted = f"bytes={start}-{stop - 1}"
        with _told("GET", f"{self.uri}/{key}"):
            if etag is None:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key, Range=wanted)
            else:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=self._prefix + key, Range=wanted, IfMatch=f'"{etag}"'
                )
            with closing(answer["Body"]) as body:
                return body.read()

    def put_new(self, key: str, body: bytes | Path) -> bool:
        """Write if nothing is there; False if something is. Raises TransientError."""
        if not isinstance(body, Path):
            return self._put(key, body, etag=None, taken=_OTHER)
        with body.open("rb") as stream:
            return self._put(key, stream, etag=None, taken=_OTHER)

    def replace(self, key: str, body: bytes, *, etag: str | None) -> bool:
        """Write over the object that has this ETag (None: where there is none); False if there is another by now.

        False does not say that nothing was written: where S3's answer is lost, botocore asks again and is refused for
        what it wrote itself. Raises TransientError.
        """
        return self._put(key, body, etag=etag, taken=_OTHER | _AT_ONCE | _MISSING)

    def discard(self, keys: Sequence[str]) -> None:
        """Delete objects, a thousand a call. Raises TransientError, also where some are left."""
        for part in batched(keys, _DELETES, strict=False):
            with retryable(f"DELETE {len(part)} objects of {self.uri}"):
                answer = self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": [{"Key": self._prefix + key} for key in part], "Quiet": True},
                )
            if left := answer.get("Errors"):
                msg = f"{len(left)} objects of {self.uri} were not deleted, the first: {left[0].get('Message')}"
                raise TransientError(msg)

    def _put(self, key: str, body: "bytes | IO[bytes]", *, etag: str | None, taken: set[str]) -> bool:
        """Write over the object of this ETag, or where there is none; False for a refusal with one of these codes."""
        condition: dict[str, str] = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        with retryable(f"PUT {self.uri}/{key}"):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=body,
                    ContentType=_TYPES.get(Path(key).suffix, "application/octet-stream"),
                    ChecksumAlgorithm="SHA256",  # S3 keeps it, and `clayline verify` compares it
                    **condition,  # type: ignore[arg-type]  # the stubs want each name by itself
                )
            except ClientError as error:
                if code_of(error) not in taken:
                    raise
                return False
        return True


@contextmanager
def _told(doing: str, uri: str) -> Iterator[None]:
    """Turn what S3 says to a reader into the errors of the port."""
    with retryable(f"{doing} {uri}"):
        try:
            yield
        except ClientError as error:
            if code_of(error) in _OTHER:
                msg = f"{uri} has another ETag by now"
                raise ObjectMissingError(msg) from error
            if code_of(error) in _MISSING:
                what = f"bucket {uri.split('/')[2]}" if code_of(error) == "NoSuchBucket" else f"object {uri}"
                msg = f"there is no {what}"
                raise ObjectMissingError(msg) from error
            if code_of(error) in _FORBIDDEN:
                msg = f"{uri} may not be read: {error}"
                raise ObjectForbiddenError(msg) from error
            raise
