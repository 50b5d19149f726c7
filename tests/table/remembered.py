"""A dataset's root in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from clayline.dataset.ports import Stored
from clayline.ports import ObjectMissingError, ObjectTooLargeError

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class RememberedRoot:
    objects: dict[str, bytes] = field(default_factory=dict)
    uri: str = "memory://dataset"

    def list(self, prefix: str) -> Iterator[Stored]:
        yield from (self.head(key) for key in sorted(self.objects) if key.startswith(prefix))

    def head(self, key: str) -> Stored:
        body = self._body(key)
        return Stored(key=key, size=len(body), etag=sha256(body).hexdigest()[:16], modified=EPOCH)

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        body = self._body(key)
        if len(body) > most:
            raise ObjectTooLargeError(key)
        return body, self.head(key).etag

    def get_range(self, key: str, *, start: int, stop: int, etag: str | None = None) -> bytes:
        body = self._body(key)
        if etag not in {None, self.head(key).etag}:
            raise ObjectMissingError(key)
        return body[start:stop]

    def _body(self, key: str) -> bytes:
        if key not in self.objects:
            raise ObjectMissingError(f"there is no object {key}")
        return self.objects[key]
