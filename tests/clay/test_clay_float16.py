"""What of a trunk is float16 can hold what raw digital numbers do to it, or the export is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from tests.clay.trials import cosines, read, tried

from clay.entry import Request
from clay.export import export
from clay.mask import Mask
from clay.sensor import find_sensor, known_sensors
from clay.weights import Source, seeded_source
from clayline.errors import ModelError
from clayline.model.manifest import ModelEntry

CHIP = 64
LARGEST = 65504.0  # of float16
UINT16 = [name for name, sensor in known_sensors().items() if sensor.dtype == "uint16"]
UP, DOWN = "encoder.transformer.layers.1.1.net.1.weight", "encoder.transformer.layers.{}.1.net.3.bias"


def embeddings(folder: Path, entry: ModelEntry, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Embed each chip by itself.

    The stem is onnx's own evaluator's: ONNX Runtime on a CPU would quietly do float16 in float32.
    """
    stem = ReferenceEvaluator(str(folder / entry.graph))
    trunk = onnxruntime.InferenceSession(str(folder / str(entry.trunk)))
    rows = []
    for chip in pixels:
        feed = {
            "pixels": chip[np.newaxis],
            "time": np.full((1, 4), 0.5, np.float32),
            "latlon": np.full((1, 4), -0.5, np.float32),
        }
        (tokens,) = list(stem.run(["tokens"], feed))
        rows.append(trunk.run(["embeddings"], {"tokens": tokens})[0][0])
    return np.array(rows, np.float64)


def harsh_pixels(bands: int) -> NDArray[np.uint16]:
    """Give chips at the upper end, at the lower, of noise over all of it, and of columns at one end and the other."""
    shape = (bands, CHIP, CHIP)
    noise = np.random.default_rng(5).integers(0, 65536, shape)
    stripes = np.where(np.arange(CHIP) % 2, 65535, 0)
    return np.stack([np.full(shape, 65535), np.zeros(shape, np.int64), noise, np.broadcast_to(stripes, shape)]).astype(
        np.uint16
    )


def opened(file: Path) -> onnxruntime.InferenceSession:
    """Load a graph so that it gives every value within it, under the name that it has there."""
    model = onnx.load(file)  # with the weights that lie beside it
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name)
        for node in model.graph.node
        for name in node.output
        if name not in {"", "embeddings", "decoded"}
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )  # as written, nothing fused or cast elsewhere
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def magnitudes(narrow: Path, wide: Path) -> dict[str, float]:
    """Largest magnitudes of what is float16 in the first folder's trunk, for harsh chips of every entry, by the
    second's in float32.

    Scores within attentions included. ONNX Runtime on a CPU computes float16 in float32, so a run there would overflow
    nowhere.
    """
    halves = {node.name for node in opened(narrow / "trunk.onnx").get_outputs() if node.type == "tensor(float16)"}
    trunk = opened(wide / "trunk.onnx")
    attentions = [
        (node.output[0], node.input[:2], onnx.helper.get_node_attr_value(node, "num_heads"))
        for node in onnx.load(wide / "trunk.onnx", load_external_data=False).graph.node
        if node.op_type == "MultiHeadAttention" and node.output[0] in halves
    ]
    names = sorted(
        halves & {node.name for node in trunk.get_outputs()}
    )  # less the casts, which the float32 trunk has not
    found: dict[str, float] = {}
    for entry in read(wide).entries:
        pixels = harsh_pixels(len(entry.bands))
        feed = {
            "pixels": pixels,
            "time": np.full((len(pixels), 4), 0.5, np.float32),
            "latlon": np.full((len(pixels), 4), -0.5, np.float32),
        }
        stem = onnxruntime.InferenceSession(str(wide / entry.graph))
        values = dict(zip([node.name for node in stem.get_outputs()], stem.run(None, feed), strict=True))
        values |= dict(zip(names, trunk.run(names, values), strict=True))
        for name, inputs, heads in attentions:
            query, key = (
                values[each].reshape(*values[each].shape[:2], heads, -1).transpose(0, 2, 1, 3) for each in inputs
            )
            values[f"{name}.scores"] = query @ key.swapaxes(2, 3)
        found = {name: max(found.get(name, 0.0), float(np.abs(value).max())) for name, value in values.items()}
    return found


def with_bias(source: Source, bias: float, *layers: int) -> Source:
    """Let the residual grow: one channel, by the biases of some blocks."""
    changed = {name: source.weights[name].copy() for name in map(DOWN.format, layers)}
    for value in changed.values():
        value[7] += bias
    return replace(source, weights={**source.weights, **changed})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All sensors of 16 bits, by precision."""
    out, source = tmp_path_factory.mktemp("precisions"), seeded_source("tiny", 0, loss=False)
    requests = [Request(sensor=find_sensor(name), chip_size=CHIP) for name in UINT16]
    return {"fp32": export(source, requests, out).folder, "fp16": tried(source, out, *requests)[0]}


@pytest.mark.parametrize("sensor", UINT16)
def test_fp16_holds_the_largest_digital_numbers(sensor: str, folders: dict[str, Path]) -> None:
    wide, narrow = ({entry.sensor: entry for entry in read(folder).entries}[sensor] for folder in folders.values())
    pixels = harsh_pixels(len(wide.bands))
    expected, found = embeddings(folders["fp32"], wide, pixels), embeddings(folders["fp16"], narrow, pixels)
    assert np.isfinite(found).all()
    assert cosines(found, expected).min() >= 0.9999
    assert not np.array_equal(found, expected), "both trunks are float32: nothing was compared"


def test_with_a_loss_no_float16_overflows_either(tmp_path: Path) -> None:
    request, source = (
        Request(sensor=find_sensor(UINT16[0]), chip_size=CHIP, mask=Mask()),
        seeded_source("tiny", 0, loss=True),
    )
    found = magnitudes(tried(source, tmp_path, request)[0], export(source, [request], tmp_path).folder)
    assert {name.partition(".")[0] for name in found} >= {
        "tokens",
        "visible",
        "visible_encoding",
        "masked_queries",
        "masked",
        "decoder",
    }
    assert max(found.values()) < LARGEST, found


def test_no_float16_overflows_on_the_largest_digital_numbers(folders: dict[str, Path]) -> None:
    found = magnitudes(folders["fp16"], folders["fp32"])
    assert {name.rpartition(".")[2] for name in found} >= {
        "tokens",
        "norm",
        "query",
        "attention",
        "scores",
        "normal",
        "sum",
        "up",
        "gelu",
    }
    assert max(found.values()) < LARGEST, found
    # The exporter measured it as well, on other chips, to which it leaves a margin of 4: these ones stay within.
    measured = json.loads((folders["fp16"] / "metrics.json").read_text())["range"]
    residual = max(value for name, value in found.items() if name.endswith(".sum"))
    assert measured["residual"] == "float16"
    assert 0.25 * residual < measured["largest_in_residual"] < 4 * residual


def test_where_the_residual_would_overflow_the_trial_keeps_it_from_float16(tmp_path: Path) -> None:
    request = Request(sensor=find_sensor(UINT16[0]), chip_size=CHIP)
    source = with_bias(seeded_source("tiny", 0, loss=False), 40000, 1, 3)  # each fits, their sum does not
    wide = export(source, [request], tmp_path).folder
    untried = magnitudes(export(source, [request], tmp_path / "untried", precision="fp16").folder, wide)
    assert {name.rpartition(".")[2] for name, value in untried.items() if not value < LARGEST} == {"sum", "residual"}
    folder, report, _ = tried(source, tmp_path / "tried", request)
    assert report["range"]["residual"] == "float32"
    assert max(magnitudes(folder, wide).values()) < LARGEST


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


def test_a_residual_that_grows_stays_in_float32(tmp_path: Path) -> None:
    request = Request(sensor=find_sensor("naip"), chip_size=CHIP)
    source = seeded_source("tiny", 0, loss=False)
    _, report, _ = tried(source, tmp_path / "before", request)
    assert report["range"]["residual"] == "float16"
    assert report["range"]["largest_in_residual"] < 100
    folder, report, lines = tried(with_bias(source, 30000, 1), tmp_path / "after", request)
    assert report["range"]["residual"] == "float32"
    assert report["range"]["largest_in_residual"] == pytest.approx(30000, rel=0.01)
    assert report["range"]["largest_elsewhere"] < 100
    assert any("'residual': 'float32'" in line for line in lines)
    assert "That sum is kept as float32." in (folder / "card.md").read_text()
    graph = onnx.load(folder / "trunk.onnx", load_external_data=False).graph
    types = {each.name: each.data_type for each in graph.initializer}
    assert types[DOWN.format(1)] == onnx.TensorProto.FLOAT
    assert types[UP] == onnx.TensorProto.FLOAT16
    assert next(iter(report["accuracy"].values()))["synthetic"]["cosine_min"] >= 0.9999


@pytest.mark.parametrize(
    ("factor", "message"), [(1e5, "fp16 is safe up to 1.638e\\+04"), (1e7, f"cannot hold the weights {UP}")]
)
def test_what_overflows_in_fp16_is_refused(factor: float, message: str, tmp_path: Path) -> None:
    source = seeded_source("tiny", 0, loss=False)
    weights = {**source.weights, UP: source.weights[UP] * np.float32(factor)}
    large = Source(architecture=source.architecture, weights=weights, checkpoint=source.checkpoint, packages=())
    with pytest.raises(ModelError, match=message):
        tried(large, tmp_path, Request(sensor=find_sensor("naip"), chip_size=CHIP))
    assert list(tmp_path.iterdir()) == []
