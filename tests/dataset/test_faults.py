"""Kills between any two operations of a pass, races, readers in between: and each guard against them is needed."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.dataset import compactors
from tests.dataset.compactors import compacting, expected, index, land, later, passes, read
from tests.dataset.faults import Campaign, KilledError
from tests.dataset.scenes import MadeUp
from tests.dataset.world import LostAnswerError, Memory

from clayline.dataset.manifest import FRAGMENTS, MANIFEST, PARTS, Manifest
from clayline.dataset.snapshot import Snapshot, not_taken_in
from clayline.errors import TransientError
from clayline.ports import ObjectMissingError
from clayline.steps.compacting import Compacting
from clayline.steps.index_writing import LostError, named_in
from clayline.table.index_reading import read_manifest, read_rows_of

BEFORE = [MadeUp(number=number, rows=4) for number in range(3)]
NEW = [MadeUp(number=20, rows=4)]
REVISED = MadeUp(number=2, rows=4, revision=2)
SCENES = [*BEFORE, *NEW, REVISED]
SEEN = expected(*SCENES)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    """Give a dataset that was compacted, with more scenes and a revision loose in it."""
    root = Memory()
    land(root, *BEFORE)
    passes(root, tmp_path_factory.mktemp("scratch"), "ground")
    later(root)
    land(root, *NEW, REVISED)
    return root


def again(ground: Memory) -> Memory:
    """Give the same dataset once more."""
    return dataclasses.replace(ground, objects=dict(ground.objects))


def operations(ground: Memory, scratch: Path) -> tuple[int, int]:
    """Count the operations, and the writes, of an undisturbed pass."""
    root, count, writes = again(ground), [0], [0]

    def counting(counter: list[int]) -> Callable[[str, str], None]:
        def note(*_: str) -> None:
            counter[0] += 1

        return note

    root.before, root.after = counting(count), counting(writes)
    compacting(root, scratch).compact()
    return count[0], writes[0]


def at(number: int, do: Callable[[], object]) -> Callable[[str, str], None]:
    """Give a hook that does something once, at the operation ``number``."""
    left = [number]

    def hook(*_: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            do()

    return hook


def test_a_kill_before_or_after_any_operation_changes_nothing_that_is_seen(ground: Memory, tmp_path: Path) -> None:
    count, writes = operations(ground, tmp_path)
    assert count > 15
    assert writes >= 5

    def kill() -> None:
        raise KilledError

    for hook, most in (("before", count), ("after", writes)):
        for number in range(most):
            root = again(ground)
            setattr(root, hook, at(number, kill))
            with pytest.raises(KilledError):
                compacting(root, tmp_path).compact()
            root.before = root.after = lambda *_: None
            assert read(root) == SEEN
            if number % 3 == 0:
                passes(root, tmp_path, "next")
                assert read(root) == SEEN
                assert read_manifest(root)[0].scenes == 4


def test_an_answer_that_is_lost_after_any_write_loses_nothing(ground: Memory, tmp_path: Path) -> None:
    lost: list[str] = []

    def lose(operation: str, key: str, number: int) -> None:
        writes.append(key)
        if operation == "put" and len(writes) == number + 1:
            lost.append(key)
            raise LostAnswerError

    for number in range(operations(ground, tmp_path)[1]):
        root, writes = again(ground), list[str]()
        root.after = functools.partial(lose, number=number)
        compacting(root, tmp_path).compact()
        root.after = lambda *_: None
        passes(root, tmp_path, "next")
        later(root)
        compacting(root, tmp_path, "last").compact()
        assert read(root) == SEEN
    assert MANIFEST in lost


def test_another_compactor_in_between_any_two_operations(ground: Memory, tmp_path: Path) -> None:
    count, _ = operations(ground, tmp_path)
    for number in range(count):
        root = again(ground)
        other = compacting(root, tmp_path, "other")
        root.before = at(number, other.compact)
        compacting(root, tmp_path, "one").compact()
        assert read(root) == SEEN
        assert read_manifest(root)[0].scenes == 4


def test_scenes_that_are_indexed_between_any_two_operations(ground: Memory, tmp_path: Path) -> None:
    count, _ = operations(ground, tmp_path)
    more = [MadeUp(number=40, rows=4), MadeUp(number=1, revision=2, rows=1)]
    for number in range(count):
        root = again(ground)
        root.before = at(number, lambda root=root: land(root, *more))  # type: ignore[misc] # bound now
        compacting(root, tmp_path).compact()
        assert read(root) == expected(*SCENES, *more)


def test_a_reader_between_any_two_operations_of_a_compactor_and_the_reverse(ground: Memory, tmp_path: Path) -> None:
    count, _ = operations(ground, tmp_path)
    for number in range(count):
        root = again(ground)
        found: list[object] = []
        root.before = at(number, lambda root=root, found=found: found.append(read(root)))  # type: ignore[misc]
        compacting(root, tmp_path).compact()
        assert found == [SEEN]
    for number in range(12):
        root = again(ground)
        root.before = at(number, lambda root=root: passes(root, tmp_path))  # type: ignore[misc]
        assert read(root) == SEEN


def test_a_day_that_passes_between_any_two_operations_while_another_compacts(tmp_path: Path) -> None:
    fresh = Memory()
    land(fresh, *BEFORE)
    compacting(fresh, tmp_path, "ground").compact()
    land(fresh, *NEW, REVISED)

    def a_day(root: Memory) -> None:
        root.now += timedelta(hours=25)
        passes(root, tmp_path, "other")

    for number in range(operations(fresh, tmp_path)[0]):
        root = again(fresh)
        root.before = at(number, functools.partial(a_day, root))
        with contextlib.suppress(TransientError):  # begun again by whoever calls
            compacting(root, tmp_path, "one").compact()
        assert read(root) == SEEN


def test_a_scenes_file_that_is_gone_is_told(tmp_path: Path) -> None:
    root = Memory()
    land(root, *BEFORE)
    root.discard([BEFORE[1].file.parquet])
    done = compacting(root, tmp_path).compact()
    assert done.left_out.told.keys() == {BEFORE[1].file.parquet}
    assert done.chips == 2 * 4
    assert read_manifest(root)[0].scenes == 3


@pytest.mark.parametrize("seed", [1, 2])
def test_a_campaign_of_all_faults_together(seed: int, tmp_path: Path) -> None:
    campaign = Campaign(seed=seed, scratch=tmp_path)
    for _ in range(12):
        campaign.step()
    campaign.settle()


# Each guard is taken away once, and then the scenario that needs it must be red.


def _races(ground: Memory, scratch: Path) -> None:
    def note(_: str, key: str) -> None:
        if key == MANIFEST:
            versions.append(json.loads(root.objects[key][0])["version"])

    for number in range(operations(ground, scratch)[0]):
        root, versions = again(ground), list[int]()
        root.before = at(number, functools.partial(passes, root, scratch, "other"))
        root.after = note
        compacting(root, scratch).compact()
        assert read(root) == SEEN
        assert versions == sorted(set(versions)), "a swap undid another"


def _swaps_whatever_is_there(patch: pytest.MonkeyPatch) -> None:
    put = Memory.replace

    def replace(self: Memory, key: str, body: bytes, *, etag: str | None) -> bool:
        return put(self, key, body, etag=self._stored(key).etag if key in self.objects else etag)

    patch.setattr(Memory, "replace", replace)


def _reads_meanwhile(ground: Memory, scratch: Path) -> None:
    for number in range(12):
        root = again(ground)
        root.before = at(number, functools.partial(passes, root, scratch, "other"))
        assert read(root) == SEEN


def _reads_slowly(ground: Memory, scratch: Path) -> None:
    def a_day() -> None:
        passes(root, scratch, "other")
        later(root)
        passes(root, scratch, "sweeper")

    for number in range(2):  # before the first thing that is read, and before the second
        root = again(ground)
        root.before = at(number, a_day)
        assert read(root) == SEEN


def _reads_the_manifest_first(patch: pytest.MonkeyPatch) -> None:
    def manifest_first(root: Memory) -> Snapshot:
        manifest, _ = read_manifest(root)
        listed = [stored.key for stored in root.list(FRAGMENTS)]
        loose = read_rows_of(root, not_taken_in(listed, manifest))
        return Snapshot(manifest=manifest, loose=tuple(loose))

    patch.setattr(compactors, "read_snapshot", manifest_first)


def _deletes_at_once(patch: pytest.MonkeyPatch) -> None:
    sweep = Compacting._swept

    def at_once(self: Compacting) -> int:
        manifest, _ = self.tables.manifest(self.root)
        self.root.discard([retired.href for retired in manifest.retired])
        return sweep(self)

    patch.setattr(Compacting, "_swept", at_once)


def _loses_answers(ground: Memory, scratch: Path) -> None:
    def lose(operation: str, key: str) -> None:
        if operation == "put" and key == MANIFEST:
            raise LostAnswerError

    root = again(ground)
    root.after = lose
    with contextlib.suppress(TransientError):
        compacting(root, scratch).compact()
    root.after = lambda *_: None
    assert read(root) == SEEN


def _cleans_up_after_a_lost_swap(patch: pytest.MonkeyPatch) -> None:
    swap = Compacting._swap

    def cleaning(self: Compacting, before: Manifest, after: Manifest, **more: Any) -> None:
        try:
            swap(self, before, after, **more)
        except LostError:
            self.root.discard(sorted(named_in(after) - named_in(before)))
            raise

    patch.setattr(Compacting, "_swap", cleaning)


def _takes_long(ground: Memory, scratch: Path) -> None:
    def stand_still(root: Memory) -> None:
        root.after = lambda *_: None
        root.now += timedelta(hours=30)
        land(root, MadeUp(number=50, rows=1))
        compacting(root, scratch, "sweeper")._swept()

    def after_a_part(operation: str, key: str) -> None:
        if operation == "put" and key.startswith(PARTS):
            stand_still(root)

    root = again(ground)
    root.after = after_a_part
    with contextlib.suppress(TransientError):
        compacting(root, scratch).compact()
    assert read(root) == expected(*SCENES, MadeUp(number=50, rows=1))


def _swaps_however_long_it_took(patch: pytest.MonkeyPatch) -> None:
    swap = Compacting._swap

    def patient(self: Compacting, before: Manifest, after: Manifest, *, etag: str | None, begun: object) -> None:
        del begun
        swap(self, before, after, etag=etag, begun=self.clock())

    patch.setattr(Compacting, "_swap", patient)


def _sweeps_what_a_killed_pass_left(ground: Memory, scratch: Path) -> None:
    def kill(operation: str, key: str) -> None:
        if operation == "put" and key == MANIFEST:
            raise KilledError

    left = again(ground)
    left.before = kill
    with pytest.raises(KilledError):
        compacting(left, scratch, "killed").compact()
    left.before = lambda *_: None
    later(left)
    for number in range(operations(ground, scratch)[0]):
        root = again(left)
        root.before = at(number, compacting(root, scratch, "other").compact)
        compacting(root, scratch, "sweeper").compact()
        assert read(root) == SEEN


def _stamps_nothing(patch: pytest.MonkeyPatch) -> None:
    begin = Compacting.__init__

    def same(self: Compacting, **given: Any) -> None:
        begin(self, **{**given, "stamp": lambda: "same"})

    patch.setattr(Compacting, "__init__", same)


def _comes_late(ground: Memory, scratch: Path) -> None:
    root = again(ground)
    passes(root, scratch)
    later(root)
    passes(root, scratch, "sweeper")
    for scene in (BEFORE[2], BEFORE[1]):  # of an older revision, and of one that is compacted
        index(root, scene)
        assert read(root) == SEEN


def _does_not_know_old_revisions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Manifest, "newest", {})


GUARDS = [
    (_swaps_whatever_is_there, _races),
    (_reads_the_manifest_first, _reads_slowly),
    (_deletes_at_once, _reads_meanwhile),
    (_cleans_up_after_a_lost_swap, _loses_answers),
    (_swaps_however_long_it_took, _takes_long),
    (_stamps_nothing, _sweeps_what_a_killed_pass_left),
    (_does_not_know_old_revisions, _comes_late),
]


@pytest.mark.parametrize(("remove", "scenario"), GUARDS, ids=lambda each: each.__name__.strip("_"))
def test_each_guard_is_needed(
    remove: Callable[[pytest.MonkeyPatch], None],
    scenario: Callable[[Memory, Path], None],
    ground: Memory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario(ground, tmp_path)
    remove(monkeypatch)
    with pytest.raises((AssertionError, ObjectMissingError)):
        scenario(ground, tmp_path)
