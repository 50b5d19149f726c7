"""Sending vectors: what a vector bucket holds in the end, whatever comes twice, late, in between or is killed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import pytest
from tests.dataset.scenes import DIMENSIONS, MadeUp
from tests.dataset.world import TOKEN, Memory
from tests.likeness.vector_bucket import MemoryVectors

from clayline.dataset.ports import Root, Stored
from clayline.dataset.scene_file import SceneHeader
from clayline.errors import DatasetError, TransientError
from clayline.likeness.centring import Centre
from clayline.likeness.vector_records import ChipColumns
from clayline.ports import ObjectMissingError
from clayline.steps.sending import Mark, Sending, Sent
from clayline.table.scene_header import read_scene_header
from clayline.table.vector_columns import read_chips

SCENE = MadeUp(number=7, rows=16)
NEWER = replace(SCENE, revision=2, rows=12)
"""Four chips fewer."""
CENTRE = Centre(values=np.full(DIMENSIONS, 0.25, np.float32), by="card")
AMPLE = timedelta(hours=1)


class Killed(BaseException):
    """The function was killed."""


@dataclass
class World:
    root: Memory = field(default_factory=Memory)
    vectors: MemoryVectors = field(default_factory=MemoryVectors)
    centre: Callable[[str, str], Centre | None] = lambda *_: CENTRE

    @property
    def sending(self) -> Sending:
        return Sending(
            root=self.root,
            vectors=self.vectors,
            read_header=read_scene_header,
            read_chips=read_chips,
            centre=self.centre,
            clock=lambda: self.root.now,
            least=timedelta(seconds=60),
        )

    def send(self, scene: MadeUp) -> Sent:
        return self.sending.send(scene.file, left=lambda: AMPLE).sent

    def holds(self, scene: MadeUp) -> bool:
        """Say whether the bucket holds a revision's vectors, and no other one's."""
        found, expected = self.vectors.records, CENTRE.unit(scene.vectors())
        if list(found) != sorted(found) or set(found) != set(scene.ucis):
            return False
        return all(
            np.allclose(found[uci].data, vector, atol=1e-6) for uci, vector in zip(scene.ucis, expected, strict=True)
        )

    def mark(self, scene: MadeUp) -> Mark | None:
        there = self.root.objects.get(self.sending.key(scene.file))
        return Mark.model_validate_json(there[0]) if there else None


def landed(*scenes: MadeUp) -> World:
    world = World()
    for scene in scenes:
        scene.land(world.root)
    return world


def test_a_scene_is_sent_once() -> None:
    world = landed(SCENE)
    assert world.send(SCENE) is Sent.SENT
    assert world.holds(SCENE)
    mark = world.mark(SCENE)
    assert mark
    assert (mark.bucket, mark.vectors, mark.deleted, mark.run) == ("my-vectors", 16, 0, SCENE.row.run)
    assert mark.indexes == tuple(world.vectors.there)
    asked = list(world.vectors.requests)
    assert world.send(SCENE) is Sent.ALREADY
    assert world.vectors.requests == asked


def test_where_chips_are_stands_in_the_metadata() -> None:
    world = landed(SCENE)
    world.send(SCENE)
    first = world.vectors.records[SCENE.ucis[0]].metadata
    box = SCENE.row.box
    assert first["lon"] == pytest.approx(box.west + 0.0125)
    assert first["lat"] == pytest.approx(box.north - 0.0125)
    assert first["epoch"] == SCENE.row.start.timestamp()
    assert (first["scene"], first["instrument"], first["valid"]) == (SCENE.row.scene, SCENE.row.instrument, 1.0)
    assert first.keys().isdisjoint({"cloud", "loss"})


def test_a_newer_revision_replaces_the_older_ones_vectors_and_takes_away_what_it_lacks() -> None:
    world = landed(SCENE)
    world.send(SCENE)
    NEWER.land(world.root)
    assert world.send(NEWER) is Sent.SENT
    assert world.holds(NEWER)
    mark = world.mark(NEWER)
    assert mark
    assert mark.deleted == 4


def test_a_message_about_an_older_revision_puts_the_newest() -> None:
    world = landed(SCENE, NEWER)
    assert world.send(SCENE) is Sent.SENT
    assert world.holds(NEWER)
    assert world.mark(NEWER)
    assert world.mark(SCENE) is None


def test_a_chip_whose_vector_is_not_finite_keeps_no_other_one_away() -> None:
    world = landed(SCENE)

    def spoilt(root: Root, stored: Stored, header: SceneHeader) -> Iterator[ChipColumns]:
        for columns in read_chips(root, stored, header):
            vectors = columns.vectors.copy()
            vectors[3, 0], vectors[5] = np.inf, np.nan
            yield replace(columns, vectors=vectors)

    assert replace(world.sending, read_chips=spoilt).send(SCENE.file, left=lambda: AMPLE).sent is Sent.SENT
    assert set(world.vectors.records) == set(SCENE.ucis) - {SCENE.ucis[3], SCENE.ucis[5]}
    assert all(np.isfinite(record.data).all() for record in world.vectors.records.values())
    mark = world.mark(SCENE)
    assert mark
    assert (mark.vectors, mark.not_finite, mark.without_direction) == (14, 2, 0)


def test_another_digest_of_the_token_leaves_nothing_in_the_old_index() -> None:
    world = landed(SCENE)
    world.send(SCENE)
    other = replace(NEWER, digest="1")
    other.land(world.root)
    world.send(other)
    assert world.holds(other)
    assert sorted(len(records) for records in world.vectors.there.values()) == [0, 12]


def overtaken() -> World:
    """Give a world in which a scene was sent, and has a newer revision since."""
    world = landed(SCENE)
    world.send(SCENE)
    NEWER.land(world.root)
    return world


def spoil(world: World, key: str) -> None:
    body, moment = world.root.objects[key]
    world.root.objects[key] = body[:-100], moment


@pytest.mark.parametrize("taken", [False, True])
def test_a_damaged_older_file_keeps_the_newest_from_nothing(*, taken: bool) -> None:
    world = overtaken()
    if taken:
        world.root.discard([SCENE.file.parquet])
    else:
        spoil(world, SCENE.file.parquet)
    assert world.send(NEWER) is Sent.SENT
    assert world.holds(NEWER)
    mark = world.mark(NEWER)
    assert mark
    assert (mark.deleted, mark.unread) == (4, ())


def test_a_damaged_older_receipt_is_told_and_the_newest_is_put_all_the_same() -> None:
    world = overtaken()
    spoil(world, SCENE.file.receipt)
    outcome = world.sending.send(NEWER.file, left=lambda: AMPLE)
    assert outcome.mark == world.mark(NEWER)
    assert outcome.mark
    assert (outcome.mark.vectors, outcome.mark.deleted, outcome.mark.unread) == (12, 0, (SCENE.file.receipt,))
    assert set(world.vectors.records) == set(SCENE.ucis)
    assert list(world.sending.missing()) == []
    SCENE.land(restored := Memory())
    world.root.objects[SCENE.file.receipt] = restored.objects[SCENE.file.receipt]
    world.root.discard([world.sending.key(NEWER.file)])
    assert world.send(NEWER) is Sent.SENT  # as docs/vectors.md has it, once the receipt was restored
    assert world.holds(NEWER)


def test_a_damaged_word_on_another_digest_is_told() -> None:
    world = overtaken()
    other = f"vectors/my-vectors/{TOKEN}/model_{'1' * 12}.json"
    world.root.put_new(other, b"{")
    outcome = world.sending.send(NEWER.file, left=lambda: AMPLE)
    assert outcome.mark
    assert (outcome.mark.deleted, outcome.mark.unread) == (4, (other,))
    assert world.holds(NEWER)


def operations(world: World, scene: MadeUp) -> int:
    count = 0

    def counted(*_: str) -> None:
        nonlocal count
        count += 1

    world.root.before = world.vectors.before = counted
    world.send(scene)
    return count


STEPS = operations(overtaken(), NEWER)


@pytest.mark.parametrize("at", range(STEPS))
def test_killed_before_any_operation_the_next_delivery_ends_it(at: int) -> None:
    world, left = overtaken(), at

    def kill(*_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    world.root.before = world.vectors.before = kill
    with pytest.raises(Killed):
        world.send(NEWER)
    world.root.before = world.vectors.before = lambda *_: None
    assert list(world.sending.missing()) == [NEWER.file]
    world.root.now += timedelta(minutes=90)  # the queue's visibility
    assert world.send(NEWER) is Sent.SENT
    assert world.holds(NEWER)
    assert world.mark(NEWER)
    assert list(world.sending.missing()) == []


@pytest.mark.parametrize("killed", [False, True])
def test_an_older_delivery_that_puts_after_the_newer_one_is_put_right(*, killed: bool) -> None:
    world = landed(SCENE)
    world.send(SCENE)  # the model's object is there
    world.root.discard([world.sending.key(SCENE.file)])

    def newer_comes(*_: str) -> None:
        """Between the older one's look and its put, the newer one comes and goes."""
        world.vectors.before = lambda *_: None
        NEWER.land(world.root)
        assert world.send(NEWER) is Sent.BESIDE
        if killed:
            world.root.before = stop

    def stop(*_: str) -> None:
        raise Killed

    world.vectors.before = newer_comes
    if killed:
        with pytest.raises(Killed):
            world.send(SCENE)
        assert not world.holds(NEWER)  # the older one's vectors lie over the newer one's
        world.root.before = lambda *_: None
        assert list(world.sending.missing()) == [NEWER.file]
        assert world.send(NEWER) is Sent.BESIDE  # nobody knows that the other one is dead
        assert world.holds(NEWER)
        assert list(world.sending.missing()) == [NEWER.file]
        world.root.now += timedelta(minutes=61)
        assert world.send(NEWER) is Sent.SENT
    world.send(SCENE)
    assert world.holds(NEWER)
    assert list(world.sending.missing()) == []


def test_what_has_no_mark_is_found_and_sent() -> None:
    others = [MadeUp(number=number) for number in (1, 2)]
    world = landed(SCENE, NEWER, *others)
    assert [file.scene[-1] for file in world.sending.missing()] == ["1", "2", "7"]
    world.send(others[0])
    missing = list(world.sending.missing())
    assert [(file.scene[-1], file.revision) for file in missing] == [("2", 1), ("7", 2)]
    for file in missing:
        world.sending.send(file, left=lambda: AMPLE)
    assert list(world.sending.missing()) == []
    assert len(world.vectors.records) == 16 + 16 + 12


class InterruptedOnce(BaseException):
    """Ctrl-C: what is asked for after it is still answered."""


@pytest.mark.parametrize("error", [TransientError("throttled"), InterruptedOnce()], ids=["throttled", "interrupted"])
def test_who_is_stopped_in_order_leaves_word_and_the_next_one_need_not_wait(error: BaseException) -> None:
    world = landed(SCENE, NEWER)

    def stopped(*_: str) -> None:
        raise error

    world.vectors.before = stopped
    with pytest.raises(type(error)):
        world.send(SCENE)
    world.vectors.before = lambda *_: None
    assert list(world.sending.missing()) == [NEWER.file]
    assert world.send(SCENE) is Sent.SENT
    assert list(world.sending.missing()) == []


def test_who_fails_before_anything_was_put_leaves_nothing() -> None:
    world = landed(SCENE)
    body, moment = world.root.objects[SCENE.file.parquet]
    world.root.objects[SCENE.file.parquet] = body[:4] + bytes(1_000) + body[1_004:], moment
    with pytest.raises(DatasetError, match=SCENE.file.parquet):
        world.send(SCENE)
    assert [key for key in world.root.objects if key.startswith("vectors/")] == [
        f"vectors/my-vectors/{TOKEN}/model_{'0' * 12}.json"
    ]


def test_who_takes_longer_than_a_beginning_covers_begins_again() -> None:
    world = overtaken()
    begun: list[int] = []

    def slow(*_: str) -> None:
        begun.append(len([key for key in world.root.objects if "_begun_" in key]))
        world.root.now += timedelta(minutes=31)

    world.vectors.before = slow
    assert world.send(NEWER) is Sent.SENT
    assert [name for name, *_ in world.vectors.requests[-2:]] == ["put", "delete"]
    assert begun == [1, 2]
    assert not [key for key in world.root.objects if "_begun_" in key]


def test_another_vector_bucket_has_marks_of_its_own() -> None:
    world = landed(SCENE)
    world.send(SCENE)
    world.vectors = MemoryVectors(bucket="another")
    assert [file.scene for file in world.sending.missing()] == [SCENE.row.scene]
    assert world.send(SCENE) is Sent.SENT


def test_revisions_that_have_failed_do_not_count() -> None:
    world = landed(SCENE, NEWER)
    world.root.discard([NEWER.file.parquet])
    assert world.send(SCENE) is Sent.SENT
    assert world.holds(SCENE)


def test_the_first_centre_holds() -> None:
    world = landed(SCENE)
    world.send(SCENE)
    world.centre = lambda *_: Centre(values=CENTRE.values + 1, by="codebook")
    NEWER.land(world.root)
    world.send(NEWER)
    assert world.holds(NEWER)
    assert world.sending.model(TOKEN, SCENE.row.digest).centred_by == "card"


def test_where_nobody_states_a_centre_the_scene_waits() -> None:
    world = landed(SCENE)
    world.centre = lambda *_: None
    with pytest.raises(TransientError, match=r"nobody states the centre of starter-v1\.0-s2-rgb"):
        world.send(SCENE)
    assert not world.vectors.there
    assert [file.scene for file in world.sending.missing()] == [SCENE.row.scene]


def test_no_request_begins_when_the_time_is_up() -> None:
    world = landed(SCENE)
    with pytest.raises(TransientError, match="time is up"):
        world.sending.send(SCENE.file, left=lambda: timedelta(seconds=59))
    assert not world.vectors.requests
    assert world.mark(SCENE) is None


def test_a_scene_that_is_not_there_is_named() -> None:
    with pytest.raises(ObjectMissingError, match="memory has no receipt"):
        World().send(SCENE)


def test_a_broken_file_is_named_and_nothing_is_marked() -> None:
    world = landed(SCENE)
    body, moment = world.root.objects[SCENE.file.parquet]
    world.root.objects[SCENE.file.parquet] = body[:-100], moment
    with pytest.raises(DatasetError, match=SCENE.file.parquet):
        world.send(SCENE)
    assert world.mark(SCENE) is None
