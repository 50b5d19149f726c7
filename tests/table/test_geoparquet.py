"""The file's own properties: columns, settings, metadata, determinism, and what is refused.

Other readers are in test_readers.py.
"""

import dataclasses
import datetime as dt
import json
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.table.rows import DIMENSIONS, embedding_rows, scene_columns

from benchmarks import collect
from clayline.errors import SceneError
from clayline.outputs.embedding import EmbeddingRows, SceneColumns
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet


def write(
    path: Path,
    *chunks: EmbeddingRows,
    columns: SceneColumns | None = None,
    row_group_rows: int = 2048,
    encoding: VectorEncoding = VectorEncoding.PORTABLE,
) -> pq.ParquetFile:
    shared = columns or scene_columns()
    count = write_geoparquet(
        path, columns=shared, chunks=chunks, metadata={}, row_group_rows=row_group_rows, encoding=encoding
    )
    file = pq.ParquetFile(path)
    assert file.metadata.num_rows == count == sum(len(chunk) for chunk in chunks)
    return file


def stored(path: Path) -> dict[bytes, bytes]:
    metadata = pq.read_metadata(path).metadata
    assert metadata is not None
    return metadata


def geo(path: Path) -> dict[str, Any]:
    column: dict[str, Any] = json.loads(stored(path)[b"geo"])["columns"]["geometry"]
    return column


def test_columns_are_those_of_the_specification(tmp_path: Path) -> None:
    schema = write(tmp_path / "a.parquet", embedding_rows(10)).schema_arrow
    assert [(field.name, str(field.type), field.nullable) for field in schema] == [
        ("uci", "string", False),
        ("source_url", "string", False),
        ("date", "date32[day]", False),
        ("datetime", "timestamp[us, tz=UTC]", False),
        ("source_model", "string", False),
        ("loss", "float", True),
        ("loss_metric", "string", True),
        ("source_creator", "string", False),
        ("embeddings", f"fixed_size_list<element: float not null>[{DIMENSIONS}]", False),
        ("geometry", "binary", False),
        ("index", "int64", False),
        ("cell", "string", True),
        (
            "bbox",
            "struct<xmin: double not null, ymin: double not null, xmax: double not null, ymax: double not null>",
            False,
        ),
        ("valid_fraction", "float", False),
        ("cloud_fraction", "float", True),
    ]


def test_values_come_back(tmp_path: Path) -> None:
    rows = embedding_rows(5000)
    table = write(tmp_path / "a.parquet", rows).read()
    assert table["uci"].to_pylist() == rows.uci
    assert table["index"].to_pylist() == rows.index.tolist()
    assert table["cell"].to_pylist() == rows.cell
    assert np.array_equal(np.stack(table["embeddings"].to_numpy().tolist()), rows.embeddings)
    assert rows.loss is not None
    assert np.array_equal(table["loss"].to_numpy(), rows.loss)
    assert np.array_equal(table["valid_fraction"].to_numpy(), rows.valid_fraction)
    assert [value is None for value in table["cloud_fraction"].to_pylist()] == np.isnan(rows.cloud_fraction).tolist()
    assert np.array_equal(table["cloud_fraction"].to_numpy(), rows.cloud_fraction, equal_nan=True)
    west, south, east, north = (
        rows.corners[:, 0, 0],
        rows.corners[:, 2, 1],
        rows.corners[:, 2, 0],
        rows.corners[:, 0, 1],
    )
    boxes = table.flatten()
    for name, expected in {"xmin": west, "ymin": south, "xmax": east, "ymax": north}.items():
        assert np.array_equal(boxes[f"bbox.{name}"].to_numpy(), expected)
    common = {
        name: set(table[name].to_pylist())
        for name in ("source_url", "date", "datetime", "source_model", "loss_metric", "source_creator")
    }
    assert common == {
        "source_url": {"s3://scenes/landsat/LC08_L1TP_224078_20200518.tif"},
        "date": {dt.date(2026, 11, 22)},
        "datetime": {dt.datetime(2020, 5, 18, 13, 39, 44, 120_000, tzinfo=dt.UTC)},
        "source_model": {"starter-v1.0-rgb"},
        "loss_metric": {"mse"},
        "source_creator": {"clayline"},
    }


@pytest.mark.parametrize("encoding", VectorEncoding)
def test_the_header_stands_where_each_reader_looks(tmp_path: Path, encoding: VectorEncoding) -> None:
    """In the file's own metadata, and in the Arrow schema's, which hides it from pyarrow.

    A copy that pyarrow makes keeps it.
    """
    path = tmp_path / "a.parquet"
    header = {"clayline": '{"run": "ä"}', "emb": "{}"}
    write_geoparquet(path, columns=scene_columns(), chunks=[embedding_rows(300)], metadata=header, encoding=encoding)
    own = {key.decode(): value.decode() for key, value in stored(path).items() if key != b"ARROW:schema"}
    assert own.keys() == {"geo", "clayline", "emb"}
    assert {key: own[key] for key in header} == header
    assert stored_schema(path) == own
    pq.write_table(pq.read_table(path), tmp_path / "copy.parquet")
    assert stored_schema(tmp_path / "copy.parquet") == own
    assert (
        geopandas.read_parquet(tmp_path / "copy.parquet").total_bounds.tolist()
        == json.loads(own["geo"])["columns"]["geometry"]["bbox"]
    )


@pytest.mark.parametrize("encoding", VectorEncoding)
def test_the_stored_arrow_schema_is_byte_for_byte_what_pyarrow_stores(tmp_path: Path, encoding: VectorEncoding) -> None:
    """It is written here and not by pyarrow's writer, which would do so before the extent is known."""
    path, header = tmp_path / "a.parquet", {"clayline": '{"run": "ä"}', "emb": "{}"}
    write_geoparquet(path, columns=scene_columns(), chunks=[embedding_rows(300)], metadata=header, encoding=encoding)
    found = stored(path)
    bounds = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in ("xmin", "ymin", "xmax", "ymax")])
    element = pa.field("element", pa.float32(), nullable=False)
    fields: list[pa.Field[Any]] = [
        pa.field("uci", pa.string(), nullable=False),
        pa.field("source_url", pa.string(), nullable=False),
        pa.field("date", pa.date32(), nullable=False),
        pa.field("datetime", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("source_model", pa.string(), nullable=False),
        pa.field("loss", pa.float32()),
        pa.field("loss_metric", pa.string()),
        pa.field("source_creator", pa.string(), nullable=False),
        pa.field("embeddings", pa.list_(element, DIMENSIONS), nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("cell", pa.string()),
        pa.field("bbox", bounds, nullable=False),
        pa.field("valid_fraction", pa.float32(), nullable=False),
        pa.field("cloud_fraction", pa.float32()),
    ]
    schema = pa.schema(fields).with_metadata({"geo": found[b"geo"].decode()} | header)
    pq.write_table(schema.empty_table(), tmp_path / "pyarrows.parquet")
    assert found[b"ARROW:schema"] == stored(tmp_path / "pyarrows.parquet")[b"ARROW:schema"]


def stored_schema(path: Path) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (pq.read_schema(path).metadata or {}).items()}


def test_sizes_are_those_that_are_told(tmp_path: Path) -> None:
    """Of vectors shaped like Clay's published ones (benchmarks/collect.py): the same ones each time."""
    vectors = collect.vectors(0, 2048)
    rows = embedding_rows(len(vectors))
    rows = dataclasses.replace(rows, embeddings=vectors)
    columns = dataclasses.replace(scene_columns(), dimensions=vectors.shape[1])
    sizes = {}
    for encoding in VectorEncoding:
        write(tmp_path / encoding, rows, columns=columns, encoding=encoding)
        sizes[encoding] = (tmp_path / encoding).stat().st_size / vectors.nbytes
    for encoding, most in collect.TARGET_SIZES.items():
        assert sizes[encoding] <= most  # the other columns and the footer counted
    assert sizes[VectorEncoding.COMPACT] < 0.92 * sizes[VectorEncoding.PORTABLE]


def test_loss_and_its_metric_are_null_together(tmp_path: Path) -> None:
    table = write(
        tmp_path / "a.parquet", embedding_rows(3000, loss=False), columns=scene_columns(loss_metric=None)
    ).read()
    assert table["loss"].null_count == table["loss_metric"].null_count == 3000


@pytest.mark.parametrize("encoding", VectorEncoding)
@pytest.mark.parametrize(("rows", "groups"), [(300, [300]), (2048, [2048]), (5000, [2048, 2048, 904])])
def test_settings_are_the_measured_ones(tmp_path: Path, rows: int, groups: list[int], encoding: VectorEncoding) -> None:
    file = write(tmp_path / "a.parquet", embedding_rows(rows), encoding=encoding)
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == groups
    dictionaries, split, without_statistics = set(), set(), set()
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        assert [(order.column_index, order.descending) for order in group.sorting_columns] == [(0, False)]
        for column in (group.column(at) for at in range(group.num_columns)):
            assert column.compression == "ZSTD"
            assert column.has_offset_index
            name = column.path_in_schema
            dictionaries |= {name} if column.has_dictionary_page else set()
            split |= {name} if "BYTE_STREAM_SPLIT" in column.encodings else set()
            without_statistics |= set() if column.is_stats_set else {name}
    assert dictionaries == {"source_url", "source_model", "loss_metric", "source_creator"}
    assert split == ({"embeddings.list.element"} if encoding is VectorEncoding.COMPACT else set())
    assert without_statistics == {"embeddings.list.element", "geometry"}
    first = file.metadata.row_group(0).column(0).statistics
    assert first is not None
    assert (first.min, first.max) == (embedding_rows(1).uci[0], embedding_rows(groups[0]).uci[-1])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.integers(50, 300))
def test_the_same_rows_give_the_same_bytes_however_they_come(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], row_group_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    rows = embedding_rows(sum(sizes))
    ends = np.cumsum(sizes).tolist()
    write(folder / "whole.parquet", rows, row_group_rows=row_group_rows)
    write(
        folder / "parts.parquet",
        *(rows.slice(end - size, end) for size, end in zip(sizes, ends, strict=True)),
        row_group_rows=row_group_rows,
    )
    assert (folder / "whole.parquet").read_bytes() == (folder / "parts.parquet").read_bytes()


_CRS84 = "import json, pyproj; print(json.dumps(pyproj.CRS('OGC:CRS84').to_json_dict()))"


def test_crs_is_the_one_that_pyproj_prints(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, embedding_rows(10))
    # By itself: once geopandas has read a file in this process, pyproj prints another datum.
    told = subprocess.run([sys.executable, "-c", _CRS84], check=True, capture_output=True, text=True).stdout
    assert geo(path)["crs"] == json.loads(told)


def test_geo_metadata_says_what_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = embedding_rows(300)
    write(path, rows.slice(0, 120), rows.slice(120, 300), row_group_rows=100)
    whole = json.loads(stored(path)[b"geo"])
    assert (whole["version"], whole["primary_column"], list(whole["columns"])) == ("1.1.0", "geometry", ["geometry"])
    column = geo(path)
    assert {key: column[key] for key in ("encoding", "geometry_types", "edges", "orientation")} == {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "edges": "planar",
        "orientation": "counterclockwise",
    }
    corners = rows.corners.reshape(-1, 2)
    assert column["bbox"] == [*corners.min(axis=0), *corners.max(axis=0)]
    assert column["covering"] == {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}}


@pytest.mark.parametrize(
    ("west", "types", "expected"),
    [
        (179.51, ["Polygon", "MultiPolygon"], (179.51, -179.49)),  # 50 chips of 0.02 degrees, one of them over the line
        (179.0, ["Polygon"], (179.0, 180.0)),  # ends on the line
        (179.5, ["Polygon"], (-180.0, 180.0)),  # chips on both sides, none across: the planar range
    ],
)
def test_bounding_box_at_the_antimeridian(
    tmp_path: Path, west: float, types: list[str], expected: tuple[float, float]
) -> None:
    path = tmp_path / "a.parquet"
    rows = embedding_rows(300, west=west)
    # A chip's eastern corner and its neighbour's western one are computed apart; on the line they must be the line.
    rows.corners[..., 0] = np.round(rows.corners[..., 0], 9)
    eastern = rows.corners[:, [1, 2], 0]
    rows.corners[:, [1, 2], 0] = np.where((eastern == -180) | (eastern == 180), 180.0, eastern)
    western = rows.corners[:, [0, 3], 0]
    rows.corners[:, [0, 3], 0] = np.where(western == 180, -180.0, western)
    write(path, rows, row_group_rows=100)
    column = geo(path)
    assert column["geometry_types"] == types
    assert column["bbox"] == pytest.approx([expected[0], -25.22, expected[1], -25.1], abs=1e-9)


def test_bounding_box_around_a_pole_is_all_longitudes(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = embedding_rows(2)
    rows.corners[0] = [(-135, 89.5), (135, 89.5), (45, 89.5), (-45, 89.5)]
    rows.corners[1] = [(175, 89.0), (-175, 89.0), (-176, 88.0), (176, 88.0)]
    write(path, rows)
    assert geo(path)["bbox"] == [-180, 88, 180, 90]
    assert geo(path)["geometry_types"] == ["Polygon", "MultiPolygon"]


def test_metadata_of_the_caller_stands_beside_geo(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    given_metadata = {
        "emb": json.dumps({"emb:dimensions": DIMENSIONS}),
        "clayline": json.dumps({"crs": "EPSG:32621", "über": "ß"}),
    }
    write_geoparquet(
        path,
        columns=scene_columns(),
        chunks=[embedding_rows(5)],
        metadata=given_metadata,
        encoding=VectorEncoding.PORTABLE,
    )
    found = stored(path)
    assert {key: found[key.encode()].decode() for key in given_metadata} == given_metadata
    assert set(found) == {b"ARROW:schema", b"geo", b"emb", b"clayline"}


@pytest.mark.parametrize("key", ["geo", "ARROW:schema"])
def test_reserved_metadata_is_refused(tmp_path: Path, key: str) -> None:
    given_metadata, chunks = {key: "{}"}, [embedding_rows(5)]
    portable = VectorEncoding.PORTABLE
    with pytest.raises(ValueError, match=key):
        write_geoparquet(
            tmp_path / "a.parquet", columns=scene_columns(), chunks=chunks, metadata=given_metadata, encoding=portable
        )
    assert not list(tmp_path.iterdir())


def changed(**columns: Any) -> Callable[[], EmbeddingRows]:
    return lambda: dataclasses.replace(embedding_rows(3), **columns)


def vectors(row: int, value: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    made = np.ones((3, DIMENSIONS), dtype=np.float32)
    made[row, 7] = value
    return made


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (changed(uci=["a", "c", "b"]), "b comes after c"),
        (changed(uci=["a", "b", "b"]), "b comes after b"),
        (changed(uci=["", "a", "b"]), "must ascend"),
        (changed(embeddings=vectors(1, np.nan)), r"embedding of 21JYM-r00000c00064\S+ is not finite"),
        (changed(embeddings=vectors(2, np.inf)), r"embedding of 21JYM-r00000c00128\S+ is not finite"),
        (changed(embeddings=np.ones((3, DIMENSIONS - 1), dtype=np.float32)), f"{DIMENSIONS} dimensions were announced"),
        (changed(loss=None), "there together or not at all"),
        (changed(loss=np.array([1, np.nan, 1], dtype=np.float32)), r"loss of 21JYM-r00000c00064\S+ is not finite"),
        (changed(valid_fraction=np.array([0, 1.5, 1], dtype=np.float32)), "valid fraction"),
        (changed(valid_fraction=np.array([0, np.nan, 1], dtype=np.float32)), "valid fraction"),
        (changed(cloud_fraction=np.array([0, -0.1, 1], dtype=np.float32)), "cloud fraction"),
    ],
)
def test_rows_that_the_specification_excludes_are_refused(
    tmp_path: Path, rows: Callable[[], EmbeddingRows], what: str
) -> None:
    with pytest.raises(ValueError, match=f"LC08_L1TP_224078.*{what}"):
        write(tmp_path / "a.parquet", rows())
    assert not list(tmp_path.iterdir())


def test_a_loss_without_a_metric_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there together or not at all"):
        write(tmp_path / "a.parquet", embedding_rows(3), columns=scene_columns(loss_metric=None))


def test_order_is_checked_across_chunks_and_groups(tmp_path: Path) -> None:
    rows = embedding_rows(100)
    with pytest.raises(ValueError, match="must ascend strictly"):
        write(tmp_path / "a.parquet", rows.slice(50, 100), rows.slice(0, 50), row_group_rows=50)
    assert not list(tmp_path.iterdir())


def test_only_some_rows_with_a_loss_are_refused(tmp_path: Path) -> None:
    rows, lossless = embedding_rows(100), embedding_rows(100, loss=False)
    with pytest.raises(ValueError, match="either all rows"):
        write(tmp_path / "a.parquet", rows.slice(0, 50), lossless.slice(50, 100))


def test_bad_corners_name_the_chip(tmp_path: Path) -> None:
    rows = embedding_rows(5)
    rows.corners[3] = np.nan
    with pytest.raises(SceneError, match="r00000c00192") as caught:
        write(tmp_path / "a.parquet", rows)
    assert caught.value.reason == "bad-footprint"
    assert not list(tmp_path.iterdir())


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rows"):
        write(tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"before")

    def chunks() -> Iterator[EmbeddingRows]:
        rows = embedding_rows(400)
        yield rows.slice(0, 200)
        raise OSError("response not there")

    with pytest.raises(OSError, match="response not there"):
        write_geoparquet(
            path,
            columns=scene_columns(),
            chunks=chunks(),
            metadata={},
            row_group_rows=50,
            encoding=VectorEncoding.PORTABLE,
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.parquet"]
    assert path.read_bytes() == b"before"


def test_chunks_are_taken_one_by_one_and_let_go(tmp_path: Path) -> None:
    alive: list[weakref.ref[object]] = []
    most = 0

    def chunks() -> Iterator[EmbeddingRows]:
        nonlocal most
        for number in range(30):
            rows = embedding_rows(100)
            chunk = dataclasses.replace(rows, uci=[f"{number:02d}{uci}" for uci in rows.uci])
            alive.append(weakref.ref(chunk.embeddings))
            most = max(most, sum(reference() is not None for reference in alive))
            del rows
            yield chunk
            del chunk

    write_geoparquet(
        tmp_path / "a.parquet",
        columns=scene_columns(),
        chunks=chunks(),
        metadata={},
        row_group_rows=100,
        encoding=VectorEncoding.PORTABLE,
    )
    assert len(alive) == 30
    assert most <= 4  # the new one, the one being prepared, the one being encoded, and the generator's last


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"datetime": dt.datetime(2020, 5, 18)}, "UTC"),  # noqa: DTZ001 - without a zone is the case
        ({"datetime": dt.datetime(2020, 5, 18, tzinfo=dt.timezone(dt.timedelta(hours=1)))}, "UTC"),
        ({"dimensions": 0}, "dimension"),
        ({"loss_metric": ""}, "None"),
    ],
)
def test_a_scene_that_no_file_can_say_is_refused(columns: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        dataclasses.replace(scene_columns(), **columns)


@pytest.mark.parametrize(
    "columns",
    [
        {"index": np.arange(2)},
        {"index": np.arange(3, dtype=np.int32)},
        {"corners": np.zeros((3, 4, 3))},
        {"embeddings": np.zeros((3, 4))},
        {"loss": np.zeros(2, dtype=np.float32)},
        {"valid_fraction": np.zeros(3)},
        {"cloud_fraction": np.zeros((3, 1), dtype=np.float32)},
        {"uci": ["a"]},
    ],
)
def test_columns_that_do_not_fit_each_other_are_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(embedding_rows(3), **columns)
