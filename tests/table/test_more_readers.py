"""The file in the hands of programs that are heavy or bring an Arrow of their own.

Each in an environment beside this one.

What a reader cannot do is a test too: docs/schema.md's table says no more than these show.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest
from tests.table.rows import DIMENSIONS, embedding_rows, scene_columns

from clayline.outputs.embedding import EmbeddingRows
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet

ROOT = Path(__file__).parents[2]
ROWS = 2500

# Each prints one JSON object: the number of rows, one identifier and its vector's sum, and whether the geometry is one.
PROGRAMS = {
    "dask-geopandas": (
        """
import dask_geopandas
frame = dask_geopandas.read_parquet(path).compute()
row = frame[frame["uci"] == uci].iloc[0]
polygon = frame.crs.to_epsg() in (None, 4326) and row["geometry"].geom_type == "Polygon"
tell(len(frame), row["uci"], row["embeddings"], polygon)
"""
    ),
    "lonboard": (
        """
import lonboard, pyarrow.parquet as pq
table = pq.read_table(path)
shown = lonboard.viz(table)
layer = shown.layers[0]
row = table.to_pylist()[table["uci"].to_pylist().index(uci)]
tell(layer.table.num_rows, row["uci"], row["embeddings"], type(layer).__name__ == "PolygonLayer")
"""
    ),
    "polars": (
        """
import polars
frame = polars.read_parquet(path)
row = frame.filter(polars.col("uci") == uci).row(0, named=True)
tell(len(frame), row["uci"], row["embeddings"], row["geometry"][:1] == bytes([1]))
"""
    ),
    "daft": (
        """
import daft
frame = daft.read_parquet(path)
row = frame.where(daft.col("uci") == uci).to_pylist()[0]
tell(frame.count_rows(), row["uci"], row["embeddings"], row["geometry"][:1] == bytes([1]))
sys.stdout.flush()
os._exit(0)  # its threads may crash the interpreter as it ends, when all is read and told
"""
    ),
    "datafusion": (
        """
import datafusion
context = datafusion.SessionContext()
context.register_parquet("chips", path)
count = context.sql("select count(*) as n from chips").to_pylist()[0]["n"]
row = context.sql(f"select uci, embeddings, geometry from chips where uci = '{uci}'").to_pylist()[0]
tell(count, row["uci"], row["embeddings"], bytes(row["geometry"])[:1] == bytes([1]))
"""
    ),
    "sedonadb": (
        """
import sedonadb
context = sedonadb.connect()
context.read_parquet(path).to_view("chips")
count = context.sql("select count(*) as n from chips").to_arrow_table()["n"][0].as_py()
query = f"select uci, embeddings, ST_AsText(geometry) as wkt from chips where uci = '{uci}'"
found = context.sql(query).to_arrow_table()
row = found.to_pylist()[0]
tell(count, row["uci"], row["embeddings"], row["wkt"].startswith("POLYGON"))
"""
    ),
    "fastparquet": (
        """
import fastparquet
file = fastparquet.ParquetFile(path)
frame = file.to_pandas(columns=["uci", "embeddings", "geometry"])
row = frame[frame["uci"] == uci].iloc[0]
tell(len(frame), row["uci"], row["embeddings"], row["geometry"][:1] == bytes([1]))
"""
    ),
}
# One session for all that is asked, because starting one takes longer than reading.
# It prints a line a question: what is told, or why not.
SPARK = """
from pyspark.sql import SparkSession
session = (
    SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1").config("spark.sql.shuffle.partitions", "1").getOrCreate()
)
def read(path):
    frame = session.read.parquet(path)
    row = frame.where(frame["uci"] == uci).first()
    tell(frame.count(), row["uci"], row["embeddings"], bytes(row["geometry"])[:1] == bytes([1]))
portable, compact = path.split(":")
for file, setting in [(portable, "true"), (compact, "true"), (compact, "false")]:
    session.conf.set("spark.sql.parquet.enableNestedColumnVectorizedReader", setting)
    try:
        read(file)
    except Exception as error:
        print(json.dumps({"refused": str(error)}))
session.stop()
"""
TELL = """
import json, os, sys
path, uci = sys.argv[1:]
def tell(count, name, vector, geometry):
    told = {"count": int(count), "uci": name, "sum": float(sum(map(float, vector))), "length": len(vector),
        "geometry": bool(geometry)}
    print(json.dumps(told))
"""
UNREADABLE = {("fastparquet", VectorEncoding.COMPACT): "NotImplementedError: Encoding 9"}
"""BYTE_STREAM_SPLIT is number 9."""
LISTED = {
    "pyarrow, its dataset too": ("pyarrow", "dev"),
    "geopandas": ("geopandas", "dev"),
    "DuckDB with spatial": ("duckdb", "dev"),
    "LanceDB": ("lancedb", "dev"),
    "lonboard `viz`": ("lonboard", "readers"),
    "Spark 3.5": ("pyspark", "spark35"),
    "Spark 4": ("pyspark", "spark4"),
    **{
        name: (name, "readers")
        for name in ("dask-geopandas", "polars", "daft", "datafusion", "sedonadb", "fastparquet")
    },
}
"""Readers of docs/schema.md that have a version: the package, and the lock file that decides it."""


@pytest.fixture(scope="module")
def rows() -> EmbeddingRows:
    return embedding_rows(ROWS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, rows: EmbeddingRows) -> dict[VectorEncoding, Path]:
    folder = tmp_path_factory.mktemp("files")
    for encoding in VectorEncoding:
        path = folder / f"{encoding}.parquet"
        write_geoparquet(
            path, columns=scene_columns(), chunks=[rows], metadata={"clayline": "{}", "emb": "{}"}, encoding=encoding
        )
    return {encoding: folder / f"{encoding}.parquet" for encoding in VectorEncoding}


def _read(environment: str, program: str, path: Path, uci: str, home: Path) -> subprocess.CompletedProcess[str]:
    python = ROOT / f".venv-{environment}" / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no .venv-{environment}: `make setup-readers setup-spark` makes it")
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYSPARK_PYTHON": str(python),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    command = [str(python), "-c", TELL + program, str(path), uci]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300, check=False)


def _check(line: str, rows: EmbeddingRows, at: int) -> None:
    told = json.loads(line)
    assert "refused" not in told, told
    assert (told["count"], told["uci"], told["length"], told["geometry"]) == (ROWS, rows.uci[at], DIMENSIONS, True)
    assert told["sum"] == pytest.approx(float(rows.embeddings[at].astype(float).sum()), abs=1e-5)


def _java() -> str:
    """Give the major version of the Java that a child finds, or nothing."""
    if not (java := shutil.which("java")):
        return ""
    told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    return found[1] if found else ""


@pytest.mark.parametrize("encoding", VectorEncoding)
@pytest.mark.parametrize("reader", PROGRAMS)
def test_a_reader_reads_every_column(
    reader: str, encoding: VectorEncoding, files: dict[VectorEncoding, Path], rows: EmbeddingRows, tmp_path: Path
) -> None:
    at = 1234
    done = _read("readers", PROGRAMS[reader], files[encoding], rows.uci[at], tmp_path)
    if (reader, encoding) in UNREADABLE:
        assert done.returncode != 0, f"{reader} reads it now: docs/schema.md says it does not"
        assert UNREADABLE[reader, encoding] in done.stderr
        return
    assert done.returncode == 0, done.stderr[-3000:]
    _check(done.stdout.splitlines()[-1], rows, at)


@pytest.mark.skipif(_java() != "17", reason="Spark 3.5 and 4 both take a Java 17, and there is none on the PATH")
@pytest.mark.parametrize("spark", ["spark35", "spark4"])
def test_spark_reads_every_column(
    spark: str, files: dict[VectorEncoding, Path], rows: EmbeddingRows, tmp_path: Path
) -> None:
    """Spark 3.5 takes the compact file by its slower reader alone, which a setting chooses; Spark 4.3 takes both."""
    at = 1234
    both = Path(":".join(str(files[encoding]) for encoding in (VectorEncoding.PORTABLE, VectorEncoding.COMPACT)))
    done = _read(spark, SPARK, both, rows.uci[at], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    portable, compact, slower = [line for line in done.stdout.splitlines() if line.startswith("{")]
    _check(portable, rows, at)
    _check(slower, rows, at)
    if spark == "spark35":
        assert "Unsupported encoding: BYTE_STREAM_SPLIT" in json.loads(compact)["refused"], (
            "docs/schema.md says that it does not read it"
        )
    else:
        _check(compact, rows, at)


def test_the_schema_lists_the_versions_that_are_tested() -> None:
    section = (
        (ROOT / "docs" / "schema.md").read_text(encoding="utf-8").partition("\n## Readers\n")[2].partition("\n## ")[0]
    )
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    versions = {row[0]: row[1] for row in cells}
    for listed, (package, lock) in LISTED.items():
        locked = re.search(
            rf"^{package}==(\S+)", (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8"), re.MULTILINE
        )
        assert locked, package
        assert versions[listed] == locked[1], listed


@pytest.mark.parametrize("encoding", VectorEncoding)
def test_a_pyarrow_dataset_reads_both_as_one(
    files: dict[VectorEncoding, Path], rows: EmbeddingRows, encoding: VectorEncoding
) -> None:
    dataset = ds.dataset([str(files[encoding])])
    assert b"geo" in (dataset.schema.metadata or {})
    found = dataset.to_table(filter=ds.field("uci") == rows.uci[7])
    assert np.array_equal(np.array(found["embeddings"][0].as_py(), dtype=np.float32), rows.embeddings[7])
