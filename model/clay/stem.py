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
        self._add_rows(graph)
        metadata = graph.node("Concat", ["time", "latlon"], "metadata", axis=1)
        patches = graph.node("Add", [self._patches(graph), self._metadata(graph, metadata, dim)], "patches.encoded")
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
        """Add what gives ``loss`` [N] from ``decoded`` and ``pixels``.

        ``ClayMAE.per_pixel_loss`` of each chip by itself.

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
        rows = graph.node("Gather", ["rows", graph.constant("mask.hidden", hidden)], "rows.hidden", axis=1)
        truth = self._normalised(graph, self._physical(graph, rows, "truth"))
        distance = graph.node("Abs", [graph.node("Sub", [truth, guess], "difference")], "distance")
        loss = graph.node(
            "ReduceMean", [distance, graph.constant("loss.axes", [1, 2], np.int64)], "loss.mean", keepdims=0
        )
        graph.node("Mul", [loss, graph.constant("loss.scale", self.bands.loss_scale, np.float32)], "loss")

    def write_loss(self, mask: Mask, pixels_out: npt.NDArray[np.float32]) -> Graph:
        """Build the graph of ``add_loss`` alone."""
        graph = Graph(name="tail")
        graph.input("decoded", self.tokens, ["N", self.side**2 + 1, self.architecture.decoder.dim])
        declare_inputs(graph, self.bands, self.chip_size, metadata=False)
        self._add_rows(graph)
        self.add_loss(graph, mask, pixels_out)
        graph.output("loss", "float32", ["N"])
        return graph

    def _add_rows(self, graph: Graph) -> None:
        """Add ``rows`` [N, L, C * 64].

        A patch a row, its numbers in the order band, row, column, in the pixels' own type.
        """
        shape = graph.constant("rows.split", [0, len(self.bands.mean), self.side, PATCH, self.side, PATCH], np.int64)
        split = graph.node("Reshape", ["pixels", shape], "pixels.split")
        split = graph.node("Transpose", [split], "pixels.patches", perm=[0, 2, 4, 1, 3, 5])
        shape = graph.constant("rows.shape", [0, self.side**2, len(self.bands.mean) * PATCH**2], np.int64)
        graph.node("Reshape", [split, shape], "rows")

    def _physical(self, graph: Graph, rows: str, prefix: str) -> str:
        """Like ``rows``, float32.

        The digital numbers, or decibels of linear power (values <= 0 count as 1e-10, as in training).
        """
        value = graph.node("Cast", [rows], f"{prefix}.float", to=ELEMENTS["float32"])
        if not self.bands.decibel:
            return value
        floor = graph.constant("power.floor", 1e-10, np.float32)
        broken = graph.node("LessOrEqual", [value, graph.constant("power.zero", 0, np.float32)], f"{prefix}.broken")
        logarithm = graph.node(
            "Log", [graph.node("Where", [broken, floor, value], f"{prefix}.power")], f"{prefix}.logarithm"
        )
        return graph.node(
            "Mul", [logarithm, graph.constant("power.decibels", 10 / np.log(10), np.float32)], f"{prefix}.decibels"
        )

    def _patches(self, graph: Graph) -> str:
        """[N, L, dim] with their positions.

        Unnormalised numbers will do: K' = K / std, b' = b - sum(K * mean / std), folded in float64.

        In float32 whatever the trunk's precision: digital numbers up to 65535 overflow float16, and so do sums over the
        folded kernel. A product of rows is the convolution, since patches do not overlap: cuDNN would plan a Conv anew
        for every size of a batch, and give its result the other way round. The bias goes with the positions, which are
        added anyhow.
        """
        kernel = self.embedding.kernel.astype(np.float64) / np.array(self.bands.std).reshape(1, -1, 1, 1)
        bias = self.embedding.bias - np.einsum("dcij,c->d", kernel, np.array(self.bands.mean))
        matrix = graph.constant("patch.kernel", np.ascontiguousarray(kernel.reshape(len(kernel), -1).T), np.float32)
        product = graph.node("MatMul", [self._physical(graph, "rows", "patches"), matrix], "patches.product")
        places = graph.constant("patches.places", self._positions(len(kernel)) + bias, np.float32)
        return graph.node("Add", [product, places], "patches")

    def _positions(self, dim: int) -> npt.NDArray[np.float32]:
        """[1, L, dim], zeros in the channels of time and latlon."""
        positions = grid_positions(self.side, dim - METADATA, gsd=self.bands.gsd)
        return np.pad(positions, ((0, 0), (0, METADATA)))[np.newaxis]

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

    def _normalised(self, graph: Graph, rows: str) -> str:
        """(x - mean) / std of rows [..., C * 64]."""
        mean, std = (np.repeat(np.array(each, np.float32), PATCH**2) for each in (self.bands.mean, self.bands.std))
        centred = graph.node("Sub", [rows, graph.constant("normal.mean", mean)], "normal.centred")
        return graph.node("Div", [centred, graph.constant("normal.std", std)], "normal")

    def _add_masked(self, graph: Graph, metadata: str, mask: Mask) -> None:
        """Add the second pass's tokens.

        Those that the encoder may see, and what the decoder adds to them and asks with.

        The decoder mixes tokens without regard to their order, so the hidden ones simply follow the visible ones.
        """
        hidden, seen = mask.split(self.side**2)
        dim = self.architecture.decoder.dim
        rows = graph.constant("mask.visible", np.concatenate([[0], seen + 1]))
        graph.node("Gather", ["tokens", rows], "visible", axis=1)
        places = graph.constant("decoder.places", self._positions(dim))
        encoding = graph.node("Add", [places, self._metadata(graph, metadata, dim)], "decoder.encoding")
        visible = graph.node("Gather", [encoding, graph.constant("mask.seen", seen)], "decoder.visible", axis=1)
        none = self._for_each(graph, graph.constant("decoder.cls", np.zeros((1, 1, dim)), np.float32), (1, dim))
        visible = graph.node(
            "Concat", [none, visible], "decoder.visible.all", axis=1
        )  # the class token gets no encoding
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
