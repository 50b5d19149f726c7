"""What is asked of the place where a dataset lies, counted as S3 would bill it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
        self._by_key: dict[str, Asked] | None = None

    def follow(self) -> None:
        """Count by object too, from now on: for who is to be told what was read."""
        with self._lock:
            self._by_key = {}

    @property
    def by_key(self) -> Mapping[str, Asked]:
        """What was asked of each object since ``follow``; nothing before it."""
        with self._lock:
            return dict(self._by_key or {})

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
        self._count(Asked(gets=1), key)
        return self._root.head(key)

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        """As the place's own."""
        self._count(Asked(gets=1), key)
        body, etag = self._root.get(key, most=most)
        self._count(Asked(size=len(body)), key)
        return body, etag

    def get_range(self, key: str, *, start: int, stop: int, etag: str | None = None) -> bytes:
        """As the place's own."""
        self._count(Asked(gets=1), key)
        body = self._root.get_range(key, start=start, stop=stop, etag=etag)
        self._count(Asked(size=len(body)), key)
        return body

    def _count(self, more: Asked, key: str | None = None) -> None:
        with self._lock:
            self._asked += more
            if key is not None and self._by_key is not None:
                self._by_key[key] = self._by_key.get(key, Asked()) + more


@dataclass(kw_only=True)
class Meter:
    """What the parts of a piece of work ask for, each under its kind."""

    root: CountedRoot
    spent: dict[str, Asked] = field(default_factory=lambda: defaultdict(Asked))

    def of[Result](self, kind: str, work: Callable[[], Result]) -> Result:
        """Do some of it, and count what that asks for."""
        before = self.root.asked
        result = work()
        self.spent[kind] += self.root.asked - before
        return result
