"""Write one entry's ONNX graph: raw digital numbers in, embedding and (where there is a decoder) loss out.

pixels -> Cast -> fixed stretch to [0, 1] -> the network's own normalisation -> stem and blocks 0..10 -> global average
pool. An entry with NIR and SWIR runs its two three-band images as one batch of twice the size, so the graph holds the
network once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from starter import backbone

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from starter.decoder import Decoder
    from starter.entries import Entry

OPSET = 17
IR_VERSION = 8
ALIGNMENT = 64
THUMBNAIL = 8
_DTYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16}


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """The backbone's tensors as one external-data file."""

    file: str
    """Its name, beside the graphs."""
    data: bytes
    """Little-endian float32, each tensor at a multiple of 64 bytes."""
    tensors: tuple[onnx.TensorProto, ...]
    """Initialisers that point into the file."""


def pack(folded: Mapping[str, npt.NDArray[np.float32]], file: str) -> Weights:
    """Lay the folded tensors out in one file in the mapping's order."""
    data = bytearray()
    tensors = []
    for name, array in folded.items():
        data += bytes(-len(data) % ALIGNMENT)
        raw = np.ascontiguousarray(array, dtype="<f4").tobytes()
        tensor = TensorProto(
            name=name, data_type=TensorProto.FLOAT, dims=array.shape, data_location=TensorProto.EXTERNAL
        )
        for key, value in (("location", file), ("offset", len(data)), ("length", len(raw))):
            tensor.external_data.add(key=key, value=str(value))
        data += raw
        tensors.append(tensor)
    return Weights(file=file, data=bytes(data), tensors=tuple(tensors))


class _Builder:
    """Nodes and initialisers of a graph under construction; every method returns the name of the value it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Add an initialiser held in the graph itself."""
        self.initialisers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: int | list[int]) -> str:
        """Add a node with one output, which names it."""
        node = helper.make_node(operator, inputs, [output], name=output)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(attributes.items()))
        self.nodes.append(node)
        return output

    def convolution(self, step: backbone.Convolution, value: str) -> str:
        """Add a convolution (with TensorFlow's SAME padding for sides that are multiples of its stride) and its
        ReLU6.
        """
        total = step.kernel - step.stride
        before, after = total // 2, total - total // 2
        value = self.node(
            "Conv",
            [value, f"{step.name}.weight", f"{step.name}.bias"],
            step.name,
            kernel_shape=[step.kernel, step.kernel],
            strides=[step.stride, step.stride],
            pads=[before, before, after, after],
            group=step.groups,
        )
        return self.node("Clip", [value, "zero", "six"], f"{step.name}.relu6") if step.relu6 else value


def _stretched(build: _Builder, entry: Entry) -> str:
    """[B, C, H, W] digital numbers -> float32 in [0, 1]: (DN - low) / (high - low), clipped."""
    low, high = (np.array([entry.stretch[band][side] for band in entry.bands], dtype=np.float64) for side in (0, 1))
    scale = build.constant("stretch.scale", (1.0 / (high - low)).astype(np.float32).reshape(1, -1, 1, 1))
    offset = build.constant("stretch.offset", (-low / (high - low)).astype(np.float32).reshape(1, -1, 1, 1))
    value = build.node("Cast", ["pixels"], "pixels.float", to=TensorProto.FLOAT)
    value = build.node("Mul", [value, scale], "pixels.scaled")
    value = build.node("Add", [value, offset], "pixels.shifted")
    return build.node("Clip", [value, "zero", "one"], "stretched")


def _embedded(build: _Builder, entry: Entry, stretched: str) -> str:
    """[B, C, H, W] in [0, 1] -> [B, 112 a image]; each image's three bands as the network takes red, green, blue."""
    order = [entry.bands.index(band) for image in entry.images for band in image]
    value = build.node(
        "Gather", [stretched, build.constant("images.order", np.array(order, dtype=np.int64))], "images.bands", axis=1
    )
    value = build.node(
        "Mul",
        [value, build.constant("network.scale", np.array(1.0 / backbone.NETWORK_STD, dtype=np.float32))],
        "images.scaled",
    )
    shift = build.constant("network.offset", np.array(-backbone.NETWORK_MEAN / backbone.NETWORK_STD, dtype=np.float32))
    value = build.node("Add", [value, shift], "images.normalised")
    side = entry.chip_size
    value = build.node(
        "Reshape", [value, build.constant("images.shape", np.array([-1, 3, side, side], dtype=np.int64))], "images"
    )
    value = build.convolution(backbone.STEM, value)
    for index, block in enumerate(backbone.blocks()):
        before = value
        for step in block.convolutions:
            value = build.convolution(step, value)
        if block.skip:
            value = build.node("Add", [value, before], f"block{index:02d}.sum")
    value = build.node("GlobalAveragePool", [value], "pooled")
    return build.node(
        "Reshape",
        [value, build.constant("embeddings.shape", np.array([-1, entry.dimensions], dtype=np.int64))],
        "embeddings",
    )


def _loss(build: _Builder, entry: Entry, decoder: Decoder, stretched: str, embeddings: str) -> None:
    """Mean absolute difference between the chip's 8 x 8 block means (all bands) and the decoder's guess at them from
    the embedding.
    """
    block = entry.chip_size // THUMBNAIL
    means = build.node(
        "AveragePool", [stretched], "thumbnail.blocks", kernel_shape=[block, block], strides=[block, block]
    )
    truth = build.node("Flatten", [means], "thumbnail", axis=1)
    matrix = build.constant("decoder.matrix", decoder.matrix)
    guess = build.node("Gemm", [embeddings, matrix, build.constant("decoder.bias", decoder.bias)], "decoded")
    gap = build.node("Abs", [build.node("Sub", [truth, guess], "thumbnail.difference")], "thumbnail.distance")
    build.node("ReduceMean", [gap], "loss", axes=[1], keepdims=0)


def write(entry: Entry, weights: Weights, decoder: Decoder | None) -> bytes:
    """Serialise the graph of one entry.

    Input `pixels` [B, C, 64, 64] raw DN, outputs `embeddings` [B, D] and, with a decoder, `loss` [B].

    The weights stay outside, in `weights.file`, which a runtime finds beside the graph.
    """
    build = _Builder()
    build.initialisers.extend(weights.tensors)
    for name, value in (("zero", 0.0), ("one", 1.0), ("six", 6.0)):
        build.constant(name, np.array(value, dtype=np.float32))
    stretched = _stretched(build, entry)
    embeddings = _embedded(build, entry, stretched)
    side = entry.chip_size
    inputs = [helper.make_tensor_value_info("pixels", _DTYPES[entry.dtype], ["batch", len(entry.bands), side, side])]
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", entry.dimensions])]
    if decoder is not None:
        _loss(build, entry, decoder, stretched, embeddings)
        outputs.append(helper.make_tensor_value_info("loss", TensorProto.FLOAT, ["batch"]))
    graph = helper.make_graph(build.nodes, entry.token, inputs, outputs, initializer=build.initialisers)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="clayline-starter", ir_version=IR_VERSION
    )
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised
