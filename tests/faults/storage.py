"""S3 in memory: conditional writes, ETags, the metadata ``run-id``, and objects that expire."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

from tests.faults.timeline import DAY, Timeline

from clayline.errors import OutputConflictError
from clayline.ports import ObjectHead, ObjectMissingError, ObjectTooLargeError
from clayline.run.keys import parse_s3_uri

KEPT_DAYS = {
    "requests": 2.0,
    "items": 30.0,
    "plans": 30.0,
    "outcomes": 30.0,
    "settlements": 30.0,
    "verdicts": 30.0,
    "responses": 30.0,
    "failures": 30.0,
}
"""Lifecycle of the work bucket's prefixes (template.yaml, WorkBucket; compared by a test)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An object."""

    body: bytes
    etag: str
    run: str | None
    written: float
    """Seconds of the timeline."""


class Storage:
    """All buckets. The port Objects, and what the outside does: landing, replacing, deleting."""

    def __init__(self, timeline: Timeline, *, work_bucket: str) -> None:
        self._timeline = timeline
        self._work = work_bucket
        self.objects: dict[str, Stored] = {}
        self.discarded: set[str] = set()
        """What nobody needs any more."""
        self.versions: dict[str, bytes] = {}
        """Every body ever put from outside, by its ETag."""

    def put(self, uri: str, body: bytes) -> str:
        """Put an object from outside, over whatever is there; gives its ETag."""
        etag = md5(body, usedforsecurity=False).hexdigest()
        self.versions[etag] = body
        self.objects[uri] = Stored(body=body, etag=etag, run=None, written=self._timeline.seconds)
        return etag

    def delete(self, uri: str) -> None:
        """Take an object away."""
        self.objects.pop(uri, None)

    def discard(self, uris: Sequence[str]) -> None:
        for uri in uris:
            self.delete(uri)
            self.discarded.add(uri)

    def find(self, uri: str) -> Stored | None:
        """Give an object that is there and has not expired."""
        found = self.objects.get(uri)
        if found is not None and self._is_over(uri, found):
            del self.objects[uri]
            return None
        return found

    def head(self, uri: str) -> ObjectHead:
        found = self._get(uri)
        metadata = {"run-id": found.run} if found.run else {}
        return ObjectHead(uri=uri, size=len(found.body), etag=found.etag, metadata=metadata)

    def get(self, uri: str, *, most: int | None = None) -> bytes:
        body = self._get(uri).body
        if most is not None and len(body) > most:
            raise ObjectTooLargeError(f"{uri} has {len(body)} bytes; at most {most} are read")
        return body

    def get_range(self, uri: str, *, start: int, stop: int, etag: str) -> bytes:
        found = self._get(uri)
        if found.etag != etag:
            raise ObjectMissingError(f"{uri} has no longer the ETag {etag}")
        return found.body[start:stop]

    def put_new(self, uri: str, body: bytes | Path, *, run: str, content_type: str) -> bool:
        assert content_type
        found = self.find(uri)
        if found is not None:
            if found.run != run:
                raise OutputConflictError(f"{uri} exists and belongs to run {found.run}, not to {run}")
            return False
        content = body.read_bytes() if isinstance(body, Path) else bytes(body)
        etag = md5(content, usedforsecurity=False).hexdigest()
        self.objects[uri] = Stored(body=content, etag=etag, run=run, written=self._timeline.seconds)
        return True

    def under(self, prefix: str) -> dict[str, Stored]:
        """Give every object whose URI begins so."""
        return {uri: found for uri, found in self.objects.items() if uri.startswith(prefix)}

    def _get(self, uri: str) -> Stored:
        found = self.find(uri)
        if found is None:
            raise ObjectMissingError(f"there is no object {uri}")
        return found

    def _is_over(self, uri: str, found: Stored) -> bool:
        bucket, key = parse_s3_uri(uri)
        days = KEPT_DAYS.get(key.partition("/")[0]) if bucket == self._work else None
        return days is not None and self._timeline.seconds > found.written + days * DAY
