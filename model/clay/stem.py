"""The small graphs of one sensor: from digital numbers to tokens, and (with a loss) from decoded tokens to the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clay.architecture import METADATA, PATCH, Architecture
from clay.graph import ELEMENTS, Graph
from clay.positions import grid_positions

if TYPE_CHECKING:
    import numpy.typing as npt

    from clay.hyper_network import Embedding
    from clay.mask import Mask
    from clay.sensor import BandSet


@dataclass(frozen=True, kw_only=True, slots=True)
class Stem:
    """What is particular to one sensor's chips; everything else is the trunk."""

    architecture: Architecture
    bands: BandSet
    chip_size: int
    """Pixels; a multiple of 8."""
    embedding: Embedding
    tokens: str
    """Element type in which the trunk takes tokens."""
    mask: Mask | None

    @property
    def side(self) -> int:
        """Patches a side."""
        return self.chip_size // PATCH

    def add_tokens(self, graph: Graph) -> None:
        """Add what gives ``tokens`` and, with a mask, ``visible``, ``visible_encoding`` and ``masked_queries``."""
        dim = self.architecture.encoder.dim
        metadata = graph.node("Concat", ["time", "latlon"], "metadata", axis=1)
        patches = graph.node("Add", [self._patches(graph), self._positions(graph, "encoder", dim)], "patches.placed")
        patches = graph.node("Add", [patches, self._metadata(graph, metadata, dim)], "patches.encoded")
        cls = graph.constant("cls_token", self.embedding.shared["encoder.cls_token"], np.float32)
        tokens = graph.node("Concat", [self._for_each(graph, cls, (1, dim)), patches], "tokens.wide", axis=1)
        graph.node("Cast", [tokens], "tokens", to=ELEMENTS[self.tokens])
        if self.mask is not None:
            self._add_masked(graph, metadata, self.mask)

    def write_tokens(self) -> Graph:
        """Build the graph of ``add_tokens`` alone."""
        graph = Graph(name="stem")
        declare_inputs(graph, self.bands, self.chip_size, metadata=True)
        self.add_tokens(graph)
        dims = self.architecture.encoder.dim, self.architecture.decoder.dim
        count = self.side**2
        graph.output("tokens", self.tokens, ["N", count + 1, dims[0]])
        if self.mask is not None:
            hidden, seen = self.mask.split(count)
            graph.output("visible", self.tokens, ["N", len(seen) + 1, dims[0]])
            graph.output("visible_encoding", self.tokens, ["N", len(seen) + 1, dims[1]])
            graph.output("masked_queries", self.tokens, ["N", len(hidden), dims[1]])
        return graph

    def add_loss(self, graph: Graph, mask: Mask, pixels_out: npt.NDArray[np.float32]) -> None:
        """Add what gives ``loss`` [N] from ``decoded`` and ``pixels``: ``ClayMAE.per_pixel_loss`` of each chip by itself.

        L1 between the normalised chip's patches and the decoder's, the mean over a patch, then over the hidden patches.
        """
        hidden, seen = mask.split(self.side**2)
        bounds = [
            graph.constant(f"decoded.{what}", [number], np.int64)
            for what, number in (("start", 1 + len(seen)), ("end", 1 + len(seen) + len(hidden)), ("axis", 1))
        ]
        wide = graph.node("Cast", ["decoded"], "decoded.wide", to=ELEMENTS["float32"])
        masked = graph.node("Slice", [wide, *bounds], "decoded.masked")
        matrix = graph.constant("pixels_out", np.ascontiguousarray(pixels_out.T))
        guess = graph.node("MatMul", [masked, matrix], "guess")
        shape = [0, len(self.bands.mean), self.side, PATCH, self.side, PATCH]
        truth = graph.node("Reshape", [self._normalised(graph), graph.constant("truth.shape", shape, np.int64)], "truth.split")
        truth = graph.node("Transpose", [truth], "truth.patches", perm=[0, 2, 4, 1, 3, 5])
        rows = graph.constant("truth.rows", [0, self.side**2, len(self.bands.mean) * PATCH**2], np.int64)
        truth = graph.node("Reshape", [truth, rows], "truth.rows.all")
        truth = graph.node("Gather", [truth, graph.constant("mask.hidden", hidden)], "truth", axis=1)
        distance = graph.node("Abs", [graph.node("Sub", [truth, guess], "difference")], "distance")
        loss = graph.node("ReduceMean", [distance, graph.constant("loss.axes", [1, 2], np.int64)], "loss.mean", keepdims=0)
        graph.node("Mul", [loss, graph.constant("loss.scale", self.bands.loss_scale, np.float32)], "loss")

    def write_loss(self, mask: Mask, pixels_out: npt.NDArray[np.float32]) -> Graph:
        """Build the graph of ``add_loss`` alone."""
        graph = Graph(name="tail")
        graph.input("decoded", self.tokens, ["N", self.side**2 + 1, self.architecture.decoder.dim])
        declare_inputs(graph, self.bands, self.chip_size, metadata=False)
        graph.node("Identity", [self._physical(graph)], "physical")
        self.add_loss(graph, mask, pixels_out)
        graph.output("loss", "float32", ["N"])
        return graph

    def _physical(self, graph: Graph) -> str:
        """[N, C, H, W] float32: the digital numbers, or decibels of linear power (values <= 0 count as 1e-10, as in training)."""
        value = graph.node("Cast", ["pixels"], "pixels.float", to=ELEMENTS["float32"])
        if not self.bands.decibel:
            return value
        floor = graph.constant("power.floor", 1e-10, np.float32)
        broken = graph.node("LessOrEqual", [value, graph.constant("power.zero", 0, np.float32)], "power.broken")
        logarithm = graph.node("Log", [graph.node("Where", [broken, floor, value], "power")], "power.logarithm")
        return graph.node("Mul", [logarithm, graph.constant("power.decibels", 10 / np.log(10), np.float32)], "decibels")

    def _patches(self, graph: Graph) -> str:
        """[N, L, dim]. The convolution takes unnormalised numbers: K' = K / std, b' = b - sum(K * mean / std), folded in float64.

        In float32 whatever the trunk's precision: digital numbers up to 65535 overflow float16, and so do sums over the folded kernel.
        """
        kernel = self.embedding.kernel.astype(np.float64) / np.array(self.bands.std).reshape(1, -1, 1, 1)
        bias = self.embedding.bias - np.einsum("dcij,c->d", kernel, np.array(self.bands.mean))
        parameters = graph.constant("patch.kernel", kernel.astype(np.float32)), graph.constant("patch.bias", bias.astype(np.float32))
        image = graph.node("Identity", [self._physical(graph)], "physical")
        grid = graph.node("Conv", [image, *parameters], "patches.grid", kernel_shape=[PATCH, PATCH], strides=[PATCH, PATCH])
        shape = graph.constant("patches.shape", [0, self.architecture.encoder.dim, self.side**2], np.int64)
        return graph.node("Transpose", [graph.node("Reshape", [grid, shape], "patches.columns")], "patches", perm=[0, 2, 1])

    def _positions(self, graph: Graph, what: str, dim: int) -> str:
        positions = grid_positions(self.side, dim - METADATA, gsd=self.bands.gsd)
        return graph.constant(f"positions.{what}", np.pad(positions, ((0, 0), (0, METADATA)))[np.newaxis])

    @staticmethod
    def _metadata(graph: Graph, metadata: str, dim: int) -> str:
        """[N, 1, dim]: time and latlon in the last channels, zeros before them."""
        # A product with zeros and ones, which is exact: ONNX Runtime's Pad would leave a GPU for the CPU.
        places = graph.constant(f"metadata.places.{dim}", np.eye(METADATA, dim, dim - METADATA), np.float32)
        row = graph.node("MatMul", [metadata, places], f"metadata.{dim}")
        return graph.node("Unsqueeze", [row, graph.constant("metadata.axis", [1], np.int64)], f"metadata.row.{dim}")

    @staticmethod
    def _for_each(graph: Graph, value: str, shape: tuple[int, ...]) -> str:
        """Repeat ``value`` [1, *shape] for every chip."""
        count = graph.node("Shape", ["time"], f"{value}.count", start=0, end=1)
        full = graph.node("Concat", [count, graph.constant(f"{value}.shape", shape, np.int64)], f"{value}.full", axis=0)
        return graph.node("Expand", [value, full], f"{value}.expanded")

    def _normalised(self, graph: Graph) -> str:
        mean, std = (np.array(each, np.float32).reshape(1, -1, 1, 1) for each in (self.bands.mean, self.bands.std))
        centred = graph.node("Sub", ["physical", graph.constant("normal.mean", mean)], "normal.centred")
        return graph.node("Div", [centred, graph.constant("normal.std", std)], "normal")

    def _add_masked(self, graph: Graph, metadata: str, mask: Mask) -> None:
        """Add the second pass's tokens: those that the encoder may see, and what the decoder adds to them and asks with.

        The decoder mixes tokens without regard to their order, so the hidden ones simply follow the visible ones.
        """
        hidden, seen = mask.split(self.side**2)
        dim = self.architecture.decoder.dim
        rows = graph.constant("mask.visible", np.concatenate([[0], seen + 1]))
        graph.node("Gather", ["tokens", rows], "visible", axis=1)
        encoding = graph.node("Add", [self._positions(graph, "decoder", dim), self._metadata(graph, metadata, dim)], "decoder.encoding")
        visible = graph.node("Gather", [encoding, graph.constant("mask.seen", seen)], "decoder.visible", axis=1)
        none = self._for_each(graph, graph.constant("decoder.cls", np.zeros((1, 1, dim)), np.float32), (1, dim))
        visible = graph.node("Concat", [none, visible], "decoder.visible.all", axis=1)  # the class token gets no encoding
        queries = graph.node("Gather", [encoding, graph.constant("mask.hidden", hidden)], "decoder.hidden", axis=1)
        patch = graph.constant("mask_patch", self.embedding.shared["decoder.mask_patch"], np.float32)
        queries = graph.node("Add", [queries, patch], "decoder.queries")
        graph.node("Cast", [visible], "visible_encoding", to=ELEMENTS[self.tokens])
        graph.node("Cast", [queries], "masked_queries", to=ELEMENTS[self.tokens])


def declare_inputs(graph: Graph, bands: BandSet, chip_size: int, *, metadata: bool) -> None:
    """Declare ``pixels`` and, if wanted, ``time`` and ``latlon``."""
    graph.input("pixels", bands.dtype, ["N", len(bands.mean), chip_size, chip_size])
    if metadata:
        graph.input("time", "float32", ["N", 4])
        graph.input("latlon", "float32", ["N", 4])
