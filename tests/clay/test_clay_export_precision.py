"""The report says how far fp16 and int8 are from float32; numbers that are not finite are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import rasterio
from numpy.typing import NDArray
from tests.clay.trials import cosines, read, tried

from clay.__main__ import main
from clay.entry import Request
from clay.export import export
from clay.folder import metrics_bytes
from clay.mask import Mask
from clay.sensor import find_sensor
from clay.weights import Source, seeded_source
from clayline.errors import ModelError

CHIP = 64
UP = "encoder.transformer.layers.1.1.net.1.weight"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_report_is_what_the_graphs_give_on_real_pixels(precision: str, sample: Path, tmp_path: Path) -> None:
    request = Request(sensor=find_sensor("landsat-c2l1"), bands=("red", "green", "blue"), chip_size=CHIP, mask=Mask())
    other = Request(sensor=find_sensor("naip"), chip_size=CHIP, mask=Mask())
    source = seeded_source("tiny", 0, loss=True)
    folder, report, lines = tried(source, tmp_path, request, other, precision=precision)
    wide = export(source, [request, other], tmp_path).folder
    assert {token: list(found) for token, found in report["accuracy"].items()} == {
        f"{folder.name}-ls-c2l1-c64-rgb": ["real", "synthetic"],
        f"{folder.name}-naip-c64": ["synthetic"],
    }
    found = report["accuracy"][f"{folder.name}-ls-c2l1-c64-rgb"]
    assert [found[kind]["chips"] for kind in ("synthetic", "real")] == [4, 2]
    assert found["real"]["loss_max_abs"] < 0.01
    assert all(found[kind]["cosine_min"] <= found[kind]["cosine_mean"] < 1 for kind in found)
    # The same scene's middle, cut here; time and place differ, so the numbers do a little.
    layers = []
    for name in ("B4", "B3", "B2"):
        with rasterio.open(sample / f"{name}.tif") as band:
            layers.append(band.read(1)[band.height // 2 :, band.width // 2 :][:CHIP, :CHIP])
    pixels = np.stack(layers)[np.newaxis]
    mine = 1 - cosines(embeddings_with_loss(folder, pixels), embeddings_with_loss(wide, pixels))[0]
    assert mine / 10 < 1 - found["real"]["cosine_min"] < mine * 10
    assert (
        f"| `{folder.name}-ls-c2l1-c64-rgb` | real | 2 | {found['real']['cosine_min']:.8f} |"
        in (folder / "card.md").read_text()
    )
    assert any("chip 2 of 2" in line for line in lines)
    assert not (folder / "float32").exists()


def embeddings_with_loss(folder: Path, pixels: NDArray[Any]) -> NDArray[np.float64]:
    entry = read(folder).entries[0]
    stem, trunk = (onnxruntime.InferenceSession(str(folder / str(file))) for file in (entry.graph, entry.trunk))
    feed = {"pixels": pixels, "time": np.full((1, 4), 0.5, np.float32), "latlon": np.full((1, 4), -0.5, np.float32)}
    tokens = dict(zip([node.name for node in stem.get_outputs()], stem.run(None, feed), strict=True))
    return np.asarray(trunk.run(["embeddings"], tokens)[0], np.float64)


def test_numbers_that_are_not_finite_are_no_export(tmp_path: Path) -> None:
    source = seeded_source("tiny", 0, loss=False)
    weights = {**source.weights, UP: source.weights[UP] * np.float32(1e38)}
    huge = Source(architecture=source.architecture, weights=weights, checkpoint=source.checkpoint, packages=())
    with pytest.raises(ModelError, match="not finite; nothing was written"):
        tried(huge, tmp_path, Request(sensor=find_sensor("naip"), chip_size=CHIP), precision="fp32")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="not JSON compliant"):
        metrics_bytes({"cosine": float("nan")})


@pytest.mark.parametrize(("bands", "dtype", "status"), [(4, "uint8", 0), (3, "uint8", 1), (4, "uint16", 1)])
def test_a_probe_is_a_geotiff_of_the_entrys_bands(
    bands: int, dtype: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = tmp_path / "probe.tif"
    pixels = np.random.default_rng(2).integers(0, 255, (bands, 200, 150)).astype(dtype)
    profile = {"driver": "GTiff", "width": 150, "height": 200, "count": bands, "dtype": dtype, "crs": "EPSG:32632"}
    with rasterio.open(probe, "w", **profile, transform=rasterio.transform.from_origin(5e5, 5e6, 1, 1)) as file:
        file.write(pixels)
    out = tmp_path / "out"
    arguments = [
        "export",
        "--size",
        "tiny",
        "--sensor",
        "naip",
        "--chip",
        "64",
        "--precision",
        "int8",
        "--probe",
        str(probe),
    ]
    assert main([*arguments, "--out", str(out)]) == status
    said = capsys.readouterr()
    if status:
        assert f"has {bands} bands of {dtype}, none of the entries does: naip takes 4 of uint8" in said.err
        assert not out.exists()
    else:
        (found,) = json.loads((out / "untrained-tiny-int8-v1.5" / "metrics.json").read_text())["accuracy"].values()
        assert found["real"]["chips"] == 2
