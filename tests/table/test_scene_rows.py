"""Rows of the index: what is written comes back, and others read it as stac-geoparquet."""

import json
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from tests.dataset.world import NOON, Memory, scene_row

from clayline.api import Dataset
from clayline.dataset.extents import cover, extent_of
from clayline.dataset.manifest import FRAGMENTS, MANIFEST, Manifest, Part, StoredFile
from clayline.dataset.scene_row import Box, SceneRow
from clayline.errors import DatasetError, TransientError
from clayline.table.index_reading import read_snapshot, scene_rows
from clayline.table.scene_rows import SCHEMA, decode_rows, encode_rows

ROWS = [scene_row(number) for number in range(30)]
OVER = replace(
    scene_row(99),
    end=NOON + timedelta(days=120),
    box=Box(west=179.5, south=-17.0, east=-179.5, north=-16.0),
    geometry=shapely.to_wkb(
        shapely.MultiPolygon([shapely.box(179.5, -17, 180, -16), shapely.box(-180, -17, -179.5, -16)])
    ),
    compacted=True,
)


def test_rows_come_back_as_they_were_in_whatever_order_they_went() -> None:
    rows = [*ROWS, OVER]
    shuffled = random.Random(1).sample(rows, len(rows))  # noqa: S311 - an order
    content = encode_rows(shuffled)
    assert content == encode_rows(rows)
    assert sorted(decode_rows(content, where="x"), key=lambda row: row.scene) == sorted(rows, key=lambda row: row.scene)


def test_geopandas_and_duckdb_read_it(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    path.write_bytes(encode_rows([*ROWS, OVER]))
    frame = gpd.read_parquet(path)
    assert frame.crs == "OGC:CRS84"
    assert len(frame) == 31
    assert frame.geometry.is_valid.all()
    assert frame.loc[frame["id"] == OVER.item_id, "datetime"].isna().all()
    assert len(gpd.read_parquet(path, bbox=(8.0, 50.0, 8.05, 50.05))) == 3
    found = duckdb.sql(
        f"""SELECT "clayline:square", "clayline:year", assets.embeddings.href FROM '{path}'"""  # noqa: S608 - our path
        ' WHERE "clayline:compacted"'
    ).fetchall()
    assert found == [("32UQD", 2024, f"../../{OVER.href}")]


def test_it_says_that_it_is_stac_geoparquet() -> None:
    parquet = pq.ParquetFile(pa.BufferReader(encode_rows([OVER])))
    header = {key.decode(): value for key, value in (parquet.metadata.metadata or {}).items()}
    assert json.loads(header["stac-geoparquet"])["version"] == "1.1.0"
    geo = json.loads(header["geo"])["columns"]["geometry"]
    assert geo["bbox"] == [179.5, -17.0, -179.5, -16.0]
    assert geo["geometry_types"] == ["MultiPolygon"]
    assert parquet.schema_arrow.names == SCHEMA.names
    required = {"stac_extensions", "id", "geometry", "bbox", "links", "assets"}  # the specification's 1.1.0
    assert required <= set(SCHEMA.names)


def test_what_is_no_file_of_the_index_is_refused_with_the_remedy() -> None:
    whole = encode_rows(ROWS)
    for content in (b"", b"PAR1", whole[:-9], whole[len(whole) // 2 :]):
        with pytest.raises(DatasetError, match=r"dataset/parts/x is no file of the index.*clayline index"):
            decode_rows(content, where="dataset/parts/x")


def _part(rows: list[SceneRow], name: str, root: Memory) -> Part:
    content = encode_rows(rows)
    href = f"dataset/parts/{name}.parquet"
    root.put_new(href, content)
    file = StoredFile(href=href, size=len(content), sha256="0" * 64, rows=len(rows))
    return Part(file=file, extent=extent_of(rows))


def test_only_parts_that_can_meet_are_read() -> None:
    root = Memory()
    manifest = Manifest(version=1, parts=(_part(ROWS[:20], "a", root), _part([OVER], "b", root)))
    root.replace(MANIFEST, manifest.model_dump_json().encode(), etag=None)
    root.put_new(FRAGMENTS + ROWS[25].fragment, encode_rows([ROWS[25]]))
    dataset, snapshot = Dataset(root), read_snapshot(root)
    assert list(snapshot.loose) == [ROWS[25]]
    root.requests.clear()
    fiji = Box(west=-179.9, south=-17, east=-179.8, north=-16)
    assert dataset.scenes(box=fiji) == [OVER]
    assert root.requests == {"list": 1, "get": 3}  # the manifest, the fragment, one part of two
    second = dataset.scenes(time=(ROWS[4].start, ROWS[5].start), box=ROWS[5].box)
    assert second == [ROWS[4], ROWS[5]]  # the boxes share an edge
    assert ROWS[25] in scene_rows(root, snapshot)


def test_a_fragment_that_is_taken_in_and_deleted_while_it_is_read_is_looked_for_again() -> None:
    root = Memory()
    key = FRAGMENTS + ROWS[0].fragment
    root.put_new(key, encode_rows(ROWS[:1]))

    def compact(operation: str, asked: str) -> None:
        if operation == "get" and asked == key:
            root.before = lambda *_: None
            manifest = Manifest(version=1, parts=(_part(ROWS[:1], "a", root),))
            root.replace(MANIFEST, manifest.model_dump_json().encode(), etag=None)
            root.discard([key])

    root.before = compact
    snapshot = read_snapshot(root)
    assert snapshot.manifest.version == 1
    assert scene_rows(root, snapshot) == ROWS[:1]


def test_an_index_that_never_stands_still_is_told() -> None:
    root = Memory()
    key = FRAGMENTS + ROWS[0].fragment
    root.put_new(key, encode_rows(ROWS[:1]))

    def gone(operation: str, asked: str) -> None:
        if operation == "get" and asked == key:
            del root.objects[key]
        elif operation == "list":
            root.objects[key] = (b"", NOON)

    root.before = gone
    with pytest.raises(TransientError, match="changed 5 times while it was read"):
        read_snapshot(root)


@pytest.mark.parametrize(
    ("boxes", "west", "east"),
    [
        ([(8, 9), (10, 11)], 8, 11),
        ([(179, 180), (-180, -179)], 179, -179),
        ([(170, -170)], 170, -170),
        ([(170, -170), (175, 176), (-171, -160)], 170, -160),
        ([(-180, -60), (-60, 60), (60, 180)], -180, 180),
        ([(-100, 10), (0, 100)], -100, 100),
        ([(-180, 180), (5, 6)], -180, 180),
        ([(-10, 170), (160, -175)], -10, -175),
    ],
)
def test_the_smallest_box_around_several(boxes: list[tuple[float, float]], west: float, east: float) -> None:
    covered = cover([Box(west=one, south=number, east=two, north=1) for number, (one, two) in enumerate(boxes)])
    assert (covered.west, covered.east, covered.south) == (west, east, 0)
