"""docs/how-to/keep-a-dataset.md, run as it stands there: each command, over the bundled scene and its stand-in."""

import copy
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import geopandas
import matplotlib.pyplot as plt
import nbclient
import nbformat
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from moto import mock_aws
from moto.server import ThreadedMotoServer
from rasterio import warp
from tests.conftest import ROOT, SAMPLE

from clayline import open_dataset
from clayline.dataset.folder import FolderRoot
from clayline.table.lone_files import rows_of_files
from clayline_cli.program import main

PAGE = ROOT / "docs" / "how-to" / "keep-a-dataset.md"
NOTEBOOK = ROOT / "docs" / "notebooks" / "similarity-and-change.ipynb"
STAND_IN = ROOT / "samples" / "stand_in.py"
BLOCK = re.compile(r"^```(python)?\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
CLAYLINE, PYTHON = ".venv/bin/clayline ", ".venv/bin/python "
SHELL = ("printf ", "cp ")
BUCKET = "my-embeddings"


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks(part: str) -> list[Block]:
    return [Block(language, text) for language, text in BLOCK.findall(part)]


HERE, THERE = PAGE.read_text(encoding="utf-8").split("## On AWS")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout as far as the page uses it, in which all of its local commands were run."""
    home = tmp_path_factory.mktemp("keeping")
    shutil.copytree(SAMPLE, home / "samples" / SAMPLE.name)
    shutil.copy(STAND_IN, home / "samples")
    before = Path.cwd()
    os.chdir(home)
    try:
        for block in blocks(HERE):
            if not block.language and (CLAYLINE in block.text or block.text.startswith(SHELL)):
                run(block.text)
        yield home
    finally:
        os.chdir(before)


def run(commands: str) -> None:
    """Run a block, line by line: what is Clayline's in this process, the rest in a shell."""
    for line in commands.splitlines():
        if line.startswith(CLAYLINE):
            assert main(shlex.split(line.removeprefix(CLAYLINE))) == 0, line
        elif line.startswith(PYTHON):
            subprocess.run([sys.executable, *shlex.split(line.removeprefix(PYTHON))], check=True)
        else:
            assert line.startswith(SHELL), f"{line}: a kind of command that this test does not know"
            subprocess.run(line, shell=True, check=True)  # noqa: S602 - the page's own line


def test_the_page_leaves_what_it_says(home: Path) -> None:
    window, june = pq.read_table(home / "window.parquet"), pq.read_table(home / "june.parquet")
    assert len({moment.date() for moment in window["datetime"].to_pylist() if moment}) == 2
    assert window.num_rows == 2 * june.num_rows > 0
    assert pq.read_table(home / "every-date.parquet").num_rows == 4
    nearest = pq.read_table(home / "nearest-date.parquet")
    assert sorted(map(str, nearest["point"].to_pylist())) == ["forest", "lake"]
    assert {(home / name).is_file() for name in ("window.npy", "window.json")} == {True}
    assert (home / "embeddings" / "dataset" / "manifest.json").is_file()


def test_a_scene_has_one_name_whether_there_is_an_index_or_not(home: Path) -> None:
    """The Item's that was written beside it."""
    root = FolderRoot(home / "embeddings")
    indexed = {row.href: row.item_id for row in open_dataset(str(home / "embeddings")).scenes()}
    alone = {row.href: row.item_id for row in rows_of_files(root, sorted(indexed))}
    assert alone == indexed
    assert len(set(indexed.values())) == len(indexed) > 1


def painted(home: Path) -> shapely.Polygon:
    """Give the block that the stand-in paints, less half a pixel on each side; longitude and latitude."""
    block = runpy.run_path(str(STAND_IN))
    rows, cols = block["ROWS"], block["COLS"]
    with rasterio.open(home / "june" / "B4.tif") as band:
        ends = [(col, row) for col, row in ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))]
        corners = [
            band.transform @ ((cols.start if x > 0 else cols.stop) + x, (rows.start if y > 0 else rows.stop) + y)
            for x, y in ends
        ]
        return shapely.Polygon(zip(*warp.transform(band.crs, "OGC:CRS84", *zip(*corners, strict=True)), strict=True))


def test_the_painted_ground_is_what_changed_and_the_same_pixels_are_no_change(home: Path) -> None:
    change = geopandas.read_parquet(home / "change.parquet")
    assert set(change["reason"].dropna()) == {"mostly-outside"}
    compared = change[change["compared"]]
    assert (len(compared), len(change)) == (727, 841)
    assert set(compared["calibrated"]) == {"square"}
    is_painted = compared.intersects(painted(home))
    assert 25 <= is_painted.sum() <= 49
    assert set(compared[~is_painted]["distance"]) == set(compared[~is_painted]["percentile"]) == {0.0}
    assert compared[is_painted]["distance"].min() > 0
    assert compared[is_painted]["percentile"].min() > 80
    assert (home / "change.png").read_bytes().startswith(b"\x89PNG")


def test_a_chip_of_imagery_gets_the_vector_that_the_pipeline_gave_it(home: Path) -> None:
    """It is all alike to that of its own chip in the dataset. The sheet is a picture of chips that were read back."""
    found = pq.read_table(home / "alike.parquet")
    scores: Any = found["score"].to_pylist()
    assert scores[0] == pytest.approx(1, abs=1e-6)
    assert scores[2] < 0.9
    alike = [
        str(moment)[:10] for moment, score in zip(found["datetime"].to_pylist(), scores, strict=True) if score > 0.99
    ]
    assert "2020-06-03" in alike
    picture = plt.imread(home / "alike.png")
    assert picture.shape[1] > 6 * 128
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 1000, "no chip was read back"


@pytest.fixture
def prefix(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same dataset under a bucket's prefix, in an S3 that other processes reach."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for path in sorted((home / "embeddings").rglob("*")):
        key = path.relative_to(home / "embeddings").as_posix()
        if path.is_file() and not key.startswith((".", "dataset/")):
            client.upload_file(str(path), BUCKET, f"every/{key}")
    for command in ("index", "compact"):
        assert main([command, f"s3://{BUCKET}/every"]) == 0
    yield f"s3://{BUCKET}/every"
    server.stop()


@pytest.mark.parametrize("where", ["folder", "prefix"])
def test_the_notebook_runs_and_prints_what_it_says(
    home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, where: str
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(home / "ipython"))
    monkeypatch.delenv("CLAYLINE_ROOT", raising=False)
    if where == "prefix":
        monkeypatch.setenv("CLAYLINE_ROOT", request.getfixturevalue("prefix"))
    read: Any = nbformat.read
    book = read(NOTEBOOK, as_version=4)
    there = copy.deepcopy(book.cells)
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": home}}).execute()
    for before, after in zip(there, book.cells, strict=True):
        assert printed(after) == printed(before), after.source
        assert pictures(after) == pictures(before)
    assert sum(map(pictures, book.cells)) == 2


def printed(cell: Any) -> str:
    found = [each for each in cell.get("outputs", []) if each.output_type == "stream" and each.name == "stdout"]
    return "".join(each.text for each in found)


def pictures(cell: Any) -> int:
    return sum("image/png" in each.get("data", {}) for each in cell.get("outputs", []))


def test_the_program_prints_what_the_page_says(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = blocks(HERE)
    [at] = [number for number, block in enumerate(found) if block.language == "python"]
    program = home / "program.py"
    program.write_text(found[at].text, encoding="utf-8")
    capsys.readouterr()
    runpy.run_path(str(program))
    assert capsys.readouterr().out == found[at + 1].text


def test_the_commands_for_aws_do_the_same_in_a_bucket(home: Path) -> None:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for path in sorted((home / "embeddings").rglob("*")):
            key = path.relative_to(home / "embeddings").as_posix()
            if path.is_file() and not key.startswith((".", "dataset/")):
                client.upload_file(str(path), BUCKET, key)
        for block in blocks(THERE):
            run(block.text)
    window, points = pq.read_table(home / "from-s3.parquet"), pq.read_table(home / "points-from-s3.parquet")
    assert window.sort_by("uci").equals(pq.read_table(home / "window.parquet").sort_by("uci"))
    assert points.num_rows == 4
