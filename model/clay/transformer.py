"""Clay's pre-norm blocks with the fused operators of ONNX Runtime.

Attention, residual with normalisation, bias with GELU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clay.architecture import EPSILON
from clay.graph import ELEMENTS, MICROSOFT, Graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from clay.architecture import Transformer

    Weights = Mapping[str, npt.NDArray[Any]]


INT7: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Precision:
    """Element types of a trunk."""

    matrices: str
    """Of matrices and what is multiplied with them: float32 or float16."""
    residual: str
    """Of the sum that runs from block to block and of its normalisation: float32, or float16 where that cannot
    overflow."""
    quantised: bool = False
    """Matrices are int8 with a scale a column, what they are multiplied with uint8 with a scale a run: so one chip a
    run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """One transformer, added to a graph as often as it is wanted; its weights are there once."""

    graph: Graph
    name: str
    """Before its tensors' names, e.g. ``encoder.transformer``."""
    shape: Transformer
    weights: Weights
    precision: Precision

    def apply(self, tokens: str, prefix: str, *, only_first: bool) -> str:
        """Add the blocks over ``tokens`` [N, S, dim] and the last normalisation.

        Give the normalised tokens [N, S or 1, dim].

        ``only_first``: nothing but the first token of the result is wanted, so the last block asks for that one alone.
        Exact, since no later block mixes tokens. ``prefix`` tells apart the nodes of several applications.
        """
        residual = self._cast(tokens, self.precision.matrices, self.precision.residual, f"{prefix}.residual")
        first = self._norm_names(0)
        normal = self.graph.node("LayerNormalization", [residual, *first], entering(prefix), axis=-1, epsilon=EPSILON)
        normal = self._to_matrices(normal)
        for layer in range(self.shape.depth):
            last = only_first and layer == self.shape.depth - 1
            normal, residual = self._block(normal, residual, layer, f"{prefix}.layers.{layer}", only_first=last)
        return normal

    def _block(self, normal: str, residual: str, layer: int, prefix: str, *, only_first: bool) -> tuple[str, str]:
        graph, name = self.graph, f"{self.name}.layers.{layer}"
        asking = normal
        if only_first:
            asking = self._first(normal, f"{prefix}.0.asking")
            residual = self._first(residual, f"{prefix}.0.residual")
        query, key, value = (
            self._project(source, f"{name}.0.to_qkv.weight", part, f"{prefix}.0.{what}")
            for part, (what, source) in enumerate((("query", asking), ("key", normal), ("value", normal)))
        )
        mixed = graph.node(
            "MultiHeadAttention",
            [query, key, value],
            f"{prefix}.0.attention",
            domain=MICROSOFT,
            num_heads=self.shape.heads,
        )
        mixed = self._matmul(mixed, f"{name}.0.to_out.weight", f"{prefix}.0.to_out")
        feed = f"{name}.1.net"
        normal, residual = self._add_and_norm(mixed, residual, f"{feed}.0", None, f"{prefix}.0")
        hidden = self._matmul(normal, f"{feed}.1.weight", f"{prefix}.1.up")
        bias = graph.weight(f"{feed}.1.bias", self._as(self.precision.matrices, self.weights[f"{feed}.1.bias"]))
        hidden = graph.node("BiasGelu", [hidden, bias], f"{prefix}.1.gelu", domain=MICROSOFT)
        hidden = self._matmul(hidden, f"{feed}.3.weight", f"{prefix}.1.down")
        following = f"{self.name}.layers.{layer + 1}.0.norm" if layer + 1 < self.shape.depth else f"{self.name}.norm"
        return self._add_and_norm(hidden, residual, following, f"{feed}.3.bias", f"{prefix}.1")

    def _add_and_norm(self, addend: str, residual: str, norm: str, bias: str | None, prefix: str) -> tuple[str, str]:
        """Add to the residual (with a bias, if any) and normalise what comes out; give both."""
        addend = self._cast(addend, self.precision.matrices, self.precision.residual, f"{prefix}.wide")
        inputs = [addend, residual, *self._norm_parameters(norm)]
        if bias is not None:
            inputs.append(self.graph.weight(bias, self._as(self.precision.residual, self.weights[bias])))
        normal, _, _, total = self.graph.nodes_of(
            "SkipLayerNormalization",
            inputs,
            [f"{prefix}.normal", "", "", f"{prefix}.sum"],
            domain=MICROSOFT,
            epsilon=EPSILON,
        )
        return self._to_matrices(normal), total

    def _norm_names(self, layer: int) -> list[str]:
        return self._norm_parameters(f"{self.name}.layers.{layer}.0.norm")

    def _norm_parameters(self, norm: str) -> list[str]:
        return [
            self.graph.weight(f"{norm}.{part}", self._as(self.precision.residual, self.weights[f"{norm}.{part}"]))
            for part in ("weight", "bias")
        ]

    def _project(self, source: str, weight: str, part: int, output: str) -> str:
        """Multiply with one third of the matrix that holds queries, keys and values."""
        rows = slice(part * self.shape.inner, (part + 1) * self.shape.inner)
        return multiply(self.graph, source, f"{weight}.{part}", self.weights[weight][rows], output, self.precision)

    def _matmul(self, source: str, weight: str, output: str) -> str:
        return multiply(self.graph, source, weight, self.weights[weight], output, self.precision)

    def _first(self, tokens: str, output: str) -> str:
        start, end, axis = (
            self.graph.constant(f"first.{what}", [number], np.int64)
            for what, number in (("start", 0), ("end", 1), ("axis", 1))
        )
        return self.graph.node("Slice", [tokens, start, end, axis], output)

    def _to_matrices(self, value: str) -> str:
        return self._cast(value, self.precision.residual, self.precision.matrices, f"{value}.narrow")

    def _cast(self, value: str, before: str, after: str, output: str) -> str:
        return value if before == after else self.graph.node("Cast", [value], output, to=ELEMENTS[after])

    @staticmethod
    def _as(element: str, value: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return value.astype(element, copy=False)


def entering(prefix: str) -> str:
    """Name what an application's first normalisation gives, [N, S, dim]."""
    return f"{prefix}.layers.0.0.norm"


def multiply(graph: Graph, source: str, name: str, matrix: npt.NDArray[Any], output: str, precision: Precision) -> str:
    """Add ``source`` [..., in] times ``matrix`` [out, in], transposed, in the trunk's precision."""
    if not precision.quantised:
        return graph.node(
            "MatMul", [source, graph.weight(name, matrix.T.astype(precision.matrices, copy=False))], output
        )
    # 7 of the 8 bits: without VNNI, ONNX Runtime adds two products in int16, which 8 bits overflow, without
    # a word and far from float32's vectors. With 7 every machine gives the same.
    largest = np.abs(matrix).max(axis=1)
    scale = (np.where(largest > 0, largest, 1) / INT7).astype(np.float32)
    steps = np.rint(matrix / scale[:, np.newaxis]).astype(np.int8)
    inputs = [
        graph.weight(f"{name}.int8", steps.T),
        graph.weight(f"{name}.scale", scale),
        graph.weight(f"{name}.zero", np.zeros_like(scale, np.int8)),
    ]
    return graph.node("DynamicQuantizeMatMul", [source, *inputs], output, domain=MICROSOFT)
