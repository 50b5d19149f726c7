"""Files read where they lie: what is asked for, what comes out, and what is refused."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.table.remembered import RememberedRoot
from tests.table.rows import embedding_rows, scene_columns

from clayline.dataset.asking import Span
from clayline.dataset.counted import Asked, CountedRoot
from clayline.dataset.ports import Root
from clayline.errors import DatasetError
from clayline.outputs.region import Region
from clayline.run.encoding import VectorEncoding
from clayline.table import ranged
from clayline.table.geoparquet import write_geoparquet
from clayline.table.ranged import FileAt, RangedFile
from clayline.table.selecting import Wanted
from clayline.table.streaming import Piece, Source, open_files, pieces, result_schema, shaped, stream

ROWS, GROUP = 2000, 100
KEY = "token/scene/file.parquet"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """50 chips a row of the grid: a group of 100 rows is two rows of it, 0.04 degrees high."""
    path = tmp_path_factory.mktemp("ranged") / "file.parquet"
    write_geoparquet(
        path,
        columns=scene_columns(),
        chunks=[embedding_rows(ROWS)],
        metadata={},
        encoding=VectorEncoding.PORTABLE,
        row_group_rows=GROUP,
    )
    return path.read_bytes()


def counted(content: bytes) -> CountedRoot:
    return CountedRoot(RememberedRoot({KEY: content}))


def at(content: bytes, rows: int = ROWS) -> FileAt:
    return FileAt(key=KEY, size=len(content), rows=rows, group_rows=GROUP)


def chosen(root: Root, source: Source, columns: list[str] | None = None) -> list[Piece]:
    return pieces(root, [source], open_files(root, [source]), columns)


def wanted(box: tuple[float, float, float, float] | None = None, time: str | None = None) -> Wanted:
    return Wanted(
        region=None if box is None else Region.of_boxes([box]),
        span=Span.of(time),
        allowed=None,
        scene="0123456789ab",
        revision=2,
    )


def test_a_footer_is_one_request_and_all_rows_come_as_pyarrow_reads_them(content: bytes) -> None:
    root = counted(content)
    file = RangedFile.open(root, at(content))
    assert (root.asked.requests, file.groups) == (1, ROWS // GROUP)
    tables = [file.read(group, file.names) for group in range(file.groups)]
    assert pa.concat_tables(tables).equals(pq.read_table(pa.BufferReader(content)))
    assert root.asked.requests == 1 + file.groups


def test_a_footer_larger_than_usual_is_two_requests(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    root = counted(content)
    monkeypatch.setattr(ranged, "_TAIL", 1024)
    file = RangedFile.open(root, replace(at(content), group_rows=10**9))
    assert file.names == RangedFile.open(root, at(content)).names
    assert root.asked.gets == 3


def test_only_row_groups_of_the_place_are_read_and_only_the_rows_that_meet_it(content: bytes) -> None:
    root = counted(content)
    box = (-54.19, -25.33, -54.11, -25.31)  # 5 x 2 chips, of which both rows lie in one group
    found = chosen(root, Source(at=at(content), wanted=wanted(box)), None)
    assert [piece.group for piece in found] == [5]
    schema = result_schema([found[0].file], None)
    [selected] = stream(root, found)
    table = shaped(selected, schema)
    assert table.num_rows == 10
    assert set(table["scene"].to_pylist()) == {"0123456789ab"}
    assert set(table["revision"].to_pylist()) == {2}
    boxes: Any = table["bbox"].combine_chunks()
    sides = [boxes.field(name).to_numpy() for name in ("xmin", "ymin", "xmax", "ymax")]
    assert ((sides[0] <= box[2]) & (sides[2] >= box[0]) & (sides[1] <= box[3]) & (sides[3] >= box[1])).all()


def test_what_is_foretold_of_row_groups_is_what_is_asked_for(content: bytes) -> None:
    root = counted(content)
    box = (-54.55, -25.5, -54.4, -25.3)
    for columns in (None, ["uci"], ["embeddings"], ["uci", "cloud_fraction"]):
        found = chosen(root, Source(at=at(content), wanted=wanted(box)), columns)
        before = root.asked
        assert list(stream(root, found))
        ranges = [each for piece in found for each in piece.ranges]
        assert root.asked - before == Asked(gets=len(ranges), size=sum(each.size for each in ranges))


def test_columns_that_are_not_wanted_are_not_fetched(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """But between two that are: vectors of this file are smaller than a request is worth."""
    monkeypatch.setattr(ranged, "_NEAR", 1024)
    root = counted(content)
    file = RangedFile.open(root, at(content))
    some, everything = (sum(each.size for each in file.ranges(3, names)) for names in (["uci", "cell"], file.names))
    assert some < everything / 3


def test_an_exact_footprint_decides_where_boxes_only_overlap() -> None:
    diamond = "POLYGON ((0 -1, 1 0, 0 1, -1 0, 0 -1))"
    import shapely  # noqa: PLC0415

    wkb = [shapely.to_wkb(shapely.from_wkt(diamond))]
    corner, middle = Region.of_boxes([(0.8, 0.8, 2, 2)]), Region.of_boxes([(0.2, 0.2, 2, 2)])
    assert corner.overlaps(np.array([[-1.0, -1.0, 1.0, 1.0]])).all()
    assert len(corner.meeting(wkb)[0]) == 0
    assert len(middle.meeting(wkb)[0]) == 1


def test_the_time_is_asked_of_row_groups_and_rows(content: bytes) -> None:
    root = counted(content)
    for time, there in (
        ("2020-05-18", True),
        ("2020-05-18T13:39:44.12Z", True),
        ("2020-05-19/..", False),
        ("../2020-05-17", False),
    ):
        found = chosen(root, Source(at=at(content), wanted=wanted(time=time)), ["uci"])
        assert bool(found) is there, time
        assert sum(selected.table.num_rows for selected in stream(root, found)) == (ROWS if there else 0)


def test_a_column_that_is_not_there_is_told_with_those_that_are(content: bytes) -> None:
    found = chosen(counted(content), Source(at=at(content), wanted=wanted()), ["uci", "vector"])
    with pytest.raises(DatasetError, match=r"no column vector: there are uci, .*revision"):
        result_schema([found[0].file], ["uci", "vector"])


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda body: body[:-4] + b"PARX", "does not end as a Parquet file"),
        (lambda body: body[:-8] + struct.pack("<I", 2**31) + b"PAR1", "its footer says"),
        (lambda body: body[:-2000] + bytes(1000) + body[-1000:], "footer cannot be read|rows"),
        (
            lambda body: body[:1000] + bytes(len(body) // 2) + body[1000 + len(body) // 2 :],
            "row group . cannot be read",
        ),
        (lambda body: body[:100], "fewer bytes"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(content: bytes, damage: object, what: str) -> None:
    assert callable(damage)
    root = RememberedRoot({KEY: damage(content)})
    source = Source(at=at(content), wanted=wanted())
    with pytest.raises(DatasetError, match=rf"memory://dataset/{KEY}.*({what})"):
        list(stream(root, chosen(root, source)))


def test_another_number_of_rows_than_the_index_has_is_refused(content: bytes) -> None:
    with pytest.raises(DatasetError, match="it has 2000 rows, and the index says 1999"):
        RangedFile.open(RememberedRoot({KEY: content}), at(content, rows=1999))


def test_a_file_that_is_gone_says_to_open_again(content: bytes) -> None:
    with pytest.raises(DatasetError, match=r"`clayline index ROOT --forget-lost` \(ROOT is memory://dataset\)"):
        RangedFile.open(RememberedRoot(), at(content))
    with pytest.raises(DatasetError, match=r"Open the dataset again.*`clayline compact`"):
        RangedFile.open(RememberedRoot(), replace(at(content), key="dataset/files/x.parquet"))


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "other.parquet")
    body = (tmp_path / "other.parquet").read_bytes()
    source = Source(at=at(body, rows=2), wanted=wanted())
    with pytest.raises(DatasetError, match="no column uci, datetime, geometry, bbox"):
        chosen(RememberedRoot({KEY: body}), source)


@settings(max_examples=60)
@given(place=st.floats(0, 1), value=st.binary(min_size=1, max_size=8))
def test_bytes_that_were_changed_anywhere_are_told_or_harmless(content: bytes, place: float, value: bytes) -> None:
    start = int(place * (len(content) - len(value)))
    body = content[:start] + value + content[start + len(value) :]
    root = RememberedRoot({KEY: body})
    try:
        found = chosen(root, Source(at=at(content), wanted=wanted((-54.55, -25.5, -54.4, -25.3))), ["uci"])
        list(stream(root, found))
    except DatasetError as error:
        assert KEY in str(error)  # noqa: PT017 - either is right, a crash is not
