"""Tiers of a dataset: of which files, by which codebook, and what a kill leaves."""

import io
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.dataset.compactors import compacting, expected, is_gone, land, later, read, watched
from tests.dataset.scenes import MadeUp
from tests.dataset.world import Memory

from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import TIERS, Manifest
from clayline.steps.compacting import Compacting
from clayline.steps.tiering import Tiering
from clayline.table.dataset_tiers import DatasetTiers
from clayline.table.index_reading import read_manifest
from clayline.table.tiers import read_small

SCENES = [MadeUp(number=number) for number in range(20)]
"""16 chips each."""


def _compactor(root: Memory, scratch: Path, name: str = "a") -> Compacting:
    made = compacting(root, scratch, name)
    return Compacting(
        root=made.root,
        tables=made.tables,
        clock=made.clock,
        stamp=made.stamp,
        scratch=scratch,
        tiering=Tiering(root=root, tables=DatasetTiers(scratch=scratch)),
    )


def _compact(root: Memory, scratch: Path) -> Manifest:
    compactor = _compactor(root, scratch)
    while compactor.compact().changed:
        pass
    return read_manifest(root)[0]


def _checked(root: Memory, manifest: Manifest) -> set[str]:
    """Compare every tier with its file by its codebook; gives the codebooks."""
    for file in manifest.files:
        whole = pq.read_table(io.BytesIO(root.objects[file.file.href][0]))
        vectors = np.array(whole["embeddings"].to_pylist(), np.float32)
        assert set(file.tiers) == {"int8", "bits"}
        for name, tier in file.tiers.items():
            book = Codebook.parse(root.objects[tier.codebook][0], uri="codebook")
            table = pq.read_table(io.BytesIO(root.objects[tier.file.href][0]))
            for column in ("uci", "scene", "revision", "cell", "datetime", "bbox"):
                assert table[column].equals(whole[column]), column
            wanted = book.int8(vectors) if name == "int8" else book.bits(vectors)
            assert np.array_equal(read_small(table, name), wanted)
            assert tier.file.rows == file.file.rows
    return {tier.codebook for file in manifest.files for tier in file.tiers.values()}


def test_every_file_gets_both_tiers_by_one_codebook(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    manifest = _compact(root, tmp_path)
    assert len(manifest.files) > 1
    [codebook] = _checked(root, manifest)
    land(root, *(MadeUp(number=number) for number in range(20, 40)))
    manifest = _compact(root, tmp_path)
    assert sum(file.file.rows for file in manifest.files) == 40 * 16
    assert len(_checked(root, manifest)) == 1
    assert codebook.startswith(f"{TIERS}{SCENES[0].row.token}/codebook_")
    assert read(root) == expected(*SCENES, *(MadeUp(number=number) for number in range(20, 40)))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_model_of_few_chips_waits_for_more(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES[:15])  # 240 chips
    assert not any(file.tiers for file in _compact(root, tmp_path).files)


def test_a_new_codebook_is_made_from_what_is_there(tmp_path: Path) -> None:
    root = Memory()
    land(root, *SCENES)
    [before] = _checked(root, _compact(root, tmp_path))
    _compactor(root, tmp_path, "b").forget_tiers(SCENES[0].row.token)
    [after] = _checked(root, _compact(root, tmp_path))
    assert after != before
    later(root)
    _compact(root, tmp_path)
    assert is_gone(root, before)
    assert not is_gone(root, after)


class _KilledError(Exception):
    """The process ends here."""


def test_killed_before_any_write_it_is_done_by_the_next_pass_and_nothing_is_left(tmp_path: Path) -> None:
    quiet = Memory()
    land(quiet, *SCENES)
    with watched(quiet) as writes:
        _compact(quiet, tmp_path)
    first = next(at for at, write in enumerate(writes) if TIERS in write)
    assert [TIERS in write for write in writes[first : first + 5]] == [True, True, True, False, True]
    for at in range(first, first + 5):
        root = Memory()
        land(root, *SCENES)
        root.before = _kill(at)
        with pytest.raises(_KilledError):
            _compact(root, tmp_path)
        root.before = lambda _operation, _key: None
        assert read(root) == expected(*SCENES)
        later(root)
        _compact(root, tmp_path)
        later(root)
        manifest = _compact(root, tmp_path)
        assert len(_checked(root, manifest)) == 1
        tiers = [tier for file in manifest.files for tier in file.tiers.values()]
        named = {tier.file.href for tier in tiers} | {tier.codebook for tier in tiers}
        assert {key for key in root.objects if key.startswith(TIERS)} == named


def _kill(at: int) -> Callable[[str, str], None]:
    """Give what lets so many writes through, and not the next."""
    writes = count()

    def before(operation: str, _key: str) -> None:
        if operation in {"put", "delete"} and next(writes) >= at:
            raise _KilledError

    return before
