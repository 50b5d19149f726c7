"""Clay with seeded weights by `make clay` and `make demo`, as a user does it.

A second folder, by Python, takes the first one's place.

What comes out is compared, chip by chip, with rasterio windows, pyproj and bare ONNX Runtime sessions on stem, trunk
and tail.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer
from tests.conftest import ROOT
from tests.pipeline.ground import chip_of, lattice_windows
from tests.pipeline.scenes import landsat

pytestmark = pytest.mark.pipeline
SIZE = 256
HEIGHT, WIDTH = 600, 900
WEEK = date(2020, 5, 18).isocalendar().week
SAYS = "Untrained weights: random numbers of seed"


@dataclass(frozen=True, kw_only=True)
class Told:
    """One call of the command line."""

    model: Path
    manifest: dict[str, Any]
    printed: str
    files: dict[str, Path]

    @property
    def entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = self.manifest["entries"][0]
        return entry

    @property
    def table(self) -> pa.Table:
        return pq.read_table(self.files["parquet"])

    def read(self, kind: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.files[kind].read_bytes())
        return content


def run(*command: str, progress: bool = False, **environment: str) -> str:
    """Run a command in the repository as a user does; gives what it printed, on a terminal with its ``progress``."""
    around = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"}
    }
    error = subprocess.STDOUT if progress else subprocess.PIPE
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=around | environment,
        stdout=subprocess.PIPE,
        stderr=error,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def by_make(scene: Path, models: Path, out: Path) -> tuple[Path, str]:
    """Export and embed with the README's two commands; give the folder and what was printed."""
    # What they set up is there, this runs in it: it is not to be made again under the other tests where a lock file is
    # newer.
    make = ("make", "--old-file=.venv/.ready")
    said = run(*make, "clay", "SIZE=tiny", "SENSOR=landsat-c2l1", "BANDS=red,green,blue", "LOSS=1", f"MODELS={models}")
    model = Path(said.splitlines()[-1])
    return model, run(*make, "demo", f"MODEL={model}", f"SCENE={scene}", f"OUT={out}", progress=True)


def by_python(scene: Path, models: Path, out: Path) -> tuple[Path, str]:
    """Do the same without a loss, with another seed, by the modules themselves."""
    path = os.pathsep.join(str(ROOT / part) for part in ("model", "layers/clayline", "cli", "local"))
    command = (
        "clay",
        "export",
        "--size",
        "tiny",
        "--seed",
        "1",
        "--sensor",
        "landsat-c2l1",
        "--bands",
        "red,green,blue",
    )
    model = Path(run(sys.executable, "-m", *command, "--out", str(models), PYTHONPATH=path).splitlines()[-1])
    embed = ("clayline_cli.program", "embed", str(scene), "--model", str(model), "--out", str(out))
    return model, run(sys.executable, "-m", *embed, progress=True, PYTHONPATH=path)


@pytest.fixture(scope="module")
def scene(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the bundled scene in which some chips are whole, some partly and some wholly without data."""
    folder = tmp_path_factory.mktemp("scene")
    for key, body in landsat(sample, row=0, col=1100, height=HEIGHT, width=WIDTH).items():
        (folder / Path(key).name).write_bytes(body)
    return folder / "item.json"


@pytest.fixture(scope="module")
def told(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """Export two folders, seeds 0 with a loss and 1 without, and embed the scene with one after the other into one
    folder.
    """
    models, out = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("out")
    found = []
    for way in (by_make, by_python):
        model, printed = way(scene, models, out)
        lines = [line.split() for line in printed.splitlines() if line.startswith("  ")]
        kinds = ("parquet", "metadata", "item", "receipt", "picture")
        files = {words[0]: Path(words[1]) for words in lines if words[0] in kinds}
        assert files.keys() == set(kinds), printed
        found.append(
            Told(model=model, manifest=json.loads((model / "manifest.json").read_bytes()), printed=printed, files=files)
        )
    return found


@pytest.fixture(params=[0, 1], ids=["with-loss", "without"])
def embedded(request: pytest.FixtureRequest, told: list[Told]) -> Told:
    found: Told = told[request.param]
    return found


def windows(scene: Path, bands: list[str]) -> Iterator[tuple[int, NDArray[np.uint16], list[float]]]:
    """Give index, pixels [C, 256, 256] and place of each window, by rasterio and pyproj alone."""
    stacks = []
    for band in bands:
        with rasterio.open(scene.parent / {"red": "B4.tif", "green": "B3.tif", "blue": "B2.tif"}[band]) as dataset:
            stacks.append(dataset.read(1))
            transform, crs, places = dataset.transform, dataset.crs, lattice_windows(dataset, SIZE)
    pixels = np.stack(stacks)
    pixels = np.where((pixels != 0).all(axis=0), pixels, 0)
    to_lonlat = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    for index, (row, col) in enumerate(places):
        lon, lat = np.radians(to_lonlat.transform(*(transform @ (col + SIZE / 2, row + SIZE / 2))))
        yield (
            index,
            chip_of(pixels, (row, col), SIZE),
            [math.sin(lon), math.cos(lon), math.sin(lat), math.cos(lat)],
        )


def compute(
    model: Path, entry: dict[str, Any], pixels: NDArray[np.uint16], place: list[float]
) -> dict[str, NDArray[Any]]:
    """Stem, trunk and tail of one chip in bare sessions, each fed what it names.

    The Item knows the day alone, so noon.
    """
    angles = (WEEK * 2 * math.pi / 52, math.pi)
    time = [f(angle) for angle in angles for f in (math.sin, math.cos)]
    known: dict[str, NDArray[Any]] = {
        "pixels": pixels[None],
        "time": np.array([time], np.float32),
        "latlon": np.array([place], np.float32),
    }
    for role in ("graph", "trunk", "tail"):
        if name := entry.get(role):
            session = onnxruntime.InferenceSession(model / name)
            outputs = session.run(None, {one.name: known[one.name] for one in session.get_inputs()})
            known |= dict(zip((one.name for one in session.get_outputs()), outputs, strict=True))
    return known


def test_vectors_and_losses_are_those_of_bare_sessions_for_every_chip(embedded: Told, scene: Path) -> None:
    entry = embedded.entry
    rows = {row["index"]: row for row in embedded.table.to_pylist()}
    outcomes = {chip["index"]: chip for chip in embedded.read("receipt")["chips"]}
    seen = 0
    for index, pixels, place in windows(scene, entry["bands"]):
        if not pixels.any():
            assert outcomes[index]["reason"] == "nodata"
            continue
        known = compute(embedded.model, entry, pixels, place)
        np.testing.assert_allclose(rows[index]["embeddings"], known["embeddings"][0], rtol=0, atol=1e-5)
        assert (rows[index]["loss"], rows[index]["loss_metric"]) == (
            (pytest.approx(float(known["loss"][0]), abs=1e-5), "masked-l1-m0.75-k1-s0")
            if "tail" in entry
            else (None, None)
        )
        assert outcomes[index]["state"] == "written"
        seen += 1
    assert (seen, len(outcomes)) == (len(rows), 15)
    assert 4 < seen < 15  # whole, partial and empty chips, all three


def test_the_folders_are_called_untrained(told: list[Told]) -> None:
    assert [one.model.name for one in told] == ["untrained-tiny-loss-v1.5", "untrained-t1-v1.5"]


def test_everything_says_that_the_weights_are_random(embedded: Told) -> None:
    lines = embedded.printed.splitlines()
    assert any(SAYS in line for line in lines[:2])
    assert SAYS in lines[-1]
    assert f"model {embedded.entry['token']}, UNTRAINED" in embedded.printed
    with Image.open(embedded.files["picture"]) as picture:
        assert "UNTRAINED" in str(picture.info["Title"])
    model = json.loads((pq.read_metadata(embedded.files["parquet"]).metadata or {})[b"clayline"])["model"]
    assert model == embedded.read("metadata")["clayline"]["model"]
    assert (model["untrained"], model["checkpoint"]) == (True, embedded.manifest["checkpoint"])
    assert (model["producer"], model["wavelengths"]) == (
        embedded.manifest["producer"],
        {"red": 0.65, "green": 0.56, "blue": 0.48},
    )
    assert model["normalisation"]["red"] == [10678.0, 6025.0]
    assert embedded.read("receipt")["untrained"] is True
    properties = embedded.read("item")["properties"]
    assert SAYS in properties["description"]
    assert properties["emb:runtime_parameters"]["untrained"] is True
    logs = (embedded.files["parquet"].parents[2] / "logs").glob("*/endpoint.log")  # a folder for each call
    lines = [line for log in logs for line in log.read_text().splitlines()]
    log = [json.loads(line) for line in lines if line.startswith("{")]  # ONNX Runtime's own warnings go there as well
    assert any("untrained" in line["message"] and line.get("folder") == embedded.model.name for line in log)


def test_a_batch_is_small_enough_to_show_progress(embedded: Told) -> None:
    assert "4 of 4 batches embedded" in embedded.printed  # fifteen chips of 256 px, four at a time at most


def test_a_folder_in_anothers_place_changes_everything_that_names_the_model(told: list[Told]) -> None:
    first, second = told
    assert first.entry["token"] != second.entry["token"]
    assert first.read("receipt")["run"] != second.read("receipt")["run"]
    for one in told:
        assert one.files["parquet"].parts[-3] == one.entry["token"]
        assert one.read("metadata")["clayline"]["model"]["digest"] == one.entry["digest"]
    query = """
        SELECT source_model, count(*), count(DISTINCT split_part(uci, '_', 4)), min(split_part(uci, '_', 4)),
        bool_and(loss IS NULL),
               list(regexp_extract(uci, '^(.*)_[^_]*$', 1) ORDER BY uci)
        FROM read_parquet($files) GROUP BY source_model ORDER BY source_model"""
    rows = duckdb.execute(query, {"files": [str(one.files["parquet"]) for one in told]}).fetchall()
    assert [(row[0], row[2:5]) for row in rows] == [
        (token, (1, token, no_loss))
        for token, no_loss in sorted([(first.entry["token"], False), (second.entry["token"], True)])
    ]
    assert rows[0][1] == rows[1][1] == len(first.table)
    assert rows[0][5] == rows[1][5]
    vectors = [np.array(one.table["embeddings"].to_pylist()) for one in told]
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1
