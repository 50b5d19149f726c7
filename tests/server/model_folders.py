"""Model folders small enough for tests: graphs whose embeddings numpy can recompute, and which fail, give NaN or dawdle when told to.

The graph takes digital numbers, reduces each band to its mean and its standard deviation (in thousands) and multiplies those 2 C
features with ``tiny_weights``; the loss is the mean of the standard deviations. ``tiny_oracle`` is the same in numpy and shares nothing
with the graph but this description and the weights.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from clayline.manifest import ModelEntry, entry_digest

SCALE: Final = 1000.0
LOSS_METRIC: Final = "mean-std"
GRAPH: Final = "tiny.onnx"
_ELEMENT: Final = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}


def tiny_weights(features: int, dimensions: int) -> NDArray[np.float32]:
    """[features, dimensions] float32, full of distinct values so that a swapped band or chip shows."""
    row, column = np.mgrid[1 : features + 1, 1 : dimensions + 1]
    weights: NDArray[np.float32] = np.cos(row * 1.7 + column * 0.9).astype(np.float32)
    return weights


def tiny_oracle(pixels: NDArray[Any], dimensions: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Embeddings [N, D] and losses [N] of ``pixels`` [N, C, H, W] for a folder whose only input is ``pixels``, in float64."""
    flat = pixels.reshape(*pixels.shape[:2], -1).astype(np.float64) / SCALE
    mean, std = flat.mean(axis=2), flat.std(axis=2)
    return np.concatenate([mean, std], axis=1) @ tiny_weights(2 * pixels.shape[1], dimensions).astype(np.float64), std.mean(axis=1)


def build_model_folder(
    path: Path,
    *,
    name: str = "tiny",
    version: str = "1.0",
    sensor: str = "sentinel-2-l2a",
    bands: tuple[str, ...] = ("red", "green", "blue"),
    dtype: str = "uint16",
    chip_size: int = 64,
    gsd: float = 10.0,
    dimensions: int = 8,
    loss: bool = True,
    inputs: tuple[str, ...] = ("pixels",),
    nan_when_first_pixel: int | None = None,
    fail_when_first_pixel: int | None = None,
    busy_loops: int = 0,
) -> Path:
    """Write the model folder ``path/{name}-v{version}`` with one entry ``{name}-v{version}-test`` and return its path.

    ``nan_when_first_pixel``: a chip whose first pixel in the first band is this gets a NaN embedding, the others of its batch do not.
    ``fail_when_first_pixel``: ONNX Runtime raises for a batch that has such a chip. ``busy_loops``: matrix products of 400 x 400 a run
    computes for nothing, to take time. ``time`` and ``latlon`` in ``inputs`` are added, summed over their 4 values, to every dimension.
    """
    folder = path / f"{name}-v{version}"
    folder.mkdir(parents=True)
    graph = _graph(
        channels=len(bands),
        dtype=dtype,
        chip_size=chip_size,
        dimensions=dimensions,
        loss=loss,
        inputs=inputs,
        nan_when=nan_when_first_pixel,
        fail_when=fail_when_first_pixel,
        busy_loops=busy_loops,
    )
    (folder / GRAPH).write_bytes(graph.SerializeToString())
    (folder / "card.md").write_text(f"# {name}\nFor tests: means and standard deviations. Not a model.\n")
    files = {file: "sha256:" + hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in (GRAPH, "card.md")}
    entry: dict[str, Any] = {
        "token": f"{name}-v{version}-test",
        "digest": "sha256:" + "0" * 64,
        "graph": GRAPH,
        "files": [GRAPH],
        "sensor": sensor,
        "bands": bands,
        "dtype": dtype,
        "chip_size": chip_size,
        "gsd": gsd,
        "dimensions": dimensions,
        "inputs": inputs,
        "loss_metric": LOSS_METRIC if loss else None,
        "stretch": None,
        "nodata_fill": 0.0,
        "options": {
            "precision": "fp32",
            "coordinate_order": "lonlat" if "latlon" in inputs else None,
            "hour": "acquisition" if "time" in inputs else None,
        },
        "preprocessing": "test/1",
    }
    entry["digest"] = entry_digest(ModelEntry.model_validate(entry), files)
    manifest = {
        "schema": "clayline-model/1",
        "name": name,
        "version": version,
        "licence": "Apache-2.0",
        "card": "card.md",
        "files": files,
        "entries": [entry],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return folder


def _constant(name: str, value: NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def _graph(
    *,
    channels: int,
    dtype: str,
    chip_size: int,
    dimensions: int,
    loss: bool,
    inputs: tuple[str, ...],
    nan_when: int | None,
    fail_when: int | None,
    busy_loops: int,
) -> onnx.ModelProto:
    constants = [
        _constant("scale", np.array(SCALE, np.float32)),
        _constant("spatial", np.array([2, 3], np.int64)),
        _constant("weights", tiny_weights(2 * channels, dimensions)),
    ]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["dn"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["dn", "scale"], ["x"]),
        helper.make_node("ReduceMean", ["x", "spatial"], ["mean4"], keepdims=1),
        helper.make_node("Sub", ["x", "mean4"], ["deviation"]),
        helper.make_node("Mul", ["deviation", "deviation"], ["square"]),
        helper.make_node("ReduceMean", ["square", "spatial"], ["variance"], keepdims=0),
        helper.make_node("Sqrt", ["variance"], ["std"]),
        helper.make_node("Squeeze", ["mean4", "spatial"], ["mean"]),
        helper.make_node("Concat", ["mean", "std"], ["features"], axis=1),
        helper.make_node("MatMul", ["features", "weights"], ["projected"]),
    ]
    last = "projected"
    if loss or len(inputs) > 1:
        constants.append(_constant("one", np.array([1], np.int64)))
    for extra in inputs:
        if extra != "pixels":
            nodes += [
                helper.make_node("ReduceSum", [extra, "one"], [f"{extra}_sum"], keepdims=1),
                helper.make_node("Add", [last, f"{extra}_sum"], [f"with_{extra}"]),
            ]
            last = f"with_{extra}"
    if nan_when is not None or fail_when is not None:
        constants += [_constant("corner", np.array([0, 0, 0], np.int64)), _constant("corner_end", np.array([1, 1, 1], np.int64))]
        constants += [_constant("axes", np.array([1, 2, 3], np.int64))]
        nodes += [
            helper.make_node("Slice", ["dn", "corner", "corner_end", "axes"], ["first4"]),
            helper.make_node("Squeeze", ["first4", "spatial"], ["first"]),
        ]
    if nan_when is not None:
        constants += [_constant("nan", np.array(np.nan, np.float32)), _constant("nan_when", np.array(nan_when, np.float32))]
        nodes += [
            helper.make_node("Equal", ["first", "nan_when"], ["is_nan"]),
            helper.make_node("Where", ["is_nan", "nan", last], ["with_nan"]),
        ]
        last = "with_nan"
    if fail_when is not None:
        # Gather checks its indices at run time: 9 is past the table's one row.
        constants += [_constant("fail_when", np.array(fail_when, np.float32)), _constant("nine", np.array(9, np.int64))]
        constants += [_constant("table", np.zeros(1, np.float32)), _constant("zero", np.array([0], np.int64))]
        nodes += [
            helper.make_node("Equal", ["first", "fail_when"], ["is_failure"]),
            helper.make_node("Where", ["is_failure", "nine", "zero"], ["row"]),
            helper.make_node("Gather", ["table", "row"], ["nothing"]),
            helper.make_node("Add", [last, "nothing"], ["after_failure"]),
        ]
        last = "after_failure"
    if busy_loops:
        loop_nodes, loop_constants = _busy_loop(busy_loops)
        nodes += [*loop_nodes, helper.make_node("Add", [last, "busy_zero"], ["after_loop"])]
        constants += loop_constants
        last = "after_loop"
    nodes.append(helper.make_node("Identity", [last], ["embeddings"]))
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["N", dimensions])]
    if loss:
        nodes.append(helper.make_node("ReduceMean", ["std", "one"], [LOSS_METRIC], keepdims=0))
        outputs.append(helper.make_tensor_value_info(LOSS_METRIC, TensorProto.FLOAT, ["N"]))
    values = [
        helper.make_tensor_value_info("pixels", _ELEMENT[dtype], ["N", channels, chip_size, chip_size])
        if each == "pixels"
        else helper.make_tensor_value_info(each, TensorProto.FLOAT, ["N", 4])
        for each in inputs
    ]
    graph = helper.make_graph(nodes, "tiny", values, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _busy_loop(loops: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Give nodes that multiply matrices ``loops`` times and end in ``busy_zero``, a scalar 0 that depends on the last product."""
    identity = np.eye(400, dtype=np.float32)
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["continue_in"], ["continue_out"]),
            helper.make_node("MatMul", ["state_in", "busy_matrix"], ["state_out"]),
        ],
        "busy",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("continue_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_in", TensorProto.FLOAT, [400, 400]),
        ],
        [
            helper.make_tensor_value_info("continue_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [400, 400]),
        ],
    )
    constants = [
        _constant("busy_matrix", identity),
        _constant("busy_count", np.array(loops, np.int64)),
        _constant("busy_go", np.array([True]).reshape(())),
        _constant("busy_none", np.array(0, np.float32)),
    ]
    nodes = [
        # The state is scaled by a value of the batch, else constant folding would run the loop once, when the session is made.
        helper.make_node("ReduceMean", ["x"], ["busy_seed"], keepdims=0),
        helper.make_node("Mul", ["busy_matrix", "busy_seed"], ["busy_start"]),
        helper.make_node("Loop", ["busy_count", "busy_go", "busy_start"], ["busy_end"], body=body),
        helper.make_node("ReduceMean", ["busy_end"], ["busy_mean"], keepdims=0),
        helper.make_node("Mul", ["busy_mean", "busy_none"], ["busy_zero"]),
    ]
    return nodes, constants
