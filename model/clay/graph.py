"""An ONNX graph under construction, and the file beside it that holds its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

OPSET = 20
IR_VERSION = 10
MICROSOFT = "com.microsoft"
ALIGNMENT = 64
ELEMENTS = {
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "int64": TensorProto.INT64,
}


@dataclass(kw_only=True, slots=True)
class Graph:
    """Nodes, constants and weights. Every method that adds a node gives the name of the value that it makes."""

    name: str
    weights_file: str | None = None
    """Where ``weight`` puts tensors; None: into the graph itself."""
    nodes: list[NodeProto] = field(default_factory=list)
    initialisers: dict[str, TensorProto] = field(default_factory=dict)
    external: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    inputs: list[ValueInfoProto] = field(default_factory=list)
    outputs: list[ValueInfoProto] = field(default_factory=list)

    def input(self, name: str, element: str, shape: Sequence[int | str]) -> str:
        """Declare an input; a named dimension is open."""
        self.inputs.append(helper.make_tensor_value_info(name, ELEMENTS[element], shape))
        return name

    def output(self, name: str, element: str, shape: Sequence[int | str]) -> None:
        """Declare that the value ``name`` goes out."""
        self.outputs.append(helper.make_tensor_value_info(name, ELEMENTS[element], shape))

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> str:
        """Add a tensor to the graph itself, once by name."""
        if name not in self.initialisers:
            self.initialisers[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def weight(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add a tensor, once by name, to the weights file if the graph has one."""
        if self.weights_file is None:
            return self.constant(name, np.ascontiguousarray(value))
        self.external.setdefault(name, value)
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - as varied as ONNX's
        """Add a node with one output, which names it."""
        return self.nodes_of(operator, inputs, [output], **attributes)[0]

    def nodes_of(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        **attributes: Any,  # noqa: ANN401 - whatever the operator takes
    ) -> Sequence[str]:
        """Add a node with several outputs, of which an empty name is one that nobody wants."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))
        return outputs

    def write(self, folder: Path, file: str) -> list[str]:
        """Write the graph as ``file``, and its weights beside it; give the names of the files written."""
        initialisers = list(self.initialisers.values())
        written = [file]
        if self.weights_file is not None:
            initialisers += _write_weights(folder / self.weights_file, self.external.items())
            written.append(self.weights_file)
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, initializer=initialisers)
        domains = {node.domain for node in self.nodes} | {""}
        opsets = [helper.make_opsetid(domain, 1 if domain else OPSET) for domain in sorted(domains)]
        model: ModelProto = helper.make_model(
            graph, opset_imports=opsets, producer_name="clayline", ir_version=IR_VERSION
        )
        (folder / file).write_bytes(model.SerializeToString(deterministic=True))
        return written


def _write_weights(path: Path, tensors: Iterable[tuple[str, npt.NDArray[Any]]]) -> list[TensorProto]:
    """Lay the tensors out one after the other, each at a multiple of 64 bytes, and give the initialisers that point
    there.
    """
    pointers = []
    with path.open("wb") as file:
        for name, value in tensors:
            file.write(bytes(-file.tell() % ALIGNMENT))
            offset = file.tell()
            array = np.ascontiguousarray(value)
            file.write(array.data)
            pointer = TensorProto(
                name=name,
                data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
                dims=array.shape,
                data_location=TensorProto.EXTERNAL,
            )
            for key, text in (("location", path.name), ("offset", offset), ("length", array.nbytes)):
                pointer.external_data.add(key=key, value=str(text))
            pointers.append(pointer)
    return pointers
