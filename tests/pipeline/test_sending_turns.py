"""Several senders at one scene: every order of their requests, and every moment at which they may be killed.

A world is small enough to walk through all that it can come to. A sender is known by the answers that it got: to go on
by one request it is run from its start, over the answers of before. Whoever is killed simply does not go on, so what
holds in every state that is reached holds after every kill.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from tests.dataset.world import NOON

from clayline.dataset.ports import Root, Stored
from clayline.dataset.scene_file import SceneFile, SceneHeader
from clayline.errors import TransientError
from clayline.likeness.centring import Centre
from clayline.likeness.vector_index import VectorModel
from clayline.likeness.vector_records import ChipColumns, Put
from clayline.run.receipt import ChipOutcome, Counts, Receipt, State
from clayline.steps import turns
from clayline.steps.sending import Sending, Sent
from clayline.steps.turns import Turn

TOKEN, DIGEST, SCENE = "starter-v1.0-rgb", f"sha256:{'0' * 64}", "0" * 11 + "7"
MODEL = VectorModel.by(Centre(values=np.zeros(2, np.float32), by="card"), token=TOKEN, digest=DIGEST)
MODEL_KEY = f"vectors/v/{TOKEN}/model_{'0' * 12}.json"
CHIPS = {1: ("32UQD-a", "33UQD-b"), 2: ("32UQD-a", "33UQD-c")}
"""By revision: one that both have, one that the newer has no more, in another index, and one that is new."""
FILES = {
    revision: found
    for revision in CHIPS
    if (found := SceneFile.of_receipt(f"{TOKEN}/{SCENE}/32UQD_20240601_20240601_v{revision:03d}_receipt.json"))
}
CONTENTS = {MODEL_KEY: MODEL.model_dump_json().encode()} | {
    FILES[revision].receipt: Receipt(
        run="r",
        status="SceneEmbedded",
        reason=None,
        message=None,
        scene="s",
        source_uri="u",
        source_model=TOKEN,
        counts=Counts(planned=2, written=2, skipped={}, failed={}),
        outputs={},
        chips=tuple(ChipOutcome(uci=uci, index=at, state=State.WRITTEN) for at, uci in enumerate(ucis)),
    )
    .model_dump_json()
    .encode()
    for revision, ucis in CHIPS.items()
}
"""What never changes."""
THROTTLED = "throttled"
PASSES = timedelta(minutes=61)


def direction(revision: int) -> tuple[float, float]:
    return (1.0, 0.0) if revision == 1 else (0.0, 1.0)


def expected(revision: int) -> dict[tuple[str, str], tuple[float, ...]]:
    return {(MODEL.index(uci), uci): direction(revision) for uci in CHIPS[revision]}


@dataclass(frozen=True)
class Cloud:
    """What is in S3 and in the vector bucket."""

    objects: dict[str, datetime]
    vectors: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    now: datetime = NOON

    def copy(self) -> "Cloud":
        return replace(self, objects=dict(self.objects), vectors=dict(self.vectors))

    def later(self) -> "Cloud":
        return replace(self.copy(), now=self.now + PASSES)

    def landed(self, revision: int) -> "Cloud":
        there = dict.fromkeys((FILES[revision].parquet, FILES[revision].receipt), self.now)
        return replace(self.copy(), objects=self.objects | there)

    @property
    def newest(self) -> int:
        return max(revision for revision, file in FILES.items() if file.receipt in self.objects)

    @property
    def key(self) -> Hashable:
        return frozenset(self.objects.items()), frozenset(self.vectors.items()), self.now


class Paused(BaseException):
    """The next request waits for its turn."""


@dataclass(kw_only=True)
class Ports:
    """Root, vector bucket and clock of one sender: answers of before, then ``more`` requests over the cloud."""

    cloud: Cloud
    answers: list[Any] = field(default_factory=list)
    more: float = float("inf")
    fails: bool = False
    """The last request that it may make is done, and answered with an error."""
    at: int = 0
    uri: str = "s3://embeddings"
    bucket: str = "v"

    def do(self, call: Callable[[], Any], *, is_request: bool = True) -> Any:
        if self.at == len(self.answers):
            if not self.more:
                raise Paused
            self.more -= is_request
            found = call()
            self.answers.append(THROTTLED if self.fails and is_request else found)
        found = self.answers[self.at]
        self.at += 1
        if found == THROTTLED:
            raise TransientError(THROTTLED)
        return found

    def clock(self) -> datetime:
        """Read right before a request: nobody else comes between."""
        found: datetime = self.do(lambda: self.cloud.now, is_request=False)
        return found

    def list(self, prefix: str) -> Iterator[Stored]:
        there = self.cloud.objects
        for key, moment in self.do(lambda: tuple((key, there[key]) for key in sorted(there) if key.startswith(prefix))):
            yield Stored(key=key, size=1, etag="e", modified=moment)

    def head(self, key: str) -> Stored:
        return Stored(key=key, size=1, etag="e", modified=NOON)

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        assert most
        return CONTENTS[key], "e"

    def put_new(self, key: str, body: object) -> bool:
        assert body
        return bool(self.do(lambda: self.cloud.objects.setdefault(key, self.cloud.now) and True))

    def discard(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.do(lambda key=key: self.cloud.objects.pop(key, None))  # type: ignore[misc]

    def put(self, put: Put) -> None:
        self.do(lambda: self.cloud.vectors.update({(put.index, each.key): tuple(each.data) for each in put.records}))

    def delete(self, index: str, keys: Sequence[str]) -> None:
        self.do(lambda: [self.cloud.vectors.pop((index, key), None) for key in keys] and None)


def revision_of(stored: Stored) -> int:
    return next(revision for revision, file in FILES.items() if stored.key == file.parquet)


def read_header(root: Root, stored: Stored) -> SceneHeader:
    assert root
    said = {"run": stored.key, "instrument": "i", "model": {"digest": DIGEST}}
    return SceneHeader(provenance=said, rows=2, dimensions=2)


def read_chips(root: Root, stored: Stored, header: SceneHeader) -> Iterator[ChipColumns]:
    assert root
    revision, count = revision_of(stored), header.rows
    ones = np.ones(count, np.float32)
    yield ChipColumns(
        uci=CHIPS[revision],
        cell=[None] * count,
        epoch=np.zeros(count, np.int64),
        centres=np.zeros((count, 2)),
        valid=ones,
        cloud=ones,
        loss=ones,
        vectors=np.tile(np.array(direction(revision), np.float32), (count, 1)),
    )


def sending(ports: Any, name: str) -> Sending:
    names = iter(range(9))
    return Sending(
        root=ports,
        vectors=ports,
        read_header=read_header,
        read_chips=read_chips,
        centre=lambda *_: None,
        clock=ports.clock,
        name=lambda: f"{name}{next(names)}",
    )


@dataclass(frozen=True)
class Sender:
    """Whose answers so far are what it is."""

    name: str
    revision: int
    """Of which it was told."""
    answers: tuple[Any, ...] = ()
    sent: Sent | None = None
    failed: bool = False

    @property
    def is_over(self) -> bool:
        return self.failed or self.sent is not None

    def goes_on(self, cloud: Cloud, *, fails: bool = False) -> "Sender":
        """Give it after its next request, which is made in ``cloud``."""
        ports = Ports(cloud=cloud, answers=list(self.answers), more=1, fails=fails)
        try:
            sent = sending(ports, self.name).send(FILES[self.revision], left=lambda: timedelta(hours=1)).sent
        except Paused:
            return replace(self, answers=tuple(ports.answers))
        except TransientError:
            return replace(self, failed=True)
        return replace(self, sent=sent)


@dataclass(frozen=True)
class World:
    cloud: Cloud
    senders: tuple[Sender, ...]
    hours: int = 0
    """That may pass yet."""
    failures: int = 0
    """Requests that may be answered with an error yet."""

    def comes_to(self) -> Iterator["World"]:
        if self.cloud.newest == 1:
            yield replace(self, cloud=self.cloud.landed(2))
        if self.hours:
            yield replace(self, cloud=self.cloud.later(), hours=self.hours - 1)
        for at, sender in enumerate(self.senders):
            if sender.is_over or sender.revision > self.cloud.newest:
                continue
            for fails in (False, True)[: 1 + bool(self.failures)]:
                cloud = self.cloud.copy()
                senders = (*self.senders[:at], sender.goes_on(cloud, fails=fails), *self.senders[at + 1 :])
                yield replace(self, cloud=cloud, senders=senders, failures=self.failures - fails)

    @property
    def key(self) -> Hashable:
        return self.cloud.key, self.senders, self.hours, self.failures


def is_missing(cloud: Cloud) -> bool:
    return list(sending(Ports(cloud=cloud), "m").missing()) != []


def is_right(cloud: Cloud) -> bool:
    return cloud.vectors == expected(cloud.newest)


def walk(start: World) -> Iterator[World]:
    """Give every state that the world can come to, once."""
    seen, ahead = {start.key}, [start]
    while ahead:
        world = ahead.pop()
        yield world
        for after in world.comes_to():
            if after.key not in seen:
                seen.add(after.key)
                ahead.append(after)


EMPTY = Cloud(objects={MODEL_KEY: NOON}).landed(1)
TOLD_OF_BOTH = Sender("a", 1), Sender("b", 2)


def overtaken(**more: int) -> World:
    """Give a world in which a newer revision came when the first sender had put a part of the older one."""
    cloud, (first, second) = EMPTY.copy(), TOLD_OF_BOTH
    while not cloud.vectors:
        first = first.goes_on(cloud)
    return World(cloud.landed(2), (first, second), **more)


STARTS = {
    "the newer one comes at any moment": World(EMPTY, TOLD_OF_BOTH),
    "both were told of the newer one": World(EMPTY, (Sender("a", 2), Sender("b", 2))),
    "an hour passes at any moment": overtaken(hours=1),
    "a request fails at any moment": overtaken(failures=1),
}


def is_kept(world: World) -> bool:
    """Say whether nobody is misled, if whoever has not ended is killed now."""
    if all(sender.sent for sender in world.senders):
        return is_right(world.cloud) and not is_missing(world.cloud)
    return is_right(world.cloud) or is_missing(world.cloud)


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_wherever_senders_are_killed_the_bucket_is_right_or_the_scene_is_missing(start: World) -> None:
    clouds: dict[Hashable, Cloud] = {}
    for world in walk(start):
        assert is_kept(world), world
        clouds[world.cloud.key] = world.cloud
    for cloud in clouds.values():  # all are killed, and somebody else comes, at once or an hour later
        for after in (cloud.copy(), cloud.later()):
            sending(Ports(cloud=after), "z").send(FILES[1], left=lambda: timedelta(hours=1))
            assert is_right(after)
        assert not is_missing(after)


def no_look_at_beginnings(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "is_settled", lambda turn, mark: mark in turn.seen)
    patch.setattr("clayline.steps.sending.begun_scene", lambda _: None)


def others_beginnings_are_taken_away_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(turns, "OVER", timedelta(days=-1))


def one_beginning_covers_whatever_comes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(turns, "COVERS", timedelta(days=1))


def who_gives_up_leaves_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "give_up", lambda turn: turn.root.discard(turn._own))


def who_gave_up_meanwhile_counts_as_seen(patch: pytest.MonkeyPatch) -> None:
    end = Turn.end

    def blind(turn: Turn) -> bool:
        turn.seen |= {stored.key for stored in turn.root.list(turn.stem)}
        return end(turn)

    patch.setattr(Turn, "end", blind)


@pytest.mark.parametrize(
    ("without", "start"),
    [
        (no_look_at_beginnings, "the newer one comes at any moment"),
        (others_beginnings_are_taken_away_at_once, "the newer one comes at any moment"),
        (one_beginning_covers_whatever_comes, "an hour passes at any moment"),
        (who_gives_up_leaves_nothing, "a request fails at any moment"),
        (who_gave_up_meanwhile_counts_as_seen, "a request fails at any moment"),
    ],
)
def test_each_guard_is_needed(
    without: Callable[[pytest.MonkeyPatch], None], start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch)
    assert not all(is_kept(world) for world in walk(STARTS[start]))
