"""S3: reading, and writing only what is not there yet."""

from contextlib import closing
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from clayline.aws.failures import code_of, retryable
from clayline.errors import OutputConflictError, TransientError
from clayline.ports import RUN_ID, ObjectForbiddenError, ObjectHead, ObjectMissingError, ObjectTooLargeError
from clayline.run.access import AS_OURS, Access
from clayline.run.keys import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_s3 import S3Client

_DELETES = 1_000
"""Of a call, S3's limit."""
MAX_KEY_BYTES = 1_024
"""S3's own limit."""
_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}
_EXISTS = {"PreconditionFailed", "412"}
_OTHER_ETAG = _EXISTS
_FORBIDDEN = {"AccessDenied", "403"}


class S3Objects:
    """The Objects port over a boto3 S3 client."""

    def __init__(
        self, client: "S3Client", *, access: Access = AS_OURS, elsewhere: "Callable[[str], S3Client] | None" = None
    ) -> None:
        """Take the client of our own region, and what makes one for another region."""
        self._client = client
        self._access = access
        self._elsewhere = elsewhere
        self._clients: dict[str, S3Client] = {}

    def head(self, uri: str) -> ObjectHead:
        """Raises ObjectMissingError, ObjectForbiddenError, TransientError."""
        bucket, key = parse_s3_uri(uri)
        if len(key.encode(errors="surrogatepass")) > MAX_KEY_BYTES:
            msg = f"there is no object {uri}: a key has at most {MAX_KEY_BYTES} bytes"
            raise ObjectMissingError(msg)  # S3 answers 400, as it does to what a retry may cure
        with retryable(f"HEAD {uri}"):
            try:
                answer = self._for(bucket).head_object(Bucket=bucket, Key=key, **self._payer(bucket))
            except ClientError as error:
                raise _missing(error, uri) from error
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        return ObjectHead(uri=uri, size=answer["ContentLength"], etag=answer["ETag"].strip('"'), metadata=metadata)

    def get(self, uri: str, *, most: int | None = None) -> bytes:
        """Raises ObjectMissingError, ObjectTooLargeError, TransientError."""
        bucket, key = parse_s3_uri(uri)
        with retryable(f"GET {uri}"):
            try:
                answer = self._for(bucket).get_object(Bucket=bucket, Key=key, **self._payer(bucket))
            except ClientError as error:
                raise _missing(error, uri) from error
            with closing(answer["Body"]) as body:
                if most is not None and (size := answer["ContentLength"]) > most:
                    msg = f"{uri} has {size} bytes; at most {most} are read"
                    raise ObjectTooLargeError(msg)
                return body.read()

    def get_range(self, uri: str, *, start: int, stop: int, etag: str) -> bytes:
        """Raises ObjectMissingError, also where the object has another ETag, ObjectForbiddenError, TransientError."""
        bucket, key = parse_s3_uri(uri)
        with retryable(f"GET {uri}"):
            try:
                answer = self._for(bucket).get_object(
                    Bucket=bucket,
                    Key=key,
                    Range=f"bytes={start}-{stop - 1}",
                    IfMatch=f'"{etag}"',
                    **self._payer(bucket),
                )
                return answer["Body"].read(stop - start)
            except ClientError as error:
                if code_of(error) in _OTHER_ETAG:
                    msg = f"{uri} has no longer the ETag {etag}"
                    raise ObjectMissingError(msg) from error
                raise _missing(error, uri) from error

    def put_new(self, uri: str, body: bytes | Path, *, run: str, content_type: str) -> bool:
        """Write with If-None-Match; True if this call wrote it, False if this run already had.

        Raises OutputConflictError, TransientError.
        """
        bucket, key = parse_s3_uri(uri)
        with retryable(f"PUT {uri}"):
            try:
                if isinstance(body, Path):
                    with body.open("rb") as stream:
                        self._put(bucket, key, stream, run, content_type)
                else:
                    self._put(bucket, key, body, run, content_type)
            except ClientError as error:
                if code_of(error) not in _EXISTS:
                    raise
                return self._already_ours(uri, run)
        return True

    def discard(self, uris: "Sequence[str]") -> None:
        """Delete objects of one bucket, a thousand a call. Raises TransientError, also where some are left."""
        for part in batched(uris, _DELETES, strict=False):
            keys = [parse_s3_uri(uri) for uri in part]
            bucket = keys[0][0]
            with retryable(f"DELETE {len(keys)} objects of {bucket}"):
                answer = self._client.delete_objects(
                    Bucket=bucket, Delete={"Objects": [{"Key": key} for _, key in keys], "Quiet": True}
                )
            if left := answer.get("Errors"):
                msg = f"{len(left)} objects of {bucket} were not deleted, the first: {left[0].get('Message')}"
                raise TransientError(msg)

    def _for(self, bucket: str) -> "S3Client":
        """Give the client of a bucket's region: another one's redirects each request, which costs one more."""
        region = self._access.regions.get(bucket)
        if region is None or self._elsewhere is None:
            return self._client
        if region not in self._clients:
            self._clients[region] = self._elsewhere(region)
        return self._clients[region]

    def _payer(self, bucket: str) -> dict[str, Any]:
        return {"RequestPayer": "requester"} if bucket in self._access.requester_pays else {}

    def _put(self, bucket: str, key: str, body: object, run: str, content_type: str) -> None:
        self._client.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,  # type: ignore[arg-type]  # bytes or a binary file, both of which boto3 takes
            ContentType=content_type,
            IfNoneMatch="*",
            Metadata={RUN_ID: run},
        )

    def _already_ours(self, uri: str, run: str) -> bool:
        if (owner := self.head(uri).run) == run:
            return False
        msg = (
            f"{uri} exists and belongs to run {owner}, not to {run}. Nothing was overwritten; move that object away to"
            " go on."
        )
        raise OutputConflictError(msg)


def _missing(error: ClientError, uri: str) -> Exception:
    if code_of(error) in _MISSING:
        return ObjectMissingError(f"there is no object {uri}")
    if code_of(error) in _FORBIDDEN:
        return ObjectForbiddenError(f"{uri} may not be read: {error}")
    return TransientError(f"{uri}: {error}")
