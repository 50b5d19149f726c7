"""Compact: what comes out, in which order, and what is refused."""

import io
import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.dataset.compactors import compacting, expected, index, is_gone, land, later, passes, read
from tests.dataset.scenes import MadeUp
from tests.dataset.world import Memory

from clayline.dataset.compaction import NOTHING, LeftOut
from clayline.dataset.hilbert import hilbert
from clayline.dataset.manifest import FILES, FRAGMENTS, HISTORY, MANIFEST, PARTS
from clayline.errors import TransientError
from clayline.table.index_reading import read_manifest, read_snapshot, scene_rows

SCENES = [MadeUp(number=number) for number in range(12)]


def test_scenes_become_files_of_their_square_and_year_each_chip_once(tmp_path: Path) -> None:
    root = Memory()
    scenes = [*SCENES, MadeUp(number=300), MadeUp(number=5, square="33UUS", revision=1)][:-1]
    land(root, *scenes, MadeUp(number=40, square="33UUS"))
    passes(root, tmp_path)
    manifest, _ = read_manifest(root)
    assert manifest.scenes == 14
    assert {(file.square, file.year) for file in manifest.files} == {("32UQD", 2024), ("32UQD", 2025), ("33UUS", 2024)}
    assert sum(file.file.rows for file in manifest.files) == 14 * 16
    assert max(file.file.rows for file in manifest.files) == 64
    assert all(row.compacted for row in scene_rows(root, read_snapshot(root)))
    assert read(root) == expected(*scenes, MadeUp(number=40, square="33UUS"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_all_dates_of_a_cell_lie_beside_each_other_and_near_cells_near(tmp_path: Path) -> None:
    root = Memory()
    land(root, *(MadeUp(number=number) for number in range(40)))
    passes(root, tmp_path)
    manifest, _ = read_manifest(root)
    order = []
    for file in manifest.files:
        parquet = pq.ParquetFile(io.BytesIO(root.objects[file.file.href][0]))
        assert {parquet.metadata.row_group(at).num_rows for at in range(parquet.num_row_groups)} == {16}
        order += parquet.read(["cell", "datetime", "uci", "bbox"]).to_pylist()
    by_cell = [row["cell"] for row in order]
    assert sum(one != other for one, other in pairwise(by_cell)) == len(set(by_cell)) - 1
    assert all(one["datetime"] < other["datetime"] for one, other in pairwise(order) if one["cell"] == other["cell"])
    middle = np.array([[row["bbox"]["xmin"] + 0.0125, row["bbox"]["ymin"] + 0.0125] for row in order])
    places = hilbert(middle[:, 0], middle[:, 1])
    assert (np.diff(places) >= -1_000).all()  # the corners of one cell differ by their last bits


def test_a_hilbert_curve_steps_to_a_neighbour_and_meets_every_place_once() -> None:
    side = 2.0**-11  # of the whole: 16 steps to each of 32 places
    at = (np.arange(32) + 0.5) * side
    x, y = (axis.ravel() for axis in np.meshgrid(at * 360 - 180, at * 180 - 90))
    order = np.argsort(hilbert(x, y))
    steps = np.abs(np.diff(x[order] / 360 / side)) + np.abs(np.diff(y[order] / 180 / side))
    assert np.allclose(steps, 1)


def test_a_newer_revision_replaces_the_chips_and_the_row_goes_to_the_history(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    passes(root, tmp_path)
    newer = MadeUp(number=3, revision=2)
    land(root, newer)
    assert read(root) == expected(*SCENES, newer)
    compacting(root, tmp_path).compact()
    manifest, _ = read_manifest(root)
    assert [file.rows for file in manifest.history] == [1]
    assert [(entry.scene, entry.revision) for entry in manifest.revised] == [(newer.row.scene, 2)]
    assert sum(file.file.rows for file in manifest.files) == 12 * 16
    passes(root, tmp_path)
    assert read(root) == expected(*SCENES, newer)
    assert passes(root, tmp_path) == 0


def test_a_late_fragment_of_an_older_revision_is_history(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES, MadeUp(number=3, revision=2))
    passes(root, tmp_path)
    before = read(root)
    root.discard([key for key in root.objects if key.startswith(FRAGMENTS)])
    index(root, SCENES[3])
    assert read(root) == before
    passes(root, tmp_path)
    assert read(root) == before
    manifest, _ = read_manifest(root)
    assert manifest.scenes == 12


def test_an_event_that_comes_again_after_its_fragment_was_deleted_adds_nothing(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    passes(root, tmp_path)
    later(root)
    compacting(root, tmp_path).compact()
    assert list(root.list(FRAGMENTS)) == []
    assert read_manifest(root)[0].absorbed == ()
    index(root, SCENES[3])
    assert read(root) == expected(*SCENES)
    passes(root, tmp_path)
    assert read(root) == expected(*SCENES)
    assert read_manifest(root)[0].scenes == 12


def test_a_quarter_outside_is_worth_a_rewrite_and_less_is_not(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    passes(root, tmp_path)
    land(root, *(MadeUp(number=number) for number in (20, 21)))
    assert compacting(root, tmp_path).compact().rewritten is None
    land(root, MadeUp(number=22))
    done = compacting(root, tmp_path).compact()
    assert done.rewritten
    assert done.chips == 15 * 16


def test_what_no_longer_counts_is_deleted_after_the_grace_period_and_not_before(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    passes(root, tmp_path)
    old, _ = read_manifest(root)
    land(root, *(MadeUp(number=number) for number in range(20, 30)))
    passes(root, tmp_path)
    new, _ = read_manifest(root)
    over = {file.file.href for file in old.files} - {file.file.href for file in new.files}
    assert over
    root.put_new(PARTS + "0" * 16 + ".parquet", b"left by a killed pass")
    compacting(root, tmp_path).compact()
    assert not any(is_gone(root, key) for key in over)
    later(root)
    assert compacting(root, tmp_path).compact().deleted
    assert all(is_gone(root, key) for key in over)
    assert is_gone(root, PARTS + "0" * 16 + ".parquet")
    named = {part.file.href for part in new.parts} | {file.file.href for file in new.files}
    assert {stored.key for prefix in (PARTS, HISTORY, FILES) for stored in root.list(prefix)} == named
    assert read_manifest(root)[0].retired == ()


def test_parts_stay_few(tmp_path: Path) -> None:
    root = Memory()
    for number in range(30):
        land(root, MadeUp(number=number, rows=1))
        compacting(root, tmp_path).compact()
    manifest, _ = read_manifest(root)
    assert manifest.scenes == 30
    assert len(manifest.parts) <= 10
    assert len(read(root)) == 30


def rest(root: Memory, tmp_path: Path) -> LeftOut:
    """Compact until nothing is left to gain; gives what was left out."""
    compactor, left_out = compacting(root, tmp_path), NOTHING
    while (done := compactor.compact(without=left_out)).changed:
        left_out = done.left_out
    assert done.left_out == left_out
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    return left_out


def compacted(root: Memory) -> set[str]:
    return {row.scene for row in scene_rows(root, read_snapshot(root)) if row.compacted}


ELSEWHERE = [MadeUp(number=number, square="33UUS") for number in (40, 41)]


def test_a_scene_with_the_identifiers_of_another_is_left_out_and_both_are_named(tmp_path: Path) -> None:
    """Whether the other is new as well, or in its square's files."""
    for before in ([], SCENES):
        root = Memory()
        land(root, *before)
        passes(root, tmp_path)
        twins = [MadeUp(number=13, identifiers_of=3), MadeUp(number=15, identifiers_of=3)]
        more = [MadeUp(number=number) for number in (20, 21, 22, 23)]
        land(root, *(SCENES[len(before) :]), *twins, *more, *ELSEWHERE)
        left_out = rest(root, tmp_path)
        assert set(left_out.told) == {twin.row.href for twin in twins}
        for why in left_out.scenes.values():
            assert f"stands in {SCENES[3].row.href} too" in why
            assert "--forget-lost" in why
        assert compacted(root) == {scene.row.scene for scene in (*SCENES, *more, *ELSEWHERE)}


def test_scenes_whose_files_are_lost_damaged_or_others_are_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    root, other = Memory(), Memory()
    land(root, *SCENES, *ELSEWHERE)
    MadeUp(number=3, rows=9).land(other)
    key = SCENES[3].file.parquet
    root.objects[key] = other.objects[key]
    root.discard([SCENES[5].file.parquet])
    body, when = root.objects[SCENES[7].file.parquet]
    root.objects[SCENES[7].file.parquet] = body[:-100] + bytes(100), when
    left_out = rest(root, tmp_path)
    bad = [SCENES[number] for number in (3, 5, 7)]
    assert set(left_out.told) == {scene.row.href for scene in bad}
    assert all("Restore it" in why and "--forget-lost" in why for why in left_out.told.values())
    good = [scene for scene in (*SCENES, *ELSEWHERE) if scene not in bad]
    assert compacted(root) == {scene.row.scene for scene in good}


def test_a_square_whose_file_is_gone_or_damaged_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    for damaged in (False, True):
        root = Memory()
        land(root, *SCENES)
        passes(root, tmp_path)
        href = read_manifest(root)[0].files[0].file.href
        if damaged:
            root.objects[href] = bytes(len(root.objects[href][0])), root.now
        else:
            root.discard([href])
        land(root, *(MadeUp(number=number) for number in range(20, 30)), *ELSEWHERE)
        left_out = rest(root, tmp_path)
        assert list(left_out.told) == [f"{SCENES[0].row.token} 32UQD 2024"]
        assert "move `dataset/` away" in next(iter(left_out.told.values()))
        assert compacted(root) == {scene.row.scene for scene in (*SCENES, *ELSEWHERE)}


def test_rows_whose_files_are_lost_can_be_forgotten_and_the_revision_before_counts_again(tmp_path: Path) -> None:
    root = Memory()
    newer, newest = MadeUp(number=3, revision=2), MadeUp(number=3, revision=3)
    land(root, *SCENES, newer)
    passes(root, tmp_path)
    land(root, newest, *ELSEWHERE)
    lost = [index(root, newest), index(root, ELSEWHERE[0])]
    root.discard([row.href for row in lost])
    compacting(root, tmp_path).forget(lost)
    assert read(root) == expected(*SCENES, newer, ELSEWHERE[1])
    passes(root, tmp_path)
    assert read(root) == expected(*SCENES, newer, ELSEWHERE[1])
    manifest, _ = read_manifest(root)
    assert manifest.scenes == 13
    land(root, newest, ELSEWHERE[0])  # restored: it is indexed as if for the first time
    passes(root, tmp_path)
    assert read(root) == expected(*SCENES, newest, *ELSEWHERE)


def test_a_row_that_is_forgotten_while_another_compactor_swaps_is_forgotten_all_the_same(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    lost = [index(root, SCENES[3])]
    root.discard([lost[0].href])

    def race(operation: str, key: str) -> None:
        if operation == "put" and key == MANIFEST:
            root.before = lambda *_: None
            compacting(root, tmp_path, "other").compact()

    root.before = race
    compacting(root, tmp_path).forget(lost)
    assert read(root) == expected(*(scene for scene in SCENES if scene.number != 3))


def test_digests_of_one_model_are_not_mixed(tmp_path: Path) -> None:
    root = Memory()
    other = MadeUp(number=14, digest="1")
    land(root, *SCENES, other)
    passes(root, tmp_path)
    manifest, _ = read_manifest(root)
    assert sum(file.file.rows for file in manifest.files) == 12 * 16
    for file in manifest.files:
        header = pq.read_metadata(io.BytesIO(root.objects[file.file.href][0])).metadata or {}
        assert json.loads(header[b"clayline"])["digest"] == SCENES[0].row.digest
    assert read(root) == expected(*SCENES, other)


def test_what_does_not_fit_the_scratch_stays_outside_and_is_read_there(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    done = compacting(root, tmp_path, spool_bytes=5 * 16 * (8 * 4 + 600)).compact()
    assert done.chips == 5 * 16
    assert read(root) == expected(*SCENES)


def test_a_pass_that_took_half_the_grace_period_does_not_count(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    before = read(root)

    def slow(operation: str, key: str) -> None:
        if operation == "put" and key.startswith(PARTS):
            root.now += timedelta(hours=13)

    root.before = slow
    with pytest.raises(TransientError, match="more than half the grace period"):
        compacting(root, tmp_path).compact()
    root.before = lambda *_: None
    assert read_manifest(root) == (read_manifest(Memory())[0], None)
    assert read(root) == before
