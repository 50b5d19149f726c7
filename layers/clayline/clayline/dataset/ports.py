"""What a dataset needs of the place where it lies: a bucket's prefix or a folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An object as a listing, or HEAD, shows it."""

    key: str
    """Relative to the root."""
    size: int
    """Bytes."""
    etag: str
    """Without quotes; another content has another one."""
    modified: datetime


class Root(Protocol):
    """The place, read. Keys are relative to it."""

    @property
    def uri(self) -> str:
        """Its name for people, without a slash at the end."""
        ...

    def list(self, prefix: str) -> Iterator[Stored]:
        """Give the objects under a prefix, by key. Raises TransientError, ObjectForbiddenError."""
        ...

    def head(self, key: str) -> Stored:
        """Raises ObjectMissingError, ObjectForbiddenError, TransientError."""
        ...

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        """Give an object of at most ``most`` bytes, and its ETag.

        Raises ObjectMissingError, ObjectTooLargeError, ObjectForbiddenError, TransientError.
        """
        ...

    def get_range(self, key: str, *, start: int, stop: int, etag: str | None = None) -> bytes:
        """Give the bytes from ``start`` up to ``stop``; with an ETag, of the object as it was then.

        Raises ObjectMissingError, also where it has another ETag, ObjectForbiddenError, TransientError.
        """
        ...


class WritableRoot(Root, Protocol):
    """The place, written."""

    def put_new(self, key: str, body: bytes | Path) -> bool:
        """Write if nothing is there; False if something is. Raises TransientError."""
        ...

    def replace(self, key: str, body: bytes, *, etag: str | None) -> bool:
        """Write over the object that has this ETag (None: where there is none); False if there is another by now.

        Raises TransientError.
        """
        ...

    def discard(self, keys: Sequence[str]) -> None:
        """Delete objects, those that are there. Raises TransientError."""
        ...
