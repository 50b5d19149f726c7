"""Chips of a scene's file as a vector bucket gets them."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tests.dataset.world import NOON, TOKEN, Memory

from clayline.dataset.scene_file import SceneHeader
from clayline.errors import DatasetError
from clayline.outputs.embedding import EmbeddingRows, SceneColumns
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet
from clayline.table.vector_columns import read_chips

REST = "_20240601T103031_s2a-msi-l2a_clay-v1.5-cls"
WEST = [8.0, 179.95, -179.99, 10.0]
"""The second chip crosses the antimeridian, its larger part west of it."""
SIDE = 0.08


def _on_globe(lon: float) -> float:
    return lon - 360 if lon > 180 else lon


ROWS = EmbeddingRows(
    uci=[f"32UQD-r{row:05d}c00256s256g10000{REST}" for row in range(4)],
    index=np.arange(4),
    cell=[None] * 4,
    corners=np.array(
        [
            [(west, 1.0), (west, 1 - SIDE), (_on_globe(west + SIDE), 1 - SIDE), (_on_globe(west + SIDE), 1.0)]
            for west in WEST
        ]
    ),
    embeddings=np.arange(32, dtype=np.float32).reshape(4, 8),
    loss=np.array([0.5, 0.25, 1, 2], np.float32),
    valid_fraction=np.array([1, 0.5, 0.25, 1], np.float32),
    cloud_fraction=np.array([0, np.nan, 1, 0.5], np.float32),
)


@pytest.fixture
def root(tmp_path: Path) -> Memory:
    return written(ROWS, tmp_path)


def written(rows: EmbeddingRows, folder: Path) -> Memory:
    path = folder / "scene.parquet"
    write_geoparquet(
        path,
        columns=SceneColumns(
            source_url="s3://scenes/1.tif",
            date=date(2024, 6, 2),
            datetime=NOON,
            source_model=TOKEN,
            loss_metric="mse",
            source_creator="clayline",
            dimensions=8,
        ),
        chunks=[rows],
        metadata={},
        encoding=VectorEncoding.PORTABLE,
    )
    found = Memory()
    found.put_new("scene.parquet", path)
    return found


HEADER = SceneHeader(provenance={}, rows=4, dimensions=8)


def test_chips_come_as_the_file_has_them(root: Memory) -> None:
    [chips] = read_chips(root, root.head("scene.parquet"), HEADER)
    assert chips.uci == ROWS.uci
    assert chips.cell == [None] * 4
    assert chips.epoch.tolist() == [NOON.timestamp()] * 4
    np.testing.assert_array_equal(chips.vectors, ROWS.embeddings)
    np.testing.assert_array_equal(chips.loss, [0.5, 0.25, 1, 2])
    np.testing.assert_array_equal(chips.valid, ROWS.valid_fraction)
    np.testing.assert_array_equal(chips.cloud, ROWS.cloud_fraction)


def test_the_centre_of_a_chip_over_the_antimeridian_is_in_its_middle(root: Memory) -> None:
    [chips] = read_chips(root, root.head("scene.parquet"), HEADER)
    np.testing.assert_allclose(chips.centres[:, 0], [8.04, 179.99, -179.95, 10.04], atol=1e-9)
    np.testing.assert_allclose(chips.centres[:, 1], 0.96)


def test_a_file_of_several_row_groups_comes_group_by_group(tmp_path: Path) -> None:
    count = 2_500
    vectors = np.random.default_rng(1).standard_normal((count, 8), dtype=np.float32)
    rows = EmbeddingRows(
        uci=[f"32UQD-r{row:05d}c00256s256g10000{REST}" for row in range(count)],
        index=np.arange(count),
        cell=[f"32UQD-r{row:05d}c00256s256g10000" for row in range(count)],
        corners=np.tile(ROWS.corners[:1], (count, 1, 1)),
        embeddings=vectors,
        loss=np.ones(count, np.float32),
        valid_fraction=np.ones(count, np.float32),
        cloud_fraction=np.zeros(count, np.float32),
    )
    root = written(rows, tmp_path)
    stored, header = root.head("scene.parquet"), replace(HEADER, rows=count)
    parts = list(read_chips(root, stored, header))
    assert [len(part.uci) for part in parts] == [2_048, 452]
    assert [uci for part in parts for uci in part.uci] == rows.uci
    assert [cell for part in parts for cell in part.cell] == rows.cell
    np.testing.assert_array_equal(np.concatenate([part.vectors for part in parts]), vectors)


def test_a_file_that_was_replaced_since_is_refused(root: Memory) -> None:
    with pytest.raises(DatasetError, match=r"scene\.parquet"):
        next(read_chips(root, replace(root.head("scene.parquet"), etag="another"), HEADER))
