"""Index: what a scene's row says, what it costs, and what is refused."""

import json
from dataclasses import replace

import pytest
from tests.dataset.scenes import MadeUp
from tests.dataset.world import TOKEN, Memory

from clayline.dataset.manifest import FRAGMENTS
from clayline.dataset.scene_file import SceneFile
from clayline.errors import DatasetError
from clayline.ports import ObjectMissingError
from clayline.run.receipt import failed_receipt
from clayline.steps.indexing import Indexing, Survey, survey
from clayline.table.index_reading import read_snapshot
from clayline.table.scene_header import read_scene_header
from clayline.table.scene_rows import encode_rows

SCENE = MadeUp(number=7, failed=2)


def indexing(root: Memory) -> Indexing:
    return Indexing(root=root, read_header=read_scene_header, encode_rows=encode_rows)


def test_a_scene_gets_the_row_that_its_files_tell() -> None:
    root = Memory()
    SCENE.land(root)
    row = indexing(root).index(SCENE.file)
    stored = root.head(SCENE.file.parquet)
    assert row == replace(SCENE.row, size=stored.size, etag=stored.etag)
    assert list(read_snapshot(root).loose) == [row]
    assert list(root.list("dataset/")) == list(root.list(FRAGMENTS + row.fragment))


def test_the_same_event_again_writes_nothing_anew() -> None:
    root = Memory()
    SCENE.land(root)
    indexing(root).index(SCENE.file)
    before = dict(root.objects)
    indexing(root).index(SCENE.file)
    assert root.objects == before


def test_the_hundredth_scene_asks_what_the_first_one_did() -> None:
    root = Memory()
    asked = []
    for number in range(100, 200):
        scene = MadeUp(number=number)
        scene.land(root)
        root.requests.clear()
        indexing(root).index(scene.file)
        asked.append(dict(root.requests))
    assert asked[0] == asked[-1] == {"get": 3, "head": 1, "put": 1}


def test_a_scene_that_failed_has_no_row() -> None:
    root = Memory()
    receipt = failed_receipt(run="0" * 32, scene="x", source_uri="s3://x", reason="all-nodata", message="", outputs={})
    root.put_new(SCENE.file.receipt, receipt.model_dump_json().encode())
    assert indexing(root).index(SCENE.file) is None
    assert list(root.list("dataset/")) == []


@pytest.mark.parametrize("kind", ["receipt", "item", "parquet"])
def test_a_file_that_is_missing_or_broken_puts_no_row(kind: str) -> None:
    root = Memory()
    SCENE.land(root)
    key = getattr(SCENE.file, kind)
    whole = root.objects[key]
    root.objects[key] = whole[0][: len(whole[0]) // 2], whole[1]
    with pytest.raises(DatasetError, match=key):
        indexing(root).index(SCENE.file)
    root.discard([key])
    with pytest.raises(ObjectMissingError):
        indexing(root).index(SCENE.file)
    assert list(root.list("dataset/")) == []


def test_files_of_two_runs_are_not_taken_for_one_scene() -> None:
    root, other = Memory(), Memory()
    SCENE.land(root)
    MadeUp(number=7, failed=2, revision=2).land(other)
    receipt = json.loads(root.objects[SCENE.file.receipt][0])
    receipt["run"] = "f" * 32
    root.objects[SCENE.file.receipt] = json.dumps(receipt).encode(), root.now
    with pytest.raises(DatasetError, match="does not belong to its receipt"):
        indexing(root).index(SCENE.file)


def test_what_was_lost_is_found_by_looking_through_the_root() -> None:
    root = Memory()
    scenes = [MadeUp(number=number) for number in range(3)]
    for scene in scenes:
        scene.land(root)
    root.put_new(f"failed/{'0' * 12}/{'0' * 32}_receipt.json", b"{}")
    root.put_new(f"deeper/{TOKEN}/{'0' * 12}/32UQD_20240101_20240101_v001_receipt.json", b"{}")
    indexing(root).index(scenes[1].file)
    assert survey(root, read_snapshot(root), []).without_row == (scenes[0].file, scenes[2].file)
    taken_in = replace(scenes[0].row, compacted=True)
    assert survey(root, read_snapshot(root), [taken_in]) == Survey(
        without_row=(scenes[2].file,), embedded=(scenes[2].file,), lost=()
    )


def test_a_row_whose_file_is_gone_or_another_one_is_found_by_looking_through_the_root() -> None:
    root = Memory()
    scenes = [MadeUp(number=number) for number in range(4)]
    for scene in scenes:
        scene.land(root)
    rows = [indexing(root).index(scene.file) for scene in scenes]
    root.discard([scenes[0].file.parquet])
    for scene in scenes[1:3]:
        root.objects[scene.file.parquet] = b"another", root.now
    compacted = [replace(row, compacted=True) for row in (rows[0], rows[2]) if row]
    assert {row.scene for row in survey(root, read_snapshot(root), compacted).lost} == {
        scene.row.scene for scene in scenes[:2]
    }


@pytest.mark.parametrize(
    "key",
    [
        f"dataset/{'0' * 12}/32UQD_20240101_20240101_v001_receipt.json",
        f"failed/{'0' * 12}/32UQD_20240101_20240101_v001_receipt.json",
        f"{TOKEN}/{'0' * 12}/32UQD_20240101_20240101_v001.json",
        f"{TOKEN}/{'0' * 11}/32UQD_20240101_20240101_v001_receipt.json",
        "dataset/manifest.json",
        "",
    ],
)
def test_what_is_no_receipt_of_a_scenes_file(key: str) -> None:
    assert SceneFile.of_receipt(key) is None


@pytest.mark.parametrize("before", ["s3://embeddings/", "file:///home/me/out/", ""])
def test_a_receipts_name_gives_the_key_wherever_the_root_is(before: str) -> None:
    assert SceneFile.of_receipt(before + SCENE.file.receipt) == SCENE.file
