"""A dataset in memory, whose operations are counted and can be interrupted, and made-up scenes in it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import shapely

from clayline.dataset.ports import Stored
from clayline.dataset.scene_row import Box, SceneRow
from clayline.ports import ObjectMissingError, ObjectTooLargeError

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
TOKEN = "starter-v1.0-s2-rgb"


class LostAnswerError(Exception):
    """A write took place, and nobody was told: asked again, S3 refuses what is there."""


@dataclass
class Memory:
    """A WritableRoot. ``before`` is called before each operation with its name and key, and may raise; ``after`` after
    each write, and may raise, LostAnswerError among others.
    """

    now: datetime = NOON
    before: Callable[[str, str], None] = lambda *_: None
    after: Callable[[str, str], None] = lambda *_: None
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    uri: str = "memory"

    def list(self, prefix: str) -> Iterator[Stored]:
        self._note("list", prefix)
        found = sorted(key for key in self.objects if key.startswith(prefix))
        self.requests["list"] += len(found) // 1000
        yield from [self._stored(key) for key in found]

    def head(self, key: str) -> Stored:
        self._note("head", key)
        self._body(key)
        return self._stored(key)

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        self._note("get", key)
        body = self._body(key)
        self.moved["get"] += len(body)
        if len(body) > most:
            raise ObjectTooLargeError(key)
        return body, self._stored(key).etag

    def get_range(self, key: str, *, start: int, stop: int, etag: str | None = None) -> bytes:
        self._note("get", key)
        body = self._body(key)[start:stop]
        self.moved["get"] += len(body)
        if etag not in {None, self._stored(key).etag}:
            raise ObjectMissingError(key)
        return body

    def put_new(self, key: str, body: bytes | Path) -> bool:
        self._note("put", key)
        content = body.read_bytes() if isinstance(body, Path) else body
        self.moved["put"] += len(content)
        if key in self.objects:
            return False
        self.objects[key] = content, self.now
        return self._told("put", key)

    def replace(self, key: str, body: bytes, *, etag: str | None) -> bool:
        self._note("put", key)
        self.moved["put"] += len(body)
        if (self._stored(key).etag if key in self.objects else None) != etag:
            return False
        self.objects[key] = body, self.now
        return self._told("put", key)

    def discard(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._note("delete", key)
            self.objects.pop(key, None)
            self.after("delete", key)

    def _told(self, operation: str, key: str) -> bool:
        try:
            self.after(operation, key)
        except LostAnswerError:
            return False
        return True

    def _note(self, operation: str, key: str) -> None:
        self.requests[operation] += 1
        self.before(operation, key)

    def _body(self, key: str) -> bytes:
        if key not in self.objects:
            msg = f"there is no object {key}"
            raise ObjectMissingError(msg)
        return self.objects[key][0]

    def _stored(self, key: str) -> Stored:
        body, modified = self.objects[key]
        return Stored(key=key, size=len(body), etag=hashlib.md5(body).hexdigest(), modified=modified)  # noqa: S324 - as S3 does


def scene_row(number: int, *, revision: int = 1, rows: int = 16, square: str = "32UQD") -> SceneRow:
    """Give the row of the made-up scene ``number``: one of a place (by its last digit), days apart."""
    start = NOON + timedelta(days=number)
    west = 8.0 + number % 10 / 10
    scene = f"{number:012x}"
    name = f"{square}_{start:%Y%m%d}_{start:%Y%m%d}_v{revision:03d}"
    box = Box(west=west, south=50.0, east=west + 0.1, north=50.1)
    return SceneRow(
        token=TOKEN,
        digest=f"sha256:{'0' * 64}",
        scene=scene,
        revision=revision,
        run=hashlib.sha256(f"{number} {revision}".encode()).hexdigest()[:32],
        status="SceneEmbedded",
        item_id=f"{TOKEN}_{scene}_{name}",
        instrument="s2a-msi-l2a",
        start=start,
        end=start,
        created=NOON,
        box=box,
        geometry=shapely.to_wkb(shapely.box(box.west, box.south, box.east, box.north)),
        gsd=10.0,
        square=square,
        rows=rows,
        size=1000,
        etag="e",
        dimensions=8,
        href=f"{TOKEN}/{scene}/{name}.parquet",
    )
