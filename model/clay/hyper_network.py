"""From wavelengths to a patch embedding.

Clay's hyper-network (DOFA) as a graph of its own, so that a new sensor needs no torch.

Inputs ``wavelengths`` [C] float32 in micrometres. Outputs ``kernel`` [dim, C, 8, 8] and ``bias`` [dim] of the encoder's
patch convolution and, where the folder has a loss, ``pixels_out`` [C * 64, decoder dim], which turns the decoder's
tokens into pixels (claymodel 1.5.0, factory.py). Beside them, because a stem needs these too and nothing else,
``cls_token`` [1, 1, dim] and, with a loss, ``mask_patch`` [decoder dim], which no wavelength changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime

from clay.architecture import EPSILON, KERNEL_SCALE, PATCH, WAVE, WAVE_HEADS, Architecture
from clay.graph import Graph
from clay.positions import wave_frequencies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Weights = Mapping[str, npt.NDArray[Any]]

FILE: Final = "hyper.onnx"


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedding:
    """What a sensor's wavelengths make of the hyper-network."""

    kernel: npt.NDArray[np.float32]
    """[dim, C, 8, 8]."""
    bias: npt.NDArray[np.float32]
    """[dim]."""
    pixels_out: npt.NDArray[np.float32] | None
    """[C * 64, decoder dim], rows in the order band, row, column; None without a loss."""
    shared: Mapping[str, npt.NDArray[np.float32]]
    """``encoder.cls_token`` and, with a loss, ``decoder.mask_patch``: the same for every sensor."""


def write_hyper_network(architecture: Architecture, weights: Weights, *, loss: bool) -> Graph:
    """Build the graph."""
    graph = Graph(name="hyper-network")
    graph.input("wavelengths", "float32", ["C"])
    generator = _Generator(graph=graph, weights=weights, name="encoder.patch_embedding")
    tokens, out = generator.encoded_waves()
    dim = architecture.encoder.dim
    kernels = generator.kernels(tokens, out, (dim, PATCH, PATCH))
    graph.node("Transpose", [kernels], "kernel", perm=[1, 0, 2, 3])
    last = generator.slice(out, -1, np.iinfo(np.int64).max, "bias_token")
    row = generator.linear(last, "encoder.patch_embedding.weight_generator.fc_bias", "bias_row")
    graph.node("Reshape", [row, graph.constant("bias.shape", [-1], np.int64)], "bias")
    graph.output("kernel", "float32", [dim, "C", PATCH, PATCH])
    graph.output("bias", "float32", [dim])
    _pass_on(graph, weights, "encoder.cls_token", (1, 1, dim))
    if loss:
        _pass_on(graph, weights, "decoder.mask_patch", (architecture.decoder.dim,))
        generator = _Generator(graph=graph, weights=weights, name="decoder.embed_to_pixels")
        tokens, out = generator.encoded_waves()
        kernels = generator.kernels(tokens, out, (PATCH * PATCH, architecture.decoder.dim))
        shape = graph.constant("pixels_out.shape", [-1, architecture.decoder.dim], np.int64)
        graph.node("Reshape", [kernels, shape], "pixels_out")
        graph.output("pixels_out", "float32", ["rows", architecture.decoder.dim])
    return graph


def embedding_of(file: Path, wavelengths: Sequence[float]) -> Embedding:
    """Run the graph on the CPU, in one thread: the same bytes however many cores there are."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"wavelengths": np.array(wavelengths, np.float32)}), strict=True))
    shared = {
        name: found[_output_of(name)]
        for name in ("encoder.cls_token", "decoder.mask_patch")
        if _output_of(name) in found
    }
    return Embedding(kernel=found["kernel"], bias=found["bias"], pixels_out=found.get("pixels_out"), shared=shared)


def _pass_on(graph: Graph, weights: Weights, name: str, shape: tuple[int, ...]) -> None:
    """Give a tensor out as it is."""
    output = graph.node("Identity", [graph.weight(name, weights[name])], _output_of(name))
    graph.output(output, "float32", shape)


def _output_of(name: str) -> str:
    return name.rpartition(".")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Generator:
    """One ``DynamicEmbedding``.

    The waves as tokens among learnt ones, one post-norm transformer layer, a linear map to kernels.
    """

    graph: Graph
    weights: Weights
    name: str

    def encoded_waves(self) -> tuple[str, str]:
        """Tokens before and after the transformer layer, both [128 + C + 1, 128]."""
        graph, generator = self.graph, f"{self.name}.weight_generator"
        frequencies = graph.constant("wave.frequencies", wave_frequencies(WAVE)[np.newaxis])
        column = graph.node(
            "Unsqueeze", ["wavelengths", graph.constant("axis.1", [1], np.int64)], f"{self.name}.column"
        )
        angles = graph.node("Mul", [column, frequencies], f"{self.name}.angles")
        sines = [graph.node(operator, [angles], f"{self.name}.{operator}") for operator in ("Sin", "Cos")]
        waves = graph.node("Concat", sines, f"{self.name}.waves", axis=1)
        hidden = self._gelu(self.linear(waves, f"{self.name}.fclayer.l1", f"{self.name}.l1"))
        hidden = self._gelu(self.linear(hidden, f"{self.name}.fclayer.l2", f"{self.name}.l2"))
        waves = graph.node("Add", [waves, hidden], f"{self.name}.waves.encoded")
        learnt = [
            graph.weight(f"{generator}.{each}", self.weights[f"{generator}.{each}"])
            for each in ("weight_tokens", "bias_token")
        ]
        tokens = graph.node("Concat", [learnt[0], waves, learnt[1]], f"{self.name}.tokens", axis=0)
        return tokens, self._layer(tokens, f"{generator}.encoder.layers.0")

    def kernels(self, tokens: str, out: str, shape: tuple[int, ...]) -> str:
        """[C, *shape]: each wave's token after the layer plus before it, mapped and scaled."""
        end = np.iinfo(np.int64).max
        # All but the learnt tokens and the bias token: [128:-1].
        parts = [
            self.slice(self.slice(each, WAVE, end, f"{each}.tail"), 0, -1, f"{each}.waves") for each in (out, tokens)
        ]
        mixed = self.graph.node("Add", parts, f"{self.name}.mixed")
        flat = self.linear(mixed, f"{self.name}.weight_generator.fc_weight", f"{self.name}.kernels.flat")
        scaled = self.graph.node(
            "Mul", [flat, self.graph.constant("kernel.scale", KERNEL_SCALE, np.float32)], f"{self.name}.kernels.scaled"
        )
        return self.graph.node(
            "Reshape",
            [scaled, self.graph.constant(f"{self.name}.shape", [-1, *shape], np.int64)],
            f"{self.name}.kernels",
        )

    def slice(self, value: str, start: int, end: int, output: str) -> str:
        """Rows from ``start`` to ``end``."""
        bounds = [self.graph.constant(f"row.{number}", [number], np.int64) for number in (start, end)]
        return self.graph.node("Slice", [value, *bounds, self.graph.constant("row.0", [0], np.int64)], output)

    def linear(
        self, value: str, layer: str, output: str, *, weight: str = "weight", bias: str = "bias", separator: str = "."
    ) -> str:
        """Multiply with a linear layer's matrix [out, in] and add its bias."""
        names = [f"{layer}{separator}{part}" for part in (weight, bias)]
        return self.graph.node(
            "Gemm", [value, *(self.graph.weight(name, self.weights[name]) for name in names)], output, transB=1
        )

    def _gelu(self, value: str) -> str:
        return self.graph.node("Gelu", [value], f"{value}.gelu")

    def _layer(self, tokens: str, layer: str) -> str:
        """``nn.TransformerEncoderLayer`` with ``norm_first=False``."""
        graph, head = self.graph, WAVE // WAVE_HEADS
        joined = self.linear(tokens, f"{layer}.self_attn", f"{layer}.qkv", weight="in_proj_weight", bias="in_proj_bias")
        shape = graph.constant("heads.shape", [-1, 3, WAVE_HEADS, head], np.int64)
        split = graph.node(
            "Transpose", [graph.node("Reshape", [joined, shape], f"{layer}.split")], f"{layer}.heads", perm=[1, 2, 0, 3]
        )
        query, key, value = graph.nodes_of(
            "Split", [split], [f"{layer}.{each}" for each in "qkv"], axis=0, num_outputs=3
        )
        scores = graph.node(
            "MatMul", [query, graph.node("Transpose", [key], f"{layer}.kt", perm=[0, 1, 3, 2])], f"{layer}.scores"
        )
        scaled = graph.node("Mul", [scores, graph.constant("heads.scale", head**-0.5, np.float32)], f"{layer}.scaled")
        mixed = graph.node(
            "MatMul", [graph.node("Softmax", [scaled], f"{layer}.attention", axis=-1), value], f"{layer}.mixed"
        )
        rows = graph.node("Transpose", [mixed], f"{layer}.rows", perm=[0, 2, 1, 3])
        rows = graph.node("Reshape", [rows, graph.constant("rows.shape", [-1, WAVE], np.int64)], f"{layer}.joined")
        attended = self._norm(
            graph.node(
                "Add", [tokens, self.linear(rows, f"{layer}.self_attn.out_proj", f"{layer}.out")], f"{layer}.sum1"
            ),
            f"{layer}.norm1",
        )
        hidden = self.linear(
            self._gelu(self.linear(attended, f"{layer}.linear1", f"{layer}.up")), f"{layer}.linear2", f"{layer}.down"
        )
        return self._norm(graph.node("Add", [attended, hidden], f"{layer}.sum2"), f"{layer}.norm2")

    def _norm(self, value: str, layer: str) -> str:
        parameters = [
            self.graph.weight(f"{layer}.{part}", self.weights[f"{layer}.{part}"]) for part in ("weight", "bias")
        ]
        return self.graph.node("LayerNormalization", [value, *parameters], f"{layer}.out", axis=-1, epsilon=EPSILON)
