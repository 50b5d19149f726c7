"""The large graph that every sensor shares: from tokens to the embedding and, with a loss, to the decoder's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clay.graph import ELEMENTS, Graph
from clay.pooling import add_pooled
from clay.transformer import Precision, Stack, entering, multiply
from clayline.model.vector import CLS, PARTS

if TYPE_CHECKING:
    from clay.architecture import Architecture
    from clay.transformer import Weights
    from clayline.model.vector import Vector

WEIGHTS_FILE = "trunk.weights"
FILE = "trunk.onnx"


def write_trunk(
    architecture: Architecture, weights: Weights, precision: Precision, *, loss: bool, vector: Vector = CLS
) -> Graph:
    """Build the graph: ``tokens`` [N, S, dim] to ``embeddings`` [N, D] float32, D being dim times ``vector``'s parts.

    With a loss also ``visible`` [N, V, dim], ``visible_encoding`` [N, V, decoder dim] and ``masked_queries`` [N, M,
    decoder dim] to ``decoded`` [N, V + M, decoder dim]. Any number of patches will do.
    """
    graph = Graph(name="trunk", weights_file=WEIGHTS_FILE)
    tokens, dims = precision.matrices, (architecture.encoder.dim, architecture.decoder.dim)
    graph.input("tokens", tokens, ["N", "S", dims[0]])
    if loss:
        graph.input("visible", tokens, ["N", "V", dims[0]])
        graph.input("visible_encoding", tokens, ["N", "V", dims[1]])
        graph.input("masked_queries", tokens, ["N", "M", dims[1]])
    add_trunk(graph, architecture, weights, precision, loss=loss, vector=vector)
    graph.output("embeddings", "float32", ["N", dims[0] * PARTS[vector]])
    if loss:
        graph.output("decoded", tokens, ["N", "S", dims[1]])
    return graph


def add_trunk(
    graph: Graph,
    architecture: Architecture,
    weights: Weights,
    precision: Precision,
    *,
    loss: bool,
    vector: Vector = CLS,
) -> None:
    """Add the trunk's nodes to a graph that has its inputs as values.

    The last block computes the class token alone where the patches' are not wanted.
    """
    encoder = Stack(
        graph=graph, name="encoder.transformer", shape=architecture.encoder, weights=weights, precision=precision
    )
    wanted = encoder.apply("tokens", "whole", only_first=vector == CLS)
    if precision.quantised:
        wanted = _carried(graph, wanted, "whole")
    if vector == CLS:
        shape = graph.constant("embeddings.shape", [0, architecture.encoder.dim], np.int64)
        row = graph.node("Reshape", [wanted, shape], "embeddings.row")
        graph.node("Cast", [row], "embeddings", to=ELEMENTS["float32"])
    else:
        add_pooled(graph, wanted, vector, architecture.encoder.dim)
    if not loss:
        return
    seen = encoder.apply("visible", "masked", only_first=False)
    matrix, bias = (weights[f"decoder.enc_to_dec.{part}"] for part in ("weight", "bias"))
    narrow = multiply(graph, seen, "decoder.enc_to_dec.weight", matrix, "decoder.in.product", precision)
    addend = graph.weight("decoder.enc_to_dec.bias", bias.astype(precision.matrices, copy=False))
    narrow = graph.node("Add", [narrow, addend], "decoder.in")
    placed = graph.node("Add", [narrow, "visible_encoding"], "decoder.in.placed")
    tokens = graph.node("Concat", [placed, "masked_queries"], "decoder.tokens", axis=1)
    decoder = Stack(
        graph=graph, name="decoder.transformer", shape=architecture.decoder, weights=weights, precision=precision
    )
    decoded = decoder.apply(tokens, "decoder", only_first=False)
    if precision.quantised:
        decoded = _carried(graph, _carried(graph, decoded, "masked"), "decoder")
    graph.node("Identity", [decoded], "decoded")


def _carried(graph: Graph, result: str, prefix: str) -> str:
    """Make ``result`` [N, S, dim] NaN for chips with which not all that went into the application ``prefix`` of a stack
    was finite.

    Only int8 needs it: quantising makes a number of a NaN. What the first normalisation gives is summed; that is finite
    where it is, since it lies within sqrt(dim) times the normalisation's weight, plus its bias. To look there suffices.
    A row with a NaN or an infinity comes out of it as NaN, and finite rows whose squares overflow as they do in
    float32. All that follows is bounded by the weights alone: products of normalised numbers, mixtures of such
    products, and so what they add to the residual.
    """
    axes, zero = graph.constant("carried.axes", [1, 2], np.int64), graph.constant("carried.zero", 0, np.float32)
    total = graph.node("ReduceSum", [entering(prefix), axes], f"{prefix}.entering", keepdims=1)
    return graph.node("Add", [result, graph.node("Mul", [total, zero], f"{prefix}.nothing")], f"{prefix}.carried")
