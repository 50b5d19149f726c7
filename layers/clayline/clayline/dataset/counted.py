"""What is asked of the place where a dataset lies, counted as S3 would bill it."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Final, Self

from clayline.dataset.ports import Root, Stored

LISTED: Final = 1_000
"""Objects of a page, S3's limit: each page is a request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Requests of a kind, and what came back."""

    lists: int = 0
    """Pages of listings."""
    gets: int = 0
    """GET and HEAD."""
    size: int = 0
    """Bytes of objects; those of listings are not billed by size."""

    @property
    def requests(self) -> int:
        """All of them."""
        return self.lists + self.gets

    def __add__(self, other: Self) -> "Asked":
        return Asked(lists=self.lists + other.lists, gets=self.gets + other.gets, size=self.size + other.size)

    def __sub__(self, other: Self) -> "Asked":
        return Asked(lists=self.lists - other.lists, gets=self.gets - other.gets, size=self.size - other.size)


class CountedRoot:
    """A Root that counts what is asked of another one, by however many threads."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._lock = Lock()
        self._asked = Asked()

    @property
    def uri(self) -> str:
        """The place's own."""
        return self._root.uri

    @property
    def asked(self) -> Asked:
        """So far."""
        with self._lock:
            return self._asked

    def list(self, prefix: str) -> Iterator[Stored]:
        """As the place's own; a listing of nothing is a request as well."""
        self._count(Asked(lists=1))
        for number, stored in enumerate(self._root.list(prefix)):
            if number and number % LISTED == 0:
                self._count(Asked(lists=1))
            yield stored

    def head(self, key: str) -> Stored:
        """As the place's own."""
        self._count(Asked(gets=1))
        return self._root.head(key)

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        """As the place's own."""
        self._count(Asked(gets=1))
        body, etag = self._root.get(key, most=most)
        self._count(Asked(size=len(body)))
        return body, etag

    def get_range(self, key: str, *, start: int, stop: int, etag: str | None = None) -> bytes:
        """As the place's own."""
        self._count(Asked(gets=1))
        body = self._root.get_range(key, start=start, stop=stop, etag=etag)
        self._count(Asked(size=len(body)))
        return body

    def _count(self, more: Asked) -> None:
        with self._lock:
            self._asked += more
