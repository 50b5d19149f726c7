"""An entry's graphs, one after the other.

A whole model in one, or a stem, a trunk that other entries share, and a tail for the losses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import NodeArg, OrtValue

from clayline.errors import ModelError
from clayline.model.manifest import ModelEntry
from server.sessions import CPU, Device, device_of

_GRAPH_TYPE: Final = {"uint8": "tensor(uint8)", "uint16": "tensor(uint16)", "float32": "tensor(float)"}
_RESULT_TYPES: Final = {"tensor(float)", "tensor(float16)"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One graph of a chain."""

    session: onnxruntime.InferenceSession
    inputs: tuple[str, ...]
    """Names of the entry's inputs, or of outputs of the stages before."""
    passed: tuple[str, ...]
    """Outputs that later stages take: they stay on the device."""
    results: tuple[str, ...]
    """Outputs that leave the chain: they come to the CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """Stages whose results, in order, are embeddings [N, D] and, with a loss metric, losses [N]."""

    stages: tuple[Stage, ...]

    @property
    def providers(self) -> list[list[str]]:
        """What each stage's session got of ONNX Runtime's execution providers."""
        return [stage.session.get_providers() for stage in self.stages]

    @property
    def device(self) -> Device:
        """Where the costly part runs, ``cuda`` or ``cpu``: the trunk, or the only graph."""
        return device_of(self.stages[min(1, len(self.stages) - 1)].session)

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Compute one micro-batch and give its results as float32, whatever the graphs' precision.

        What passes between stages is never copied through numpy. Raises RuntimeError where ONNX Runtime fails,
        MemoryError.
        """
        values = {
            name: OrtValue.ortvalue_from_numpy(array) for name, array in feed.items()
        }  # no copy: it is the array's memory
        results: list[NDArray[np.float32]] = []
        for stage in self.stages:
            binding = stage.session.io_binding()
            for name in stage.inputs:
                # Where the session wants it on another device than it lies on, this copies it there, into the session's
                # own arena.
                binding.bind_ortvalue_input(name, values[name])
            for name in stage.passed:
                binding.bind_output(name, device_of(stage.session))
            for name in stage.results:
                binding.bind_output(name, CPU)
            stage.session.run_with_iobinding(binding)
            given = dict(zip((*stage.passed, *stage.results), binding.get_outputs(), strict=True))
            values |= given
            results += [np.array(given[name].numpy(), np.float32) for name in stage.results]
        return results


def link(entry: ModelEntry, sessions: Mapping[str, onnxruntime.InferenceSession], *, where: str) -> Chain:
    """Make an entry's chain of ``sessions``, by file name.

    Raises ModelError, beginning with ``where``, where names or types do not fit.
    """
    stem = sessions[entry.graph]
    _check_entry_inputs(entry, stem, where=where)
    if entry.trunk is None:
        wanted = 1 if entry.loss_metric is None else 2
        if len(stem.get_outputs()) < wanted:
            raise ModelError(
                f"{where}: the graph has no second output for the loss {entry.loss_metric}; export the folder again"
            )
        results = tuple(_result(node, entry.graph, where=where) for node in stem.get_outputs()[:wanted])
        return Chain(stages=(Stage(session=stem, inputs=entry.inputs, passed=(), results=results),))
    trunk = sessions[entry.trunk]
    offered = {node.name: node for node in stem.get_outputs()}
    trunk_inputs = _linked(trunk, offered, graph=entry.trunk, where=where)
    embeddings = _result(trunk.get_outputs()[0], entry.trunk, where=where)
    if entry.tail is None:
        return Chain(
            stages=(
                Stage(session=stem, inputs=entry.inputs, passed=trunk_inputs, results=()),
                Stage(session=trunk, inputs=trunk_inputs, passed=(), results=(embeddings,)),
            )
        )
    tail = sessions[entry.tail]
    from_trunk = {node.name: node for node in trunk.get_outputs()}
    if both := sorted(offered.keys() & from_trunk.keys()):
        raise ModelError(
            f"{where}: {entry.graph} and {entry.trunk} both give {both}, so what {entry.tail} takes is not clear;"
            " rename one"
        )
    pixels = {node.name: node for node in stem.get_inputs() if node.name == "pixels"}
    tail_inputs = _linked(tail, offered | from_trunk | pixels, graph=entry.tail, where=where)
    loss = _result(tail.get_outputs()[0], entry.tail, where=where)
    later = dict.fromkeys((*trunk_inputs, *(name for name in tail_inputs if name in offered)))
    passed = tuple(name for name in tail_inputs if name in from_trunk and name != embeddings)
    return Chain(
        stages=(
            Stage(session=stem, inputs=entry.inputs, passed=tuple(later), results=()),
            Stage(session=trunk, inputs=trunk_inputs, passed=passed, results=(embeddings,)),
            Stage(session=tail, inputs=tail_inputs, passed=(), results=(loss,)),
        )
    )


def _check_entry_inputs(entry: ModelEntry, stem: onnxruntime.InferenceSession, *, where: str) -> None:
    expected = {name: ("tensor(float)", [4]) for name in entry.inputs}
    expected["pixels"] = (_GRAPH_TYPE[entry.dtype], [len(entry.bands), entry.chip_size, entry.chip_size])
    found = {node.name: (node.type, node.shape[1:]) for node in stem.get_inputs()}
    if found.keys() != expected.keys() or not all(
        found[name][0] == kind and _agree(found[name][1], shape) for name, (kind, shape) in expected.items()
    ):
        raise ModelError(
            f"{where}: the graph's inputs (without N) are {found}, the manifest's are {expected}; export the folder"
            " again"
        )
    _check_open(stem.get_inputs(), graph=entry.graph, where=where)


def _linked(
    session: onnxruntime.InferenceSession, offered: Mapping[str, NodeArg], *, graph: str, where: str
) -> tuple[str, ...]:
    """Names of a later stage's inputs, each of which must be ``offered`` with its type and, where both say it, its
    shape.
    """
    for node in session.get_inputs():
        other = offered.get(node.name)
        if other is None:
            raise ModelError(
                f"{where}: {graph} takes {node.name}, which no graph before it gives ({sorted(offered)}); export the"
                " folder again"
            )
        if node.type != other.type or not _agree(node.shape[1:], other.shape[1:]):
            kinds = f"{node.type} {node.shape}, it is given {other.type} {other.shape}"
            raise ModelError(f"{where}: {graph} takes {node.name} as {kinds}; export the folder again")
    _check_open(session.get_inputs(), graph=graph, where=where)
    return tuple(node.name for node in session.get_inputs())


def _check_open(nodes: Iterable[NodeArg], *, graph: str, where: str) -> None:
    fixed = [node.name for node in nodes if not node.shape or isinstance(node.shape[0], int)]
    if fixed:
        raise ModelError(f"{where}: {graph} fixes the number of chips of {fixed}; export it with N left open")


def _result(node: NodeArg, graph: str, *, where: str) -> str:
    if node.type not in _RESULT_TYPES:
        raise ModelError(f"{where}: {node.name} of {graph} is {node.type}, no floating point; export the folder again")
    return str(node.name)


def _agree(found: list[int | str | None], expected: list[int | str | None] | list[int]) -> bool:
    """Compare dimensions; one that a graph leaves open (a name or None) agrees with every number."""
    same_rank = len(found) == len(expected)
    return same_rank and all(
        one == other
        for one, other in zip(found, expected, strict=True)
        if isinstance(one, int) and isinstance(other, int)
    )
