"""Compact tiers: the same rows, smaller, for every reader."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.table.rows import DIMENSIONS, embedding_rows, scene_columns

from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import TierName
from clayline.errors import DatasetError
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet
from clayline.table.tiers import COLUMN, NAMES, read_small, write_tier

TOKEN = "starter-v1.0-rgb"
ROWS = 300


def _file(folder: Path) -> Path:
    path = folder / "scene.parquet"
    write_geoparquet(
        path,
        columns=scene_columns(),
        chunks=[embedding_rows(ROWS)],
        metadata={},
        encoding=VectorEncoding.PORTABLE,
        row_group_rows=128,
    )
    return path


def _book(**changes: str) -> Codebook:
    return Codebook.of(embedding_rows(ROWS).embeddings, **{"token": TOKEN, "digest": "sha256:0", **changes})


@pytest.mark.parametrize("tier", NAMES)
def test_a_tier_has_the_files_rows_in_its_order_and_groups(tmp_path: Path, tier: TierName) -> None:
    source, book = _file(tmp_path), _book()
    target = tmp_path / "tier.parquet"
    assert write_tier(source, target, codebook=book, tier=tier, link="codebook.json") == ROWS
    table, whole = pq.read_table(target), pq.read_table(source)
    for name in ("uci", "cell", "datetime", "bbox", "valid_fraction", "cloud_fraction"):
        assert table.column(name).equals(whole.column(name)), name
    vectors = embedding_rows(ROWS).embeddings
    assert np.array_equal(read_small(table, tier), book.int8(vectors) if tier == "int8" else book.bits(vectors))
    sliced = read_small(table.slice(7, 5), tier)
    assert np.array_equal(sliced, read_small(table, tier)[7:12])
    groups = [[pq.read_metadata(path).row_group(group).num_rows for group in range(3)] for path in (source, target)]
    assert groups[0] == groups[1] == [128, 128, 44]


@pytest.mark.parametrize("tier", NAMES)
def test_the_same_file_and_codebook_give_the_same_bytes(tmp_path: Path, tier: TierName) -> None:
    source = _file(tmp_path)
    for name in ("a", "b"):
        write_tier(source, tmp_path / name, codebook=_book(), tier=tier, link="codebook.json")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_metadata_declares_what_was_done(tmp_path: Path) -> None:
    write_tier(_file(tmp_path), tmp_path / "t", codebook=_book(), tier="int8", link="../codebook.json")
    found = pq.read_metadata(tmp_path / "t").metadata or {}
    emb, ours = json.loads(found[b"emb"]), json.loads(found[b"clayline"])
    assert (emb["emb:dimensions"], emb["data_type"]) == (DIMENSIONS, "int8")
    assert len(emb["emb:quantization"]["scale"]) == len(emb["emb:quantization"]["offset"]) == DIMENSIONS
    assert (ours["tier"], ours["token"], ours["codebook"]) == ("int8", TOKEN, "../codebook.json")


def test_duckdb_reads_both_and_brings_int8_back(tmp_path: Path) -> None:
    source, book = _file(tmp_path), _book()
    for tier in NAMES:
        write_tier(source, tmp_path / f"{tier}.parquet", codebook=book, tier=tier, link="c")
    [[steps]] = duckdb.read_parquet(str(tmp_path / "int8.parquet")).project("embeddings").limit(1).fetchall()
    assert list(steps) == book.int8(embedding_rows(ROWS).embeddings)[0].tolist()
    [[bits]] = duckdb.read_parquet(str(tmp_path / "bits.parquet")).project("bits").limit(1).fetchall()
    assert bits == book.bits(embedding_rows(ROWS).embeddings)[0].tobytes()


def test_int8_takes_a_byte_a_number_and_bits_a_bit(tmp_path: Path) -> None:
    source = _file(tmp_path)
    raw = ROWS * DIMENSIONS * 4
    most: dict[TierName, float] = {"int8": 0.30, "bits": 0.06}  # groups of 128 rows: each has a dictionary
    for tier in NAMES:
        write_tier(source, tmp_path / tier, codebook=_book(), tier=tier, link="c")
        metadata = pq.read_metadata(tmp_path / tier)
        [at] = [
            number
            for number in range(metadata.num_columns)
            if metadata.row_group(0).column(number).path_in_schema.startswith(COLUMN[tier])
        ]
        size = sum(metadata.row_group(group).column(at).total_compressed_size for group in range(3))
        assert size <= most[tier] * raw


@pytest.mark.parametrize(
    ("book", "why"),
    [
        (_book(token="starter-v1.0-other"), "has rows of starter-v1.0-rgb, the codebook is of starter-v1.0-other"),
        (
            Codebook.of(np.random.default_rng(0).random((300, 7), dtype=np.float32), token=TOKEN, digest="d"),
            "7 dimensions",
        ),
    ],
)
def test_a_file_of_another_model_is_refused(tmp_path: Path, book: Codebook, why: str) -> None:
    with pytest.raises(DatasetError, match=why):
        write_tier(_file(tmp_path), tmp_path / "t", codebook=book, tier="int8", link="c")


def test_a_file_without_embeddings_is_refused(tmp_path: Path) -> None:
    pq.write_table(pq.read_table(_file(tmp_path), columns=["uci"]), tmp_path / "other.parquet")
    with pytest.raises(DatasetError, match="no column embeddings"):
        write_tier(tmp_path / "other.parquet", tmp_path / "t", codebook=_book(), tier="bits", link="c")
