"""Upkeep: what a call by the clock does with its time, and what it costs where nothing came."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.dataset.compactors import compacting, land, later
from tests.dataset.scenes import MadeUp
from tests.dataset.world import TOKEN, Memory

from clayline.dataset.manifest import MANIFEST
from clayline.steps.index_writing import GRACE
from clayline.steps.tiering import Tiering
from clayline.steps.upkeep import COMPACTED, LEAST, Kept, Upkeep
from clayline.table.dataset_tiers import DatasetTiers
from clayline.table.index_reading import read_manifest, read_snapshot, scene_rows


def upkeep(root: Memory, scratch: Path, **options: Any) -> Upkeep:
    return Upkeep(compacting=compacting(root, scratch, **options), rows=lambda: scene_rows(root, read_snapshot(root)))


def long() -> timedelta:
    """A call that has all the time there is."""
    return timedelta(hours=1)


def keep(root: Memory, scratch: Path, left: Callable[[], timedelta] = long, name: str = "a") -> Kept:
    return upkeep(root, scratch, name=name).keep(left)


def test_a_call_takes_all_in_and_the_next_one_asks_three_things(tmp_path: Path) -> None:
    root = Memory()
    land(root, *(MadeUp(number=number) for number in range(3)))
    kept = keep(root, tmp_path)
    assert (sum(each.taken_in for each in kept.passes), kept.finished) == (3, True)
    manifest = read_manifest(root)[0]
    assert (manifest.scenes, sum(file.file.rows for file in manifest.files)) == (3, 48)
    before = dict(root.objects)
    for _ in range(2):
        root.requests.clear()
        assert keep(root, tmp_path, name="b") == Kept(finished=True)
        assert dict(root.requests) == {"list": 1, "get": 2}
    assert root.objects == before


def test_a_bucket_without_a_scene_costs_two_requests_and_gets_nothing(tmp_path: Path) -> None:
    root = Memory()
    assert keep(root, tmp_path) == Kept(finished=True)
    assert dict(root.requests) == {"list": 1, "get": 1}
    assert root.objects == {}


def test_idle_costs_the_same_however_much_there_is(tmp_path: Path) -> None:
    root = Memory()
    for first in range(0, 40, 10):
        land(root, *(MadeUp(number=number) for number in range(first, first + 10)))
        assert keep(root, tmp_path, name=str(first)).finished
        root.requests.clear()
        assert keep(root, tmp_path, name=f"{first} again").passes == ()
        assert dict(root.requests) == {"list": 1, "get": 2}


@pytest.mark.parametrize("change", ["a scene", "grace", "the mark is lost", "the mark is none", "another compactor"])
def test_whatever_is_new_is_seen(tmp_path: Path, change: str) -> None:
    root = Memory()
    land(root, MadeUp(number=1))
    keep(root, tmp_path)
    match change:
        case "a scene":
            land(root, MadeUp(number=2))
        case "grace":
            later(root)
        case "the mark is lost":
            root.discard([COMPACTED])
        case "the mark is none":
            root.objects[COMPACTED] = b"{}", root.now
        case _:
            land(root, MadeUp(number=2))
            compacting(root, tmp_path, "other").compact()
    assert keep(root, tmp_path, name="b").passes
    while not upkeep(root, tmp_path, name="c").is_idle():
        assert keep(root, tmp_path, name="c").passes
    assert json.loads(root.objects[COMPACTED][0])["manifest"] == read_manifest(root)[1]


def test_what_is_over_is_deleted_though_nothing_lands_any_more(tmp_path: Path) -> None:
    root = Memory()
    land(root, MadeUp(number=1))
    keep(root, tmp_path)
    fragments = [key for key in root.objects if key.startswith("dataset/fragments/")]
    assert fragments
    later(root)
    calls = 0
    while (kept := keep(root, tmp_path, name=f"{calls}")).passes:
        calls += 1
        assert kept.finished
        assert calls < 5
    assert not [key for key in fragments if key in root.objects]
    assert read_manifest(root)[0].retired == ()


def test_tiers_that_are_wanted_later_are_made(tmp_path: Path) -> None:
    root = Memory()
    land(root, *(MadeUp(number=number, rows=128) for number in range(3)))
    keep(root, tmp_path)
    tables = DatasetTiers(scratch=tmp_path)
    tiered = upkeep(root, tmp_path, name="b", tiering=Tiering(root=root, tables=tables))
    assert any(each.tiered for each in tiered.keep(long).passes)
    assert all(file.tiers for file in read_manifest(root)[0].files)
    assert tiered.keep(long) == Kept(finished=True)
    assert keep(root, tmp_path, name="c") == Kept(finished=True)


def test_a_call_ends_before_its_time_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """Each pass takes a minute of a call that has two and a half: one is begun, and no other."""
    root = Memory()
    land(root, *(MadeUp(number=number, square=f"32U{letter}D") for number, letter in enumerate("PQR")))
    calls = 0
    while True:
        end = root.now + timedelta(minutes=2, seconds=30)
        stamped = upkeep(root, tmp_path, name=f"{calls}")
        took = stamped.compacting.compact

        def minute(took: Callable[..., Any] = took, **asked: Any) -> Any:
            root.now += timedelta(minutes=1)
            return took(**asked)

        object.__setattr__(stamped.compacting, "compact", minute)
        kept = stamped.keep(lambda end=end: end - root.now)  # type: ignore[misc]
        calls += 1
        assert end - root.now >= LEAST
        if kept.finished:
            break
        assert len(kept.passes) == 1
        assert COMPACTED not in root.objects
    assert calls > 1
    assert len(read_manifest(root)[0].files) == 3
    assert COMPACTED in root.objects


@pytest.mark.parametrize("at", range(3, 40, 4))
def test_a_call_that_is_killed_leaves_the_next_one_to_finish(tmp_path: Path, at: int) -> None:
    class KilledError(Exception):
        pass

    root = Memory()
    land(root, *(MadeUp(number=number) for number in range(2)))
    count = iter(range(10**6))

    def kill(_operation: str, _key: str) -> None:
        if next(count) == at:
            raise KilledError

    root.before = kill

    def calls() -> None:
        for number in range(20):
            keep(root, tmp_path, name=f"killed{number}")
            later(root)
            land(root, MadeUp(number=10 + number))

    with pytest.raises(KilledError):
        calls()
    root.before = lambda *_: None
    for number in range(3):
        assert keep(root, tmp_path, name=f"next{number}").finished
    rows = scene_rows(root, read_snapshot(root))
    assert len({row.key for row in rows}) == len(rows) >= 2
    assert upkeep(root, tmp_path, name="last").is_idle()


def test_a_pass_that_took_half_the_grace_period_swaps_nothing(tmp_path: Path) -> None:
    root = Memory()
    land(root, MadeUp(number=1))

    def slow(operation: str, key: str) -> None:
        if (operation, key[:14]) == ("put", "dataset/parts/"):
            root.now += GRACE / 2 + timedelta(minutes=1)

    root.before = slow
    with pytest.raises(Exception, match="more than half the grace period"):
        keep(root, tmp_path)
    assert MANIFEST not in root.objects
    assert COMPACTED not in root.objects


def test_what_cannot_be_described_is_told_and_keeps_nothing_back(tmp_path: Path) -> None:
    """The made-up scenes' Items have no properties: what follows from them cannot be said."""
    root = Memory()
    land(root, MadeUp(number=1))
    kept = keep(root, tmp_path)
    assert kept.finished
    assert kept.described == ()
    assert TOKEN in (kept.undescribed or "")


def test_what_is_left_out_is_told_at_every_call_and_the_others_go_on(tmp_path: Path) -> None:
    root = Memory()
    land(root, MadeUp(number=1), MadeUp(number=2, identifiers_of=1), MadeUp(number=3, square="32UPD"))
    for name in ("a", "b"):
        kept = keep(root, tmp_path, name=name)
        assert kept.finished
        [(what, why)] = kept.left_out.told.items()
        assert what == MadeUp(number=2).row.href
        assert "identifier" in why
    assert {file.square for file in read_manifest(root)[0].files} == {"32UQD", "32UPD"}
    assert COMPACTED not in root.objects
