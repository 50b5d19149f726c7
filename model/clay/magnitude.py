"""How large numbers become inside a trunk, which decides what of it float16 can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clay.transformer import Precision
from clay.trunk import write_trunk
from clayline.errors import ModelError
from clayline.model.vector import CLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clay.architecture import Architecture
    from clay.graph import Graph
    from clay.transformer import Weights
    from clayline.model.vector import Vector

LARGEST: Final = 65504.0
"""The largest float16."""
SAFE: Final = LARGEST / 4
"""What probes may reach: there are few of them, and other chips will go further."""
RESIDUAL: Final = "largest.residual"
MATRICES: Final = "largest.matrices"
_FLOAT32: Final = Precision(matrices="float32", residual="float32")


@dataclass(frozen=True, kw_only=True, slots=True)
class Magnitudes:
    """Largest absolute values seen."""

    tokens: float
    """Of what comes into the trunk."""
    residual: float
    """Of the sum that runs from block to block."""
    matrices: float
    """Of what matrices multiply and what comes out, of normalisations and of the attention."""


def write_measuring_trunk(architecture: Architecture, weights: Weights, *, loss: bool, vector: Vector = CLS) -> Graph:
    """Build the float32 trunk with two outputs more: the largest magnitudes, of the residual and of everything else."""
    graph = write_trunk(architecture, weights, _FLOAT32, loss=loss, vector=vector)
    residual, others = ["tokens"], ["tokens"]
    for node in list(graph.nodes):
        if node.op_type == "SkipLayerNormalization":
            residual.append(node.output[3])
        if node.op_type in {"SkipLayerNormalization", "LayerNormalization", "MatMul", "BiasGelu", "MultiHeadAttention"}:
            others.append(node.output[0])
    _add_largest(graph, residual, RESIDUAL)
    _add_largest(graph, others, MATRICES)
    return graph


def check_weights(graph: Graph) -> None:
    """Raise ModelError where a weight is too large for float16."""
    broken = [name for name, value in graph.external.items() if float(np.abs(value).max()) > LARGEST]
    if broken:
        raise ModelError(f"fp16 cannot hold the weights {', '.join(broken)}: use --precision fp32")


def fp16_precision(found: Magnitudes) -> Precision:
    """Choose what is float16: the matrices, and the residual where it stays small.

    Raises ModelError where the matrices overflow.
    """
    if not found.matrices <= SAFE:
        raise ModelError(
            f"inside the trunk numbers reach {found.matrices:.4g}, fp16 is safe up to {SAFE:.4g}: use --precision fp32"
        )
    return Precision(matrices="float16", residual="float16" if found.residual <= SAFE else "float32")


def summary(found: Magnitudes, chosen: Precision, chips: int) -> dict[str, Any]:
    """Put it in words for the report."""
    return {
        "chips": chips,
        "largest_in_tokens": float(f"{found.tokens:.4g}"),
        "largest_in_residual": float(f"{found.residual:.4g}"),
        "largest_elsewhere": float(f"{found.matrices:.4g}"),
        "safe": SAFE,
        "residual": chosen.residual,
    }


def check_tokens(token: str, largest: float, recorded: Mapping[str, Any]) -> None:
    """Raise ModelError where what a new entry brings into an fp16 trunk is more than the folder's report leaves room
    for.

    ``largest``: magnitude of the entry's tokens. ``recorded``: the ``summary`` of the export, of whose float16 numbers
    the largest may grow as much as the tokens do. A run on a CPU would not tell: there ONNX Runtime computes float16 in
    float32.
    """
    advice = "export the folder with this entry instead of adding it"
    if "largest_in_tokens" not in recorded:
        raise ModelError(
            f"{token}: the folder's report does not say how large fp16's numbers were when it was exported: {advice}"
        )
    narrow = [
        recorded["largest_elsewhere"],
        *([recorded["largest_in_residual"]] if recorded["residual"] == "float16" else []),
    ]
    room = recorded["largest_in_tokens"] * recorded["safe"] / max(narrow)
    if not largest <= room:
        tried = f"the folder's fp16 was tried with {recorded['largest_in_tokens']:.4g} and has room for {room:.4g}"
        raise ModelError(f"{token} brings numbers of {largest:.4g} into the trunk; {tried}: {advice}")


def _add_largest(graph: Graph, values: list[str], output: str) -> None:
    """Add the largest magnitude of ``values``, which are of rank 3."""
    parts = [
        graph.node("ReduceMax", [graph.node("Abs", [value], f"{value}.{output}.abs")], f"{value}.{output}")
        for value in values
    ]
    graph.node("ReduceMax", [graph.node("Concat", parts, f"{output}.parts", axis=0)], output)
    graph.output(output, "float32", [1, 1, 1])
