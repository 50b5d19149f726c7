"""What is read, written for others: each form read back by its own reader."""

import json
import sys
from pathlib import Path
from typing import Any

import geopandas
import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.api.worlds import World

from clayline.api import Dataset
from clayline.errors import DatasetError
from clayline.table.exports import TABLE, Form, export, lgnd_schema

BOX = (-54.39, -25.3, -54.21, -25.11)


@pytest.fixture(scope="module")
def world() -> World:
    found = World()
    found.scene(1)
    found.scene(2, day=10)
    found.index()
    return found


def write(world: World, out: Path, form: Form, **asked: Any) -> tuple[int, pa.Table]:
    chips = Dataset(world.root).batches(box=BOX, **asked)
    count = export(chips, chips.schema, out, form=form, scenes=chips.scenes, said={"root": "memory://"})
    return count, Dataset(world.root).read(box=BOX, **asked)


def test_geoparquet_is_read_back_by_geopandas_and_pyarrow(world: World, tmp_path: Path) -> None:
    out = tmp_path / "window.parquet"
    count, table = write(world, out, "geoparquet")
    assert count == table.num_rows > 0
    assert pq.read_table(out).equals(table)
    frame = geopandas.read_parquet(out, bbox=(-54.39, -25.15, -54.3, -25.11))
    assert (frame.crs.to_string(), frame.geometry.is_valid.all()) == ("OGC:CRS84", True)
    assert 0 < len(frame) < count
    metadata = pq.read_metadata(out).metadata
    assert metadata is not None
    said = json.loads(metadata[b"clayline"])
    assert (said["format"], said["rows"]) == ("clayline-read/1", count)


def test_rows_are_put_together_to_whole_row_groups(world: World, tmp_path: Path) -> None:
    chips = Dataset(world.root).batches()
    many = [table for table in chips for _ in range(3)]
    export(many, chips.schema, tmp_path / "all.parquet", form="geoparquet", scenes=(), said={})
    metadata = pq.read_metadata(tmp_path / "all.parquet")
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [1024, 1024, 952]


def test_a_place_without_chips_is_a_file_of_no_rows_with_the_columns(world: World, tmp_path: Path) -> None:
    chips = Dataset(world.root).batches(box=(10, 10, 11, 11))
    assert export(chips, chips.schema, tmp_path / "none.parquet", form="geoparquet", scenes=(), said={}) == 0
    assert pq.read_table(tmp_path / "none.parquet").column_names == chips.schema.names
    assert len(geopandas.read_parquet(tmp_path / "none.parquet")) == 0


def test_lgnds_layout_is_theirs(world: World, tmp_path: Path) -> None:
    """As torchgeo's ClayEmbeddings reads both: ``datetime`` where there is no ``date``, and ``embedding``."""
    out = tmp_path / "lgnd.parquet"
    count, table = write(world, out, "lgnd")
    found = pq.read_table(out)
    assert found.schema.names == lgnd_schema().names
    assert found.num_rows == count
    frame = geopandas.read_parquet(out)
    assert "date" not in frame.columns
    assert list(frame["chips_id"]) == table["uci"].to_pylist()
    assert found["cell_id"].to_pylist() == table["cell"].to_pylist()
    assert set(frame["stac_item_id"]) == {"item-1", "item-2"}
    vectors: Any = table["embeddings"].to_pylist()
    assert np.array_equal(np.stack(frame["embedding"].to_list()), np.array(vectors, dtype=np.float32))


def test_lancedb_searches_it(world: World, tmp_path: Path) -> None:
    out = tmp_path / "window.lance"
    count, table = write(world, out, "lancedb")
    found = lancedb.connect(out).open_table(TABLE)
    assert found.count_rows() == count
    asked: Any = table.slice(7, 1).to_pylist()[0]
    assert found.search(asked["embeddings"]).limit(1).to_list()[0]["uci"] == asked["uci"]


def test_lancedb_that_is_not_installed_is_told(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(DatasetError, match="pip install lancedb"):
        write(world, tmp_path / "window.lance", "lancedb")
    assert list(tmp_path.iterdir()) == []


def test_numpy_gets_vectors_without_pickle_and_what_they_are_of(world: World, tmp_path: Path) -> None:
    count, table = write(world, tmp_path / "window.npy", "numpy", columns=["uci", "embeddings", "datetime"])
    vectors = np.load(tmp_path / "window.npy", allow_pickle=False)
    expected: Any = table["embeddings"].to_pylist()
    assert (vectors.dtype, vectors.shape) == (np.float32, (count, 48))
    assert np.array_equal(vectors, np.array(expected, dtype=np.float32))
    ids = json.loads((tmp_path / "window.json").read_text(encoding="utf-8"))
    assert ids["uci"] == table["uci"].to_pylist()
    assert ids["datetime"][0] == "2024-05-18T13:40:00+00:00"


@pytest.mark.parametrize("form", ["lgnd", "numpy"])
def test_a_form_that_needs_more_columns_says_which(world: World, tmp_path: Path, form: Form) -> None:
    with pytest.raises(DatasetError, match=r"needs the columns .*embeddings"):
        write(world, tmp_path / "window.npy", form, columns=["uci"])


@pytest.mark.parametrize("form", ["geoparquet", "lgnd", "lancedb", "numpy"])
def test_nothing_is_overwritten(world: World, tmp_path: Path, form: Form) -> None:
    out = tmp_path / "window.npy"
    out.write_bytes(b"mine")
    with pytest.raises(DatasetError, match="is there already"):
        write(world, out, form)
    assert out.read_bytes() == b"mine"


def test_a_reading_that_fails_leaves_nothing(world: World, tmp_path: Path) -> None:
    broken = World()
    broken.root.objects = dict(world.root.objects)
    [key] = [key for key in broken.root.objects if "000000000002" in key and key.startswith("starter")]
    body = broken.root.objects[key]
    broken.root.objects[key] = body[:1000] + bytes(150_000) + body[151_000:]
    for form, name in (("geoparquet", "a.parquet"), ("numpy", "a.npy"), ("lancedb", "a.lance")):
        with pytest.raises((DatasetError, RuntimeError, OSError), match=key):
            write(broken, tmp_path / name, form)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
