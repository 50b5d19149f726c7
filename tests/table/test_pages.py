"""Vectors of a few rows: only their pages are fetched, and what comes out is what pyarrow reads."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.table.remembered import RememberedRoot

from clayline.dataset.counted import CountedRoot
from clayline.errors import DatasetError
from clayline.table import ranged
from clayline.table.ranged import FileAt, RangedFile

ROWS, GROUP, DIMENSIONS = 500, 200, 64
KEY = "dataset/files/x.parquet"
ELEMENT = pa.field("element", pa.float32(), nullable=False)


def table(kind: Any) -> pa.Table:
    vectors = np.random.default_rng(1).standard_normal((ROWS, DIMENSIONS)).astype(np.float32)
    column = pa.array(vectors.tolist(), kind)
    names = pa.array([f"chip-{at}" for at in range(ROWS)])
    fields = [pa.field("uci", pa.string()), pa.field("embeddings", kind, nullable=False), pa.field("n", pa.int64())]
    return pa.table([names, column, pa.array(range(ROWS))], schema=pa.schema(fields))


def written(held: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    asked = {"compression": "zstd", "use_dictionary": False, "write_page_index": True, "write_statistics": ["n"]}
    asked |= {"data_page_size": 2048, "row_group_size": GROUP}
    pq.write_table(held, sink, **{**asked, **options})
    return sink.getvalue()


FIXED = table(pa.list_(ELEMENT, DIMENSIONS))


@pytest.fixture(scope="module")
def content() -> bytes:
    return written(FIXED)


@pytest.fixture(autouse=True)
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pages this small none is near another one."""
    monkeypatch.setattr(ranged, "_NEAR", 0)


def opened(body: bytes) -> tuple[CountedRoot, RangedFile]:
    root = CountedRoot(RememberedRoot({KEY: body}))
    return root, RangedFile.open(root, FileAt(key=KEY, size=len(body), rows=ROWS, group_rows=GROUP))


@settings(max_examples=40, deadline=None)
@given(group=st.integers(0, 2), picked=st.sets(st.integers(0, 99), min_size=1, max_size=12))
def test_any_rows_are_those_that_pyarrow_reads(content: bytes, group: int, picked: set[int]) -> None:
    _, file = opened(content)
    rows = np.array(sorted(picked))
    pages = file.paged(group, rows)
    assert pages
    assert file.read(group, file.names, pages).equals(FIXED.slice(group * GROUP, GROUP).take(rows))


@pytest.mark.parametrize("compression", ["zstd", "none"])
@pytest.mark.parametrize("kind", [pa.list_(ELEMENT, DIMENSIONS), pa.list_(ELEMENT)], ids=["fixed", "list"])
def test_of_two_rows_two_pages_are_fetched_and_what_is_foretold_is_asked_for(compression: str, kind: Any) -> None:
    held = table(kind)
    root, file = opened(written(held, compression=compression))
    rows = np.array([3, 150])
    pages = file.paged(0, rows)
    assert pages
    assert len(pages.pages) == 2
    assert root.asked.requests == 1  # the page index came with the footer
    before = root.asked
    assert file.read(0, ["embeddings"], pages).equals(held.select(["embeddings"]).take(rows))
    ranges = file.ranges(0, ["embeddings"], pages)
    taken = root.asked - before
    assert (taken.gets, taken.size) == (2, sum(each.size for each in ranges))
    assert taken.size * 4 < sum(each.size for each in file.ranges(0, ["embeddings"]))
    assert file.read(0, ["n"], pages)["n"].to_pylist() == [3, 150]


@pytest.mark.parametrize(
    "options",
    [
        {"column_encoding": {"embeddings.list.element": "BYTE_STREAM_SPLIT"}},
        {"compression": "snappy"},
        {"write_page_index": False},
        {"use_dictionary": ["embeddings.list.element"]},
    ],
    ids=["split", "snappy", "no index", "dictionary"],
)
def test_vectors_laid_down_otherwise_are_read_whole(options: dict[str, Any]) -> None:
    _, file = opened(written(FIXED, **options))
    assert file.paged(0, np.array([1])) is None


def test_vectors_with_nulls_are_read_whole() -> None:
    _, file = opened(written(table(pa.list_(pa.float32()))))
    assert file.paged(0, np.array([1])) is None


def test_a_page_index_before_what_came_with_the_footer_is_another_request(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranged, "_TAIL", 8)
    monkeypatch.setattr(ranged, "_TAIL_A_GROUP", 0)
    root, file = opened(content)
    before = root.asked
    pages = file.paged(1, np.array([7]))
    assert pages
    assert (root.asked - before).gets == 1
    assert file.read(1, file.names, pages).equals(FIXED.slice(GROUP + 7, 1))


def test_pages_that_are_not_what_the_index_says_are_told(content: bytes) -> None:
    _, file = opened(content)
    pages = file.paged(0, np.array([0, 199]))
    assert pages
    first = pages.pages[0]
    for start in (first.start, first.start + 2, first.start + 40):
        body = content[:start] + bytes(9) + content[start + 9 :]
        _, other = opened(body)
        with pytest.raises(DatasetError, match=f"{KEY}.*row group 0"):
            other.read(0, other.names, other.paged(0, np.array([0, 199])))


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1), value=st.binary(min_size=1, max_size=6))
def test_a_damaged_index_or_page_is_told_or_harmless(content: bytes, place: float, value: bytes) -> None:
    start = int(place * (len(content) - len(value)))
    body = content[:start] + value + content[start + len(value) :]
    try:
        _, file = opened(body)
        pages = file.paged(0, np.array([5, 120]))
        got = file.read(0, file.names, pages)
        assert got.num_rows in {2, GROUP}
    except DatasetError as error:
        assert KEY in str(error)  # noqa: PT017 - either is right, a crash is not
