"""The last block computes the class token alone, which is exact: no later block mixes tokens."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from clay.architecture import ARCHITECTURES
from clay.graph import Graph
from clay.seeded import seeded_weights
from clay.transformer import Precision, Stack


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_the_class_token_is_the_whole_last_blocks(tmp_path: Path, size: str) -> None:
    shape = ARCHITECTURES[size].encoder
    graph = Graph(name="both", weights_file="both.weights")
    graph.input("tokens", "float32", ["N", "S", shape.dim])
    stack = Stack(
        graph=graph,
        name="encoder.transformer",
        shape=shape,
        weights=seeded_weights(ARCHITECTURES[size], 5, decoder=False),
        precision=Precision(matrices="float32", residual="float32"),
    )
    for output, only_first in (("first", True), ("all", False)):
        graph.node("Identity", [stack.apply("tokens", f"as.{output}", only_first=only_first)], output)
        graph.output(output, "float32", ["N", "T", shape.dim])
    graph.write(tmp_path, "both.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "both.onnx", providers=["CPUExecutionProvider"])
    tokens = np.random.default_rng(5).normal(0, 1, (2, 65, shape.dim)).astype(np.float32)
    first, everything = session.run(["first", "all"], {"tokens": tokens})
    assert first.shape == (2, 1, shape.dim)
    np.testing.assert_allclose(
        first[:, 0], everything[:, 0], rtol=0, atol=1e-5
    )  # products of one row are summed in another order
    assert np.abs(first[:, 0] - everything[:, 1]).max() > 0.1  # and it is that token, not just any
