"""The file in other programs' hands.

Geopandas, DuckDB with spatial, LanceDB, what torchgeo does with it, and two validators.
"""

import datetime as dt
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import duckdb
import geopandas
import numpy as np
import pandas as pd  # type: ignore[import-untyped] # no stubs for two calls
import pyarrow.parquet as pq
import pytest
import shapely
from duckdb_extensions import import_extension  # type: ignore[import-untyped] # has none
from tests.table.rows import DIMENSIONS, embedding_rows, scene_columns

from clayline.outputs.embedding import EmbeddingRows
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet

GPIO = Path(__file__).parents[2] / ".venv-gpio" / "bin"
ROWS = 2500
FIJI = 300


@pytest.fixture(scope="session")
def rows() -> EmbeddingRows:
    return embedding_rows(ROWS)


@pytest.fixture(scope="session", params=list(VectorEncoding))
def encoding(request: pytest.FixtureRequest) -> VectorEncoding:
    chosen: VectorEncoding = request.param
    return chosen


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory, rows: EmbeddingRows, encoding: VectorEncoding) -> Path:
    path = tmp_path_factory.mktemp("file") / "21JYM_20200518_20200518_v001.parquet"
    write_geoparquet(
        path, columns=scene_columns(), chunks=[rows], metadata={"clayline": "{}", "emb": "{}"}, encoding=encoding
    )
    return path


@pytest.fixture(scope="session")
def fiji(tmp_path_factory: pytest.TempPathFactory, encoding: VectorEncoding) -> Path:
    """A scene across the antimeridian, of a model without a loss."""
    path = tmp_path_factory.mktemp("fiji") / "60KYF_20200518_20200518_v001.parquet"
    chunks = [embedding_rows(FIJI, west=179.511, loss=False)]
    write_geoparquet(path, columns=scene_columns(loss_metric=None), chunks=chunks, metadata={}, encoding=encoding)
    return path


@pytest.fixture(scope="session")
def spatial(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """DuckDB with its spatial extension, from the package.

    Nothing is downloaded, and nothing lands in the home directory.
    """
    connection = duckdb.connect(config={"extension_directory": str(tmp_path_factory.mktemp("duckdb"))})
    import_extension("spatial", con=connection)
    connection.load_extension("spatial")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def test_geopandas_reads_every_corner(file: Path, rows: EmbeddingRows) -> None:
    frame = geopandas.read_parquet(file)
    assert frame.crs == "OGC:CRS84"
    assert frame.geometry.is_valid.all()
    assert shapely.is_ccw(shapely.get_exterior_ring(frame.geometry.to_numpy())).all()
    assert np.array_equal(
        shapely.get_coordinates(frame.geometry).reshape(ROWS, 5, 2)[:, :4], rows.corners[:, [0, 3, 2, 1]]
    )
    assert frame["datetime"].dt.tz is not None
    assert np.array_equal(np.stack(frame["embeddings"].tolist()), rows.embeddings)


def test_geopandas_finds_chips_by_bounding_box(file: Path, fiji: Path) -> None:
    window = (-54.30, -25.45, -54.20, -25.35)
    everything = geopandas.read_parquet(file)
    expected = set(everything[everything.intersects(shapely.box(*window))]["uci"])
    assert expected
    assert set(geopandas.read_parquet(file, bbox=window)["uci"]) == expected
    # A chip across the antimeridian must be found from both sides; chips elsewhere may not hide it.
    across = geopandas.read_parquet(fiji)
    cut = set(across[across.geom_type == "MultiPolygon"]["uci"])
    assert len(cut) == 6
    for west, east in [(179.9, 180.0), (-180.0, -179.9)]:
        assert cut <= set(geopandas.read_parquet(fiji, bbox=(west, -26.0, east, -25.0))["uci"])


def test_geopandas_reads_a_scene_over_the_antimeridian(fiji: Path) -> None:
    frame = geopandas.read_parquet(fiji)
    assert frame.geometry.is_valid.all()
    assert frame["loss"].isna().all()
    assert frame["loss_metric"].isna().all()
    assert shapely.area(frame.geometry.to_numpy()) == pytest.approx(0.02 * 0.02, rel=1e-9)
    assert all(part.exterior.is_ccw for shape in frame.geometry for part in getattr(shape, "geoms", [shape]))


def test_duckdb_reads_geometry_and_vectors(file: Path, rows: EmbeddingRows, spatial: duckdb.DuckDBPyConnection) -> None:
    relation = spatial.read_parquet(str(file))
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    assert types["embeddings"] == "FLOAT[]"
    assert types["datetime"] == "TIMESTAMP WITH TIME ZONE"
    assert types["geometry"].startswith("GEOMETRY")
    likeness = (
        f"array_cosine_similarity(embeddings::FLOAT[{DIMENSIONS}],"
        f" {rows.embeddings[1234].tolist()}::FLOAT[{DIMENSIONS}])"
    )
    centre = "ST_X(ST_Centroid(geometry)), ST_Area(geometry)"
    hits = relation.project(f"uci, {centre}, strftime(datetime, '%Y-%m-%dT%H:%M:%S.%fZ'), date, {likeness} AS likeness")
    row = hits.order("likeness DESC").fetchone()
    assert row is not None
    assert row[0] == rows.uci[1234]
    assert row[1] == pytest.approx(rows.corners[1234, :, 0].mean(), abs=1e-9)
    assert row[2] == pytest.approx(0.02 * 0.02, rel=1e-6)
    assert row[3:5] == ("2020-05-18T13:39:44.120000Z", dt.date(2026, 11, 22))
    assert row[5] == pytest.approx(1, abs=1e-6)


def test_duckdb_reads_v0_and_ours_by_one_query(
    file: Path, fiji: Path, shared_data: Path, spatial: duckdb.DuckDBPyConnection
) -> None:
    v0 = shared_data / "clay_v0_sample" / "03WVN_20220610_20220610_v001.gpq"
    query = """
        SELECT uci IS NULL AS before, count(*), min(len(embeddings)), max(len(embeddings)),
               count(DISTINCT "index"), bool_and(ST_IsValid(geometry)), min(date)
        FROM {} GROUP BY ALL ORDER BY before"""
    expected = [
        (False, ROWS + FIJI, DIMENSIONS, DIMENSIONS, ROWS, True, dt.date(2026, 11, 22)),
        (True, 417, 768, 768, 417, True, dt.date(2022, 6, 10)),
    ]
    for files in ([v0, file, fiji], [file, fiji, v0]):
        names = [str(path) for path in files]
        assert spatial.sql(query.format(f"read_parquet({names}, union_by_name = true)")).fetchall() == expected
        union = " UNION ALL BY NAME ".join(f"FROM read_parquet('{name}')" for name in names)
        assert spatial.sql(query.format(f"({union})")).fetchall() == expected


def test_lancedb_takes_the_table_as_it_is_and_finds_a_chip(file: Path, rows: EmbeddingRows, tmp_path: Path) -> None:
    lancedb = import_module("lancedb")  # takes seconds: at the top, every worker would spend them
    table = lancedb.connect(tmp_path).create_table("chips", pq.read_table(file))
    assert table.count_rows() == ROWS
    hits = (
        table.search(rows.embeddings[77]).limit(3).to_list()
    )  # no column is named: it finds the only vectors by itself
    assert hits[0]["uci"] == rows.uci[77]
    assert hits[0]["_distance"] == pytest.approx(0, abs=1e-5)


def test_torchgeo_finds_what_it_takes(file: Path, rows: EmbeddingRows) -> None:
    """ClayEmbeddings takes of geopandas' rows the centroid, `date` or else `datetime`, `embedding` or else
    `embeddings`.
    """
    frame = geopandas.read_parquet(str(file))
    assert len(frame) == ROWS
    for at in (0, 1, 2047, 2048, ROWS - 1):
        row = frame.iloc[at]
        assert "embedding" not in row
        vector = row["embeddings"]
        assert isinstance(vector, np.ndarray)  # a tensor is made of it, which fails for None and for dtype object
        assert (vector.dtype, vector.shape) == (np.float32, (DIMENSIONS,))
        centre = shapely.centroid(row["geometry"])
        assert (centre.x, centre.y) == pytest.approx(rows.corners[at].mean(axis=0), abs=1e-9)
        assert "date" in row
        assert pd.Timestamp(row["date"]).timestamp() == dt.datetime(2026, 11, 22, tzinfo=dt.UTC).timestamp()
        assert (
            pd.Timestamp(row["datetime"]).timestamp()
            == dt.datetime(2020, 5, 18, 13, 39, 44, 120_000, tzinfo=dt.UTC).timestamp()
        )


@pytest.mark.parametrize("which", ["file", "fiji"])
def test_geoparquet_validator_finds_it_conformant(which: str, file: Path, fiji: Path) -> None:
    validator = Path(sys.executable).with_name("geoparquet-validator")
    done = subprocess.run(
        [validator, "check", {"file": file, "fiji": fiji}[which]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert " FAIL " not in done.stdout
    assert "core: 16 pass, 0 fail" in done.stdout
    assert "covering: 6 pass, 0 fail" in done.stdout


@pytest.fixture(scope="session")
def gpio(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """`gpio` in its environment, with a home directory that holds the spatial extension from the package."""
    if not (GPIO / "gpio").exists():
        pytest.skip("needs .venv-gpio (make setup-gpio)")
    # Without AWS settings: with a region set, gpio would download another extension.
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        "HOME": str(tmp_path_factory.mktemp("home")),
    }
    install = "from duckdb_extensions import import_extension; import_extension('spatial')"
    subprocess.run([GPIO / "python", "-c", install], env=environment, check=True)
    return GPIO / "gpio", environment


@pytest.mark.parametrize("which", ["file", "fiji"])
def test_gpio_check_passes(which: str, gpio: tuple[Path, dict[str, str]], file: Path, fiji: Path) -> None:
    command, environment = gpio
    done = subprocess.run(
        [command, "check", "all", {"file": file, "fiji": fiji}[which]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout
    assert "29 checks passed" in done.stdout  # of the specification, the values among them
