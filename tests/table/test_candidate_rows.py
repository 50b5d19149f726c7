"""The second stage over S3: of a few candidates a few pages are fetched, and what comes out is what lies there."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import moto
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.table.rows import embedding_rows, scene_columns

from clayline.aws.dataset_root import S3Root
from clayline.dataset.asking import Span
from clayline.dataset.counted import CountedRoot
from clayline.run.encoding import VectorEncoding
from clayline.table.bit_stage import Tiered
from clayline.table.candidate_rows import read_candidates
from clayline.table.geoparquet import write_geoparquet
from clayline.table.ranged import FileAt, RangedFile
from clayline.table.ranking import LOOKED_AT
from clayline.table.selecting import Wanted
from clayline.table.streaming import columns_read

ROWS, GROUP, DIMENSIONS = 2048, 1024, 512
KEY = "dataset/files/x.parquet"
COLUMNS = (*LOOKED_AT, "scene", "revision")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Give a square's rows, as compaction has them."""
    vectors = np.random.default_rng(3).standard_normal((ROWS, DIMENSIONS)).astype(np.float32)
    path = tmp_path_factory.mktemp("scene") / "scene.parquet"
    write_geoparquet(
        path,
        columns=replace(scene_columns(), dimensions=DIMENSIONS),
        chunks=[replace(embedding_rows(ROWS), embeddings=vectors)],
        metadata={},
        encoding=VectorEncoding.PORTABLE,
    )
    table = pq.read_table(Path(path))
    table = table.append_column("scene", pa.array(["a"] * ROWS))
    return table.append_column("revision", pa.array([1] * ROWS, pa.int32()))


@pytest.fixture
def place(held: pa.Table, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CountedRoot, Tiered]]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    sink = io.BytesIO()
    pq.write_table(
        held, sink, row_group_size=GROUP, compression="zstd", use_dictionary=False, data_page_size=64 * 1024,
        write_page_index=True, column_encoding={"embeddings.list.element": "PLAIN"},
    )  # fmt: skip
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="embeddings")
        client.put_object(Bucket="embeddings", Key=KEY, Body=sink.getvalue())
        root = CountedRoot(S3Root(client, bucket="embeddings", prefix=""))
        file = RangedFile.open(root, FileAt(key=KEY, size=len(sink.getvalue()), rows=ROWS, group_rows=GROUP))
        wanted = Wanted(region=None, span=Span(), allowed={"a": 1})
        yield root, Tiered(file=file, bits=file, wanted=wanted)


def whole(root: CountedRoot, tiered: Tiered) -> int:
    """Give the bytes of all that is read of both row groups, vectors with them."""
    read = columns_read(root, tiered.file, tiered.wanted, COLUMNS)
    return sum(each.size for group in range(2) for each in tiered.file.ranges(group, read))


def rows_of(found: Iterator[Any]) -> pa.Table:
    return pa.concat_tables([each.table.select(list(COLUMNS)) for each in found])


def test_of_a_few_candidates_a_few_pages_are_fetched(held: pa.Table, place: tuple[CountedRoot, Tiered]) -> None:
    root, tiered = place
    numbers = np.array([3, 4, 700, 1023, 1024, 1900], np.int64)
    before = root.asked
    found = rows_of(read_candidates(root, [tiered], numbers, COLUMNS))
    taken = root.asked - before
    assert found.equals(held.select(list(COLUMNS)).take(numbers))
    assert taken.size * 3 < whole(root, tiered)


def test_where_nearly_all_are_candidates_no_more_is_fetched_than_all(
    held: pa.Table, place: tuple[CountedRoot, Tiered]
) -> None:
    root, tiered = place
    numbers = np.arange(0, ROWS, 5)
    before = root.asked
    found = rows_of(read_candidates(root, [tiered], numbers, COLUMNS))
    taken = root.asked - before
    assert found.equals(held.select(list(COLUMNS)).take(numbers))
    assert taken.size <= whole(root, tiered)
    assert taken.gets <= 8
