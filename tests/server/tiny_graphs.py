"""The graphs of tests/server/model_folders.py, node by node."""

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SCALE: Final = 1000.0
WIDTH: Final = 12
"""Length of a token that a stem gives."""
_ELEMENT: Final = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}


def tiny_weights(features: int, dimensions: int) -> NDArray[np.float32]:
    """[features, dimensions] float32, full of distinct values so that a swapped band or chip shows."""
    row, column = np.mgrid[1 : features + 1, 1 : dimensions + 1]
    weights: NDArray[np.float32] = np.cos(row * 1.7 + column * 0.9).astype(np.float32)
    return weights


def _constant(name: str, value: NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def tiny_graph(
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
    """Give the whole model in one graph: ``build_model_folder`` says what the arguments do."""
    constants = [
        *_moment_constants(),
        _constant("weights", tiny_weights(2 * channels, dimensions)),
    ]
    nodes = [
        *_moments(),
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
        constants += [
            _constant("corner", np.array([0, 0, 0], np.int64)),
            _constant("corner_end", np.array([1, 1, 1], np.int64)),
        ]
        constants += [_constant("axes", np.array([1, 2, 3], np.int64))]
        nodes += [
            helper.make_node("Slice", ["dn", "corner", "corner_end", "axes"], ["first4"]),
            helper.make_node("Squeeze", ["first4", "spatial"], ["first"]),
        ]
    if nan_when is not None:
        constants += [
            _constant("nan", np.array(np.nan, np.float32)),
            _constant("nan_when", np.array(nan_when, np.float32)),
        ]
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
        nodes.append(helper.make_node("ReduceMean", ["std", "one"], ["loss"], keepdims=0))
        outputs.append(helper.make_tensor_value_info("loss", TensorProto.FLOAT, ["N"]))
    return _model(
        "tiny", nodes, _inputs(inputs, channels=channels, dtype=dtype, chip_size=chip_size), outputs, constants
    )


def _moments() -> list[onnx.NodeProto]:
    """Give nodes from ``pixels`` to ``dn`` and ``x`` (in thousands) [N, C, H, W], ``mean`` and ``std`` [N, C]."""
    return [
        helper.make_node("Cast", ["pixels"], ["dn"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["dn", "scale"], ["x"]),
        helper.make_node("ReduceMean", ["x", "spatial"], ["mean4"], keepdims=1),
        helper.make_node("Sub", ["x", "mean4"], ["deviation"]),
        helper.make_node("Mul", ["deviation", "deviation"], ["square"]),
        helper.make_node("ReduceMean", ["square", "spatial"], ["variance"], keepdims=0),
        helper.make_node("Sqrt", ["variance"], ["std"]),
        helper.make_node("Squeeze", ["mean4", "spatial"], ["mean"]),
    ]


def _moment_constants() -> list[onnx.TensorProto]:
    return [_constant("scale", np.array(SCALE, np.float32)), _constant("spatial", np.array([2, 3], np.int64))]


def _inputs(inputs: tuple[str, ...], *, channels: int, dtype: str, chip_size: int) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info("pixels", _ELEMENT[dtype], ["N", channels, chip_size, chip_size])
        if each == "pixels"
        else helper.make_tensor_value_info(each, TensorProto.FLOAT, ["N", 4])
        for each in inputs
    ]


def _model(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _busy_loop(loops: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Give nodes that multiply matrices ``loops`` times and end in ``busy_zero``, a scalar 0 that depends on the last
    product.
    """
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
        # The state is scaled by a value of the batch, else constant folding would run the loop once, when the session
        # is made.
        helper.make_node("ReduceMean", ["x"], ["busy_seed"], keepdims=0),
        helper.make_node("Mul", ["busy_matrix", "busy_seed"], ["busy_start"]),
        helper.make_node("Loop", ["busy_count", "busy_go", "busy_start"], ["busy_end"], body=body),
        helper.make_node("ReduceMean", ["busy_end"], ["busy_mean"], keepdims=0),
        helper.make_node("Mul", ["busy_mean", "busy_none"], ["busy_zero"]),
    ]
    return nodes, constants


def stem_graph(
    *,
    channels: int,
    dtype: str,
    chip_size: int,
    loss: bool,
    inputs: tuple[str, ...],
    half: bool,
    nan_when: int | None,
    busy_loops: int,
) -> onnx.ModelProto:
    """Give the entry's inputs -> ``tokens`` [N, 2, WIDTH] and, with a loss, ``visible`` [N, 1, WIDTH].

    Float16 if ``half``.

    The first token is the bands' means times ``tiny_weights``, plus the sums of ``time`` and ``latlon``; the second,
    also the visible one, their standard deviations times the same.
    """
    element = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    constants = [
        *_moment_constants(),
        _constant("weights", tiny_weights(channels, WIDTH)),
        _constant("one", np.array([1], np.int64)),
    ]
    nodes = [
        *_moments(),
        helper.make_node("MatMul", ["mean", "weights"], ["mean_token"]),
        helper.make_node("MatMul", ["std", "weights"], ["std_token"]),
    ]
    last = "mean_token"
    for extra in (each for each in inputs if each != "pixels"):
        nodes.append(helper.make_node("ReduceSum", [extra, "one"], [f"{extra}_sum"], keepdims=1))
        nodes.append(helper.make_node("Add", [last, f"{extra}_sum"], [f"with_{extra}"]))
        last = f"with_{extra}"
    if nan_when is not None:
        constants += [
            _constant("corner", np.array([0, 0, 0], np.int64)),
            _constant("corner_end", np.array([1, 1, 1], np.int64)),
        ]
        constants += [_constant("axes", np.array([1, 2, 3], np.int64)), _constant("nan", np.array(np.nan, np.float32))]
        constants += [_constant("nan_when", np.array(nan_when, np.float32))]
        nodes += [
            helper.make_node("Slice", ["dn", "corner", "corner_end", "axes"], ["first4"]),
            helper.make_node("Squeeze", ["first4", "spatial"], ["first"]),
            helper.make_node("Equal", ["first", "nan_when"], ["is_nan"]),
            helper.make_node("Where", ["is_nan", "nan", last], ["with_nan"]),
        ]
        last = "with_nan"
    if busy_loops:
        loop_nodes, loop_constants = _busy_loop(busy_loops)
        nodes += [*loop_nodes, helper.make_node("Add", [last, "busy_zero"], ["after_loop"])]
        constants += loop_constants
        last = "after_loop"
    nodes += [
        helper.make_node("Unsqueeze", [last, "one"], ["first_token"]),
        helper.make_node("Unsqueeze", ["std_token", "one"], ["second_token"]),
        helper.make_node("Concat", ["first_token", "second_token"], ["both"], axis=1),
        helper.make_node("Cast", ["both"], ["tokens"], to=element),
    ]
    outputs = [helper.make_tensor_value_info("tokens", element, ["N", 2, WIDTH])]
    if loss:
        nodes.append(helper.make_node("Cast", ["second_token"], ["visible"], to=element))
        outputs.append(helper.make_tensor_value_info("visible", element, ["N", 1, WIDTH]))
    return _model(
        "stem", nodes, _inputs(inputs, channels=channels, dtype=dtype, chip_size=chip_size), outputs, constants
    )


def trunk_graph(*, dimensions: int, loss: bool, half: bool) -> onnx.ModelProto:
    """Give ``tokens`` -> ``embeddings`` [N, D] float32; with a loss ``visible`` -> ``decoded`` [N, 1, WIDTH] too.

    Embeddings are both tokens, one after the other, times ``tiny_weights``; ``decoded`` is the visible one times a
    square of them.
    """
    element, precision = (TensorProto.FLOAT16, np.float16) if half else (TensorProto.FLOAT, np.float32)
    constants = [
        _constant("trunk_weights", tiny_weights(2 * WIDTH, dimensions).astype(precision)),
        _constant("flat", np.array([0, -1], np.int64)),
    ]
    nodes = [
        helper.make_node("Reshape", ["tokens", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "trunk_weights"], ["projected"]),
        helper.make_node("Cast", ["projected"], ["embeddings"], to=TensorProto.FLOAT),
    ]
    inputs = [helper.make_tensor_value_info("tokens", element, ["N", 2, WIDTH])]
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["N", dimensions])]
    if loss:
        constants.append(_constant("decoder_weights", tiny_weights(WIDTH, WIDTH).astype(precision)))
        nodes.append(helper.make_node("MatMul", ["visible", "decoder_weights"], ["decoded"]))
        inputs.append(helper.make_tensor_value_info("visible", element, ["N", 1, WIDTH]))
        outputs.append(helper.make_tensor_value_info("decoded", element, ["N", 1, WIDTH]))
    return _model("trunk", nodes, inputs, outputs, constants)


def tail_graph(*, channels: int, dtype: str, chip_size: int, half: bool) -> onnx.ModelProto:
    """Give ``decoded`` and ``pixels`` -> ``loss`` [N].

    The mean of the decoded token's absolute values plus the mean pixel in thousands.
    """
    nodes = [
        helper.make_node("Cast", ["pixels"], ["dn"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["dn", "scale"], ["x"]),
        helper.make_node("ReduceMean", ["x", "all"], ["brightness"], keepdims=0),
        helper.make_node("Cast", ["decoded"], ["decoded32"], to=TensorProto.FLOAT),
        helper.make_node("Abs", ["decoded32"], ["size"]),
        helper.make_node("ReduceMean", ["size", "token"], ["mean_size"], keepdims=0),
        helper.make_node("Add", ["mean_size", "brightness"], ["loss"]),
    ]
    constants = [_constant("scale", np.array(SCALE, np.float32)), _constant("all", np.array([1, 2, 3], np.int64))]
    constants.append(_constant("token", np.array([1, 2], np.int64)))
    element = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("decoded", element, ["N", 1, WIDTH])]
    inputs += _inputs(("pixels",), channels=channels, dtype=dtype, chip_size=chip_size)
    return _model("tail", nodes, inputs, [helper.make_tensor_value_info("loss", TensorProto.FLOAT, ["N"])], constants)
