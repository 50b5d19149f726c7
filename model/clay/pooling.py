"""From the encoder's tokens to the embedding: the class token, means of the patches, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clay.graph import ELEMENTS
from clayline.model.vector import GRID, PARTS

if TYPE_CHECKING:
    from clay.graph import Graph
    from clayline.model.vector import Vector


def add_pooled(graph: Graph, tokens: str, vector: Vector, dim: int) -> None:
    """Add ``embeddings`` [N, D] float32 from the normalised ``tokens`` [N, 1 + patches, dim], class token first.

    Means are taken in float32, whatever the tokens' type. Patches are a square, row by row; of ``grid4`` a side has a
    multiple of 4.
    """
    wide = graph.node("Cast", [tokens], "pooled.wide", to=ELEMENTS["float32"])
    patches = _from(graph, wide, 1, np.iinfo(np.int64).max, "pooled.patches")
    if vector == "grid4":
        patches = _cells(graph, patches, dim)
    parts = PARTS["mean" if vector == "both" else vector]
    # Averaged by pooling, which adds a chip's numbers in one order in any company. ReduceMean does not: one chip alone
    # differed in its last bits from the same among others, with the patches last too.
    last = graph.node("Transpose", [patches], "pooled.last", perm=[0, 2, 1])
    means = graph.node("GlobalAveragePool", [last], "pooled.means")
    found = _row(graph, means, parts * dim, "pooled.mean" if vector == "both" else "embeddings")
    if vector == "both":
        first = _row(graph, _from(graph, wide, 0, 1, "pooled.first"), dim, "pooled.row")
        graph.node("Concat", [first, found], "embeddings", axis=1)


def _cells(graph: Graph, patches: str, dim: int) -> str:
    """Part the ``patches`` [N, L, dim] by cells, [N * 16, L / 16, dim]: rows from the top, in each from the left.

    How many patches a side has is the square root of their number, which float32 gives exactly for all there can be.
    """
    count = graph.node("Gather", [graph.node("Shape", [patches], "grid.shape.in"), _number(graph, 1)], "grid.count")
    root = graph.node("Sqrt", [graph.node("Cast", [count], "grid.count.wide", to=ELEMENTS["float32"])], "grid.root")
    side = graph.node("Cast", [graph.node("Round", [root], "grid.round")], "grid.side", to=ELEMENTS["int64"])
    inside = graph.node("Div", [side, _number(graph, GRID)], "grid.inside")
    shapes = {
        "apart": [_number(graph, -1), _number(graph, GRID), inside, _number(graph, GRID), inside, _number(graph, dim)],
        "cells": [_number(graph, -1), graph.node("Mul", [inside, inside], "grid.in.cell"), _number(graph, dim)],
    }
    apart, together = (graph.node("Concat", parts, f"grid.{name}.shape", axis=0) for name, parts in shapes.items())
    rows = graph.node("Reshape", [patches, apart], "grid.apart")
    return graph.node(
        "Reshape", [graph.node("Transpose", [rows], "grid.moved", perm=[0, 1, 3, 2, 4, 5]), together], "grid.cells"
    )


def _row(graph: Graph, value: str, length: int, output: str) -> str:
    return graph.node("Reshape", [value, graph.constant(f"{output}.shape", [-1, length], np.int64)], output)


def _number(graph: Graph, value: int) -> str:
    return graph.constant(f"number.{value}", [value], np.int64)


def _from(graph: Graph, tokens: str, start: int, end: int, output: str) -> str:
    """Take the tokens ``start`` to ``end``."""
    ends = [graph.constant(f"{output}.{what}", [number], np.int64) for what, number in (("start", start), ("end", end))]
    return graph.node("Slice", [tokens, *ends, graph.constant("pooled.tokens", [1], np.int64)], output)
