"""Watches as they are kept: versions, tombstones, damage, two writers."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.dataset.scenes import MadeUp
from tests.dataset.world import Memory
from tests.likeness.watches import NOW, keep, watch_of

from clayline.dataset.folder import FolderRoot
from clayline.errors import DatasetError, TransientError
from clayline.likeness.watch import Removed, Watch, key_of_version, version_key
from clayline.likeness.watchbook import find, newest_versions, put_next, read_newest, remove
from clayline.ports import ObjectForbiddenError, ObjectMissingError

SCENE = MadeUp(number=1)


@pytest.fixture
def root(tmp_path: Path) -> FolderRoot:
    return FolderRoot(tmp_path)


def test_the_newest_version_counts_and_the_ones_before_stay(root: FolderRoot) -> None:
    for version in (1, 2, 10):
        keep(root, watch_of(SCENE, version=version, threshold=version / 100))
    assert newest_versions(root) == {"pivots": 10}
    assert read_newest(root, "pivots").threshold == 0.1
    made = put_next(root, "pivots", lambda version: watch_of(SCENE, version=version))
    assert made.version == 11
    assert [stored.key for stored in root.list("watches/")] == [
        version_key("pivots", version) for version in (1, 2, 10, 11)
    ]


@pytest.mark.parametrize("threshold", [-1.0, -1.5, 1.1, float("nan"), float("inf")])
def test_a_threshold_that_can_tell_nothing_apart_is_never_kept(root: FolderRoot, threshold: float) -> None:
    with pytest.raises((DatasetError, ValidationError), match=r"every chip of every scene|threshold\n"):
        put_next(root, "pivots", lambda version: watch_of(SCENE, version=version, threshold=threshold))
    assert not newest_versions(root)
    assert put_next(root, "pivots", lambda version: watch_of(SCENE, version=version, threshold=-0.999)).version == 1


def test_a_removed_watch_is_none_and_can_be_made_again(root: FolderRoot) -> None:
    keep(root, watch_of(SCENE))
    assert remove(root, "pivots", now=NOW).version == 2
    assert find(root).watches == ()
    for refused in (lambda: read_newest(root, "pivots"), lambda: remove(root, "pivots", now=NOW)):
        with pytest.raises(DatasetError, match="no watch pivots"):
            refused()
    assert (root.get(version_key("pivots", 1), most=10_000_000)[0]).startswith(b"{")
    put_next(root, "pivots", lambda version: watch_of(SCENE, version=version))
    assert [(watch.name, watch.version) for watch in find(root).watches] == [("pivots", 3)]


def test_what_was_never_there_cannot_be_removed(root: FolderRoot) -> None:
    with pytest.raises(DatasetError, match="no watch dams"):
        remove(root, "dams", now=NOW)


def damage(watch: Watch, **changed: object) -> bytes:
    return json.dumps({**json.loads(watch.model_dump_json()), **changed}).encode()


GOOD = watch_of(SCENE, name="dams")
DAMAGED = {
    "no JSON": b"{",
    "a number that is none": GOOD.model_dump_json().replace("0.4", "NaN").encode(),
    "another format": damage(GOOD, format="clayline-watch/2"),
    "another name": damage(GOOD, name="pivots"),
    "a field too many": damage(GOOD, colour="red"),
    "a probe that is none": damage(GOOD, probe={**json.loads(GOOD.probe.model_dump_json()), "direction": "AAAAAA=="}),
    "a probe of NaN": damage(GOOD, probe={**json.loads(GOOD.probe.model_dump_json()), "direction": "AADAfw==" * 8}),
    "a box beyond the globe": damage(GOOD, box=[0, 0, 400, 1]),
    "a threshold over 1": damage(GOOD, threshold=1.5),
    "megabytes": b" " * 3_000_000,
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_watch_is_named_and_keeps_no_other_from_being_read(root: FolderRoot, what: str) -> None:
    keep(root, watch_of(SCENE))
    root.put_new(version_key("dams", 1), DAMAGED[what])
    found = find(root)
    assert [watch.name for watch in found.watches] == ["pivots"]
    assert "watches/dams/v001.json" in str(found.damaged["dams"])
    assert remove(root, "dams", now=NOW).version == 2
    assert not find(root).damaged


@pytest.mark.parametrize("gone", [False, True], ids=["forbidden", "gone"])
def test_a_watch_that_may_not_be_read_is_named_and_can_be_removed(gone: bool) -> None:  # noqa: FBT001
    root = Memory()

    def before(operation: str, key: str) -> None:
        if (operation, key) == ("get", version_key("dams", 1)):
            raise (ObjectMissingError if gone else ObjectForbiddenError)(key)

    keep(root, watch_of(SCENE))
    keep(root, watch_of(SCENE, name="dams"))
    root.before = before
    found = find(root)
    assert [watch.name for watch in found.watches] == ["pivots"]
    assert list(found.damaged) == ["dams"]
    assert remove(root, "dams", now=NOW).version == 2


def test_a_place_that_throttles_is_no_damage() -> None:
    root = Memory()

    def before(operation: str, key: str) -> None:
        if operation == "get":
            raise TransientError(key)

    keep(root, watch_of(SCENE))
    root.before = before
    for asked in (lambda: find(root), lambda: remove(root, "pivots", now=NOW)):
        with pytest.raises(TransientError):
            asked()


def test_two_writers_make_two_versions(root: FolderRoot) -> None:
    def make(version: int) -> Watch:
        if version == 1:
            keep(root, watch_of(SCENE, threshold=0.9))  # somebody else, in between
        return watch_of(SCENE, version=version)

    assert put_next(root, "pivots", make).version == 2
    assert newest_versions(root) == {"pivots": 2}


def test_who_is_always_second_is_told(root: FolderRoot) -> None:
    def make(version: int) -> Watch:
        keep(root, watch_of(SCENE, version=version))
        return watch_of(SCENE, version=version)

    with pytest.raises(TransientError, match="5 new versions"):
        put_next(root, "pivots", make)


@pytest.mark.parametrize(
    "key",
    ["watches/Dams/v001.json", "watches/dams/v01.json", "watches/dams/v0001.json", "watches/dams/x/v001.json",
     "watches/dams/v1000000.json", "watches/dams/v99999999.json", "watched/dams/v001.json",
     "watches/-dams/v001.json", "watches/dams/v001.json.bak"],
)  # fmt: skip
def test_what_is_no_version_is_passed_over(root: FolderRoot, key: str) -> None:
    root.put_new(key, b"{}")
    assert key_of_version(key) is None
    assert newest_versions(root) == {}


def test_a_number_that_no_version_may_have_hides_none(root: FolderRoot) -> None:
    keep(root, watch_of(SCENE))
    root.put_new("watches/pivots/v1000000.json", b"junk")
    assert [watch.version for watch in find(root).watches] == [1]
    assert put_next(root, "pivots", lambda version: watch_of(SCENE, version=version)).version == 2
    assert remove(root, "pivots", now=NOW).version == 3


@pytest.mark.parametrize("body", [b"junk", watch_of(SCENE, version=999_999).model_dump_json().encode()])
def test_of_the_last_version_that_there_may_be_it_is_said_what_to_do(root: FolderRoot, body: bytes) -> None:
    keep(root, watch_of(SCENE))
    key = version_key("pivots", 999_999)
    root.put_new(key, body)
    with pytest.raises(DatasetError, match=f"has version 999,999, .*Delete .*/{key}"):
        remove(root, "pivots", now=NOW)
    with pytest.raises(DatasetError, match=f"has version 999,999, .*Delete .*/{key}"):
        put_next(root, "pivots", lambda version: watch_of(SCENE, version=version))
    root.discard([key])
    assert remove(root, "pivots", now=NOW).version == 2


def test_a_tombstone_says_when(root: FolderRoot) -> None:
    keep(root, watch_of(SCENE))
    remove(root, "pivots", now=NOW)
    written = Removed.model_validate_json(root.get(version_key("pivots", 2), most=10_000)[0])
    assert written.created == NOW
