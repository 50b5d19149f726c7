"""fp16 holds what raw digital numbers do to it, or is refused; and the report says how far fp16 and int8 are from float32."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from clay.__main__ import main
from clay.entry import Request
from clay.export import export
from clay.folder import metrics_bytes
from clay.mask import Mask
from clay.sensor import find_sensor, known_sensors
from clay.trial import Trial
from clay.weights import Source, seeded_source
from clayline.errors import ModelError
from clayline.manifest import Manifest, ModelEntry, read_manifest

CHIP = 64
UINT16 = [name for name, sensor in known_sensors().items() if sensor.dtype == "uint16"]
UP, DOWN = "encoder.transformer.layers.1.1.net.1.weight", "encoder.transformer.layers.1.1.net.3.bias"


def read(folder: Path) -> Manifest:
    return read_manifest((folder / "manifest.json").read_bytes(), source=str(folder))


def embeddings(folder: Path, entry: ModelEntry, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Of each chip by itself. The stem is onnx's own evaluator's: ONNX Runtime on a CPU would quietly do float16 in float32."""
    stem = ReferenceEvaluator(str(folder / entry.graph))
    trunk = onnxruntime.InferenceSession(str(folder / str(entry.trunk)))
    rows = []
    for chip in pixels:
        feed = {"pixels": chip[np.newaxis], "time": np.full((1, 4), 0.5, np.float32), "latlon": np.full((1, 4), -0.5, np.float32)}
        (tokens,) = list(stem.run(["tokens"], feed))
        rows.append(trunk.run(["embeddings"], {"tokens": tokens})[0][0])
    return np.array(rows, np.float64)


def cosines(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: NDArray[np.float64] = (one * other).sum(axis=1) / lengths
    return found


def tried(source: Source, out: Path, *requests: Request, precision: str = "fp16") -> tuple[Path, dict[str, Any], list[str]]:
    """Export with a trial; give the folder, its report and the lines of progress."""
    lines: list[str] = []
    folder = export(source, requests, out, precision=precision, name="t", trial=Trial.of(requests, None, lines.append)).folder
    return folder, json.loads((folder / "metrics.json").read_text()), lines


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All sensors of 16 bits, by precision."""
    out, source = tmp_path_factory.mktemp("precisions"), seeded_source("tiny", 0, loss=False)
    requests = [Request(sensor=find_sensor(name), chip_size=CHIP) for name in UINT16]
    return {precision: export(source, requests, out, precision=precision).folder for precision in ("fp32", "fp16")}


@pytest.mark.parametrize("sensor", UINT16)
def test_fp16_holds_the_largest_digital_numbers(sensor: str, folders: dict[str, Path]) -> None:
    wide, narrow = ({entry.sensor: entry for entry in read(folder).entries}[sensor] for folder in folders.values())
    shape = (len(wide.bands), CHIP, CHIP)
    noise = np.random.default_rng(5).integers(0, 65536, shape)
    stripes = np.where(np.arange(CHIP) % 2, 65535, 0)
    pixels = np.stack([np.full(shape, 65535), np.zeros(shape, np.int64), noise, np.broadcast_to(stripes, shape)]).astype(np.uint16)
    expected, found = embeddings(folders["fp32"], wide, pixels), embeddings(folders["fp16"], narrow, pixels)
    assert np.isfinite(found).all()
    assert cosines(found, expected).min() >= 0.9999
    assert not np.array_equal(found, expected), "both trunks are float32: nothing was compared"


def test_fp16_stems_meet_digital_numbers_in_float32(folders: dict[str, Path]) -> None:
    stems = sorted(folders["fp16"].glob("*-c64.onnx"))
    assert len(stems) == len(UINT16)
    for file in stems:
        graph = onnx.load(file).graph
        types = {each.name: each.data_type for each in graph.initializer}
        makers = {output: node for node in graph.node for output in node.output}
        product = makers["patches.product"]
        assert product.op_type == "MatMul"
        assert types[product.input[1]] == onnx.TensorProto.FLOAT
        first = makers[product.input[0]]
        assert first.op_type == "Cast"
        assert onnx.helper.get_node_attr_value(first, "to") == onnx.TensorProto.FLOAT
        before = first.input[0]
        while before != "pixels":  # digital numbers are moved before that, nothing is computed with them
            assert makers[before].op_type in {"Reshape", "Transpose"}
            before = makers[before].input[0]
        narrowed = [node for node in graph.node if node.op_type == "Cast" and node is not first]
        assert [list(node.output) for node in narrowed] == [["tokens"]], "float16 begins with the trunk's input"


def test_fp16_halves_the_trunk(folders: dict[str, Path]) -> None:
    sizes = {precision: (folder / "trunk.weights").stat().st_size for precision, folder in folders.items()}
    assert sizes["fp16"] < 0.51 * sizes["fp32"]


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
    assert all(found[kind]["cosine_min"] < found[kind]["cosine_mean"] < 1 for kind in found), "each chip is another"
    # The same scene's middle, cut here; time and place differ, so the numbers do a little.
    layers = []
    for name in ("B4", "B3", "B2"):
        with rasterio.open(sample / f"{name}.tif") as band:
            layers.append(band.read(1)[band.height // 2 :, band.width // 2 :][:CHIP, :CHIP])
    pixels = np.stack(layers)[np.newaxis]
    mine = 1 - cosines(embeddings_with_loss(folder, pixels), embeddings_with_loss(wide, pixels))[0]
    assert mine / 10 < 1 - found["real"]["cosine_min"] < mine * 10
    assert f"| `{folder.name}-ls-c2l1-c64-rgb` | real | 2 | {found['real']['cosine_min']:.8f} |" in (folder / "card.md").read_text()
    assert any("chip 2 of 2" in line for line in lines)
    assert not (folder / "float32").exists()


def embeddings_with_loss(folder: Path, pixels: NDArray[Any]) -> NDArray[np.float64]:
    entry = read(folder).entries[0]
    stem, trunk = (onnxruntime.InferenceSession(str(folder / str(file))) for file in (entry.graph, entry.trunk))
    feed = {"pixels": pixels, "time": np.full((1, 4), 0.5, np.float32), "latlon": np.full((1, 4), -0.5, np.float32)}
    tokens = dict(zip([node.name for node in stem.get_outputs()], stem.run(None, feed), strict=True))
    return np.asarray(trunk.run(["embeddings"], tokens)[0], np.float64)


def test_a_residual_that_grows_stays_in_float32(tmp_path: Path) -> None:
    request = Request(sensor=find_sensor("naip"), chip_size=CHIP)
    source = seeded_source("tiny", 0, loss=False)
    _, report, _ = tried(source, tmp_path / "before", request)
    assert report["range"]["residual"] == "float16"
    assert report["range"]["largest_in_residual"] < 100
    weights = dict(source.weights)
    weights[DOWN] = weights[DOWN].copy()
    weights[DOWN][7] += 30000
    grown = Source(architecture=source.architecture, weights=weights, checkpoint=source.checkpoint, packages=())
    folder, report, lines = tried(grown, tmp_path / "after", request)
    assert report["range"]["residual"] == "float32"
    assert report["range"]["largest_in_residual"] == pytest.approx(30000, rel=0.01)
    assert report["range"]["largest_elsewhere"] < 100
    assert any("'residual': 'float32'" in line for line in lines)
    assert "That sum is kept as float32." in (folder / "card.md").read_text()
    graph = onnx.load(folder / "trunk.onnx", load_external_data=False).graph
    types = {each.name: each.data_type for each in graph.initializer}
    assert types[DOWN] == onnx.TensorProto.FLOAT
    assert types[UP] == onnx.TensorProto.FLOAT16
    assert next(iter(report["accuracy"].values()))["synthetic"]["cosine_min"] >= 0.9999


@pytest.mark.parametrize(("factor", "message"), [(1e5, "fp16 is safe up to 1.638e\\+04"), (1e7, f"cannot hold the weights {UP}")])
def test_what_overflows_in_fp16_is_refused(factor: float, message: str, tmp_path: Path) -> None:
    source = seeded_source("tiny", 0, loss=False)
    weights = {**source.weights, UP: source.weights[UP] * np.float32(factor)}
    large = Source(architecture=source.architecture, weights=weights, checkpoint=source.checkpoint, packages=())
    with pytest.raises(ModelError, match=message):
        tried(large, tmp_path, Request(sensor=find_sensor("naip"), chip_size=CHIP))
    assert list(tmp_path.iterdir()) == []


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
    arguments = ["export", "--size", "tiny", "--sensor", "naip", "--chip", "64", "--precision", "int8", "--probe", str(probe)]
    assert main([*arguments, "--out", str(out)]) == status
    said = capsys.readouterr()
    if status:
        assert f"has {bands} bands of {dtype}, none of the entries does: naip takes 4 of uint8" in said.err
        assert not out.exists()
    else:
        (found,) = json.loads((out / "untrained-tiny-int8-v1.5" / "metrics.json").read_text())["accuracy"].values()
        assert found["real"]["chips"] == 2
