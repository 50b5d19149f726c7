"""A reader between any two operations of a compactor sees the same chips."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.api.worlds import CHIPS, World
from tests.dataset.world import NOON, Memory

from clayline.api import Dataset
from clayline.dataset.manifest import FRAGMENTS
from clayline.steps.compacting import Compacting
from clayline.table.dataset_tables import DatasetTables
from clayline.table.index_reading import read_manifest
from clayline.table.scene_rows import encode_rows


def test_a_reader_sees_the_same_chips_before_meanwhile_and_after(tmp_path: Path) -> None:
    world = World()
    memory = Memory()
    for row in (world.scene(1), world.scene(2, day=10), world.scene(2, day=10, revision=2)):
        memory.objects[row.href] = world.root.objects[row.href], NOON
        kept = replace(row, etag=memory.head(row.href).etag)
        memory.objects[FRAGMENTS + kept.fragment] = encode_rows([kept]), NOON
    expected = world.expected(None, ("000000000001", 1), ("000000000002", 2))
    seen = 0

    def look(operation: str, _: str) -> None:
        nonlocal seen
        if operation in {"put", "delete"}:
            memory.before = lambda *_: None
            table = Dataset(memory).read(columns=["uci", "scene", "revision"])
            assert table.num_rows == 2 * CHIPS
            assert set(table["uci"].to_pylist()) == expected
            seen += 1
            memory.before = look

    compacting = Compacting(
        root=memory,
        tables=DatasetTables(),
        clock=lambda: memory.now,
        stamp=lambda: "test",
        scratch=tmp_path,
        grace=timedelta(hours=24),
        spool_bytes=1024**3,
    )
    memory.before = look
    while compacting.compact().changed:
        memory.now += timedelta(hours=25)
    memory.before = lambda *_: None
    assert seen > 4
    assert len(read_manifest(memory)[0].files) == 1
    assert set(Dataset(memory).read(columns=["uci"])["uci"].to_pylist()) == expected
