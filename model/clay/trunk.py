"""The large graph that every sensor shares: from tokens to the embedding and, with a loss, to the decoder's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clay.graph import ELEMENTS, Graph
from clay.transformer import Precision, Stack, multiply

if TYPE_CHECKING:
    from clay.architecture import Architecture
    from clay.transformer import Weights

WEIGHTS_FILE = "trunk.weights"
FILE = "trunk.onnx"


def write_trunk(architecture: Architecture, weights: Weights, precision: Precision, *, loss: bool) -> Graph:
    """Build the graph: ``tokens`` [N, S, dim] to ``embeddings`` [N, dim] float32.

    With a loss also ``visible`` [N, V, dim], ``visible_encoding`` [N, V, decoder dim] and ``masked_queries`` [N, M, decoder dim] to
    ``decoded`` [N, V + M, decoder dim]. Any number of patches will do.
    """
    graph = Graph(name="trunk", weights_file=WEIGHTS_FILE)
    tokens, dims = precision.matrices, (architecture.encoder.dim, architecture.decoder.dim)
    graph.input("tokens", tokens, ["N", "S", dims[0]])
    if loss:
        graph.input("visible", tokens, ["N", "V", dims[0]])
        graph.input("visible_encoding", tokens, ["N", "V", dims[1]])
        graph.input("masked_queries", tokens, ["N", "M", dims[1]])
    add_trunk(graph, architecture, weights, precision, loss=loss)
    graph.output("embeddings", "float32", ["N", dims[0]])
    if loss:
        graph.output("decoded", tokens, ["N", "S", dims[1]])
    return graph


def add_trunk(graph: Graph, architecture: Architecture, weights: Weights, precision: Precision, *, loss: bool) -> None:
    """Add the trunk's nodes to a graph that has its inputs as values."""
    encoder = Stack(graph=graph, name="encoder.transformer", shape=architecture.encoder, weights=weights, precision=precision)
    first = encoder.apply("tokens", "whole", only_first=True)
    row = graph.node("Reshape", [first, graph.constant("embeddings.shape", [0, architecture.encoder.dim], np.int64)], "embeddings.row")
    graph.node("Cast", [row], "embeddings", to=ELEMENTS["float32"])
    if not loss:
        return
    seen = encoder.apply("visible", "masked", only_first=False)
    matrix, bias = (weights[f"decoder.enc_to_dec.{part}"] for part in ("weight", "bias"))
    narrow = multiply(graph, seen, "decoder.enc_to_dec.weight", matrix, "decoder.in.product", precision)
    addend = graph.weight("decoder.enc_to_dec.bias", bias.astype(precision.matrices, copy=False))
    narrow = graph.node("Add", [narrow, addend], "decoder.in")
    placed = graph.node("Add", [narrow, "visible_encoding"], "decoder.in.placed")
    tokens = graph.node("Concat", [placed, "masked_queries"], "decoder.tokens", axis=1)
    decoder = Stack(graph=graph, name="decoder.transformer", shape=architecture.decoder, weights=weights, precision=precision)
    graph.node("Identity", [decoder.apply(tokens, "decoder", only_first=False)], "decoded")
