"""Compactors and readers over a root, and what a reader finds."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tests.dataset.scenes import MadeUp
from tests.dataset.world import Memory

from clayline.dataset.ports import Root
from clayline.dataset.scene_row import SceneKey, SceneRow
from clayline.ports import ObjectMissingError
from clayline.steps.compacting import Compacting
from clayline.steps.index_writing import GRACE
from clayline.steps.indexing import Indexing
from clayline.table.dataset_tables import DatasetTables
from clayline.table.index_reading import read_rows_of, read_snapshot, scene_rows
from clayline.table.scene_header import read_scene_header
from clayline.table.scene_rows import encode_rows

MOST = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class OneByOne(DatasetTables):
    """Reads one file of the index after the other, so that a run replays."""

    def rows(self, root: Root, keys: Sequence[str]) -> list[list[SceneRow]]:
        return [read_rows_of(root, [key]) for key in keys]


def compacting(root: Memory, scratch: Path, name: str = "a", **options: Any) -> Compacting:
    """Give a compactor whose files are small and whose stamps are its own."""
    stamps = iter(range(10**9))
    own = scratch / name  # a process has one of its own
    own.mkdir(exist_ok=True)
    return Compacting(
        root=root,
        tables=OneByOne(row_group_rows=16, most_rows=options.pop("most_rows", 64)),
        clock=lambda: root.now,
        stamp=lambda: f"{name}{next(stamps)}",
        scratch=own,
        **options,
    )


def index(root: Memory, scene: MadeUp) -> SceneRow:
    """Index a scene that has landed."""
    row = Indexing(root=root, read_header=read_scene_header, encode_rows=encode_rows).index(scene.file)
    assert row
    return row


def land(root: Memory, *scenes: MadeUp) -> None:
    """Land scenes and index them."""
    for scene in scenes:
        scene.land(root)
        index(root, scene)


def passes(root: Memory, scratch: Path, name: str = "a") -> int:
    """Compact until nothing is left to do; gives the passes that did something."""
    compactor, count = compacting(root, scratch, name), 0
    while compactor.compact().changed:
        count += 1
        assert count < 200
    return count


def later(root: Memory) -> None:
    """Let the grace period pass."""
    root.now += GRACE + timedelta(minutes=1)


type Seen = dict[tuple[str, int, str], bytes]
"""Every chip's vector by scene, revision and identifier."""


def read(root: Memory) -> Seen:
    """Read every chip of the newest revisions as a reader does: files of squares, and scenes that are not in them.

    Raises AssertionError for a chip that comes twice.
    """
    snapshot = read_snapshot(root)
    rows = {row.key: row for row in scene_rows(root, snapshot)}
    seen: Seen = {}
    for file in snapshot.manifest.files:
        content, _ = root.get(file.file.href, most=MOST)
        for scene, revision, uci, vector in _chips(content):
            row = rows.get(SceneKey(file.token, scene))
            if row and row.compacted and row.revision == revision:
                assert (scene, revision, uci) not in seen
                seen[scene, revision, uci] = vector
    for row in rows.values():
        if not row.compacted:
            content, _ = root.get(row.href, most=MOST)
            for uci, vector in _scene_chips(content):
                assert (row.scene, row.revision, uci) not in seen
                seen[row.scene, row.revision, uci] = vector
    return seen


def expected(*scenes: MadeUp) -> Seen:
    """Give what a reader must find, of each scene its highest revision."""
    newest: dict[int, MadeUp] = {}
    for scene in scenes:
        if scene.number not in newest or newest[scene.number].revision < scene.revision:
            newest[scene.number] = scene
    return {
        (scene.row.scene, scene.revision, uci): vector.tobytes()
        for scene in newest.values()
        for uci, vector in zip(scene.ucis, scene.vectors(), strict=True)
    }


@contextmanager
def watched(root: Memory) -> Iterator[list[str]]:
    """Note each write and deletion, in order."""
    noted: list[str] = []
    before = root.before

    def note(operation: str, key: str) -> None:
        before(operation, key)
        if operation in {"put", "delete"}:
            noted.append(f"{operation} {key}")

    root.before = note
    try:
        yield noted
    finally:
        root.before = before


def is_gone(root: Memory, key: str) -> bool:
    """Say whether nothing is there."""
    try:
        root.head(key)
    except ObjectMissingError:
        return True
    return False


def _chips(content: bytes) -> Iterator[tuple[str, int, str, bytes]]:
    table = pq.read_table(io.BytesIO(content), columns=["scene", "revision", "uci", "embeddings"])
    vectors = np.array(table["embeddings"].to_pylist(), np.float32)
    names = (table[name].to_pylist() for name in ("scene", "revision", "uci"))
    for scene, revision, uci, vector in zip(*names, vectors, strict=True):
        yield str(scene), int(revision), str(uci), vector.tobytes()


def _scene_chips(content: bytes) -> Iterator[tuple[str, bytes]]:
    table = pq.read_table(io.BytesIO(content), columns=["uci", "embeddings"])
    vectors = np.array(table["embeddings"].to_pylist(), np.float32)
    for uci, vector in zip(table["uci"].to_pylist(), vectors, strict=True):
        yield str(uci), vector.tobytes()
