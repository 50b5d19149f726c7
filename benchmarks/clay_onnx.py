"""A contender: Clay's graphs one after the other in ONNX Runtime, with the server's session options."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

from benchmarks.clay_worker import load_chips, serve, timed

from server.sessions import CUDA, CUDA_OPTIONS, CUDA_PROVIDER, cuda_fault, load_cuda_libraries, session_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.clay_worker import Handler, Order


class Graphs:
    """Stages whose inputs are chips or outputs of stages before.

    The first output of the last but the tail is the embedding.
    """

    def __init__(self, order: Order) -> None:
        self._device: str = order["device"]
        self._stages = [Path(name) for name in order["stages"]]
        self._threads: int = order["threads"]
        self._chips = load_chips(Path(order["chips"]))
        self._resident: dict[tuple[int, int], dict[str, onnxruntime.OrtValue]] = {}
        self._spent: dict[str, dict[str, float]] = {}
        self.open()

    def open(self) -> None:
        """Load the graphs (again: what their arenas held is given back)."""
        self._sessions: list[onnxruntime.InferenceSession] = []
        self._resident.clear()
        self._sessions = [_session(path, device=self._device, threads=self._threads) for path in self._stages]

    def once(self, start: int, stop: int, *, resident: bool) -> list[onnxruntime.OrtValue]:
        """Compute one micro-batch. ``resident``: chips lie on the device already and vectors stay there."""
        place = self._device if resident else "cpu"
        values = self._inputs(start, stop, place)
        wanted = {node.name for session in self._sessions for node in session.get_inputs()}
        results: list[onnxruntime.OrtValue] = []
        for path, session in zip(self._stages, self._sessions, strict=True):
            cpu, wall = time.process_time(), time.perf_counter()
            binding = session.io_binding()
            for node in session.get_inputs():
                binding.bind_ortvalue_input(node.name, values[node.name])
            names = [node.name for node in session.get_outputs()]
            for name in names:
                binding.bind_output(name, self._device if name in wanted else place)
            session.run_with_iobinding(binding)
            if self._device == CUDA:
                binding.synchronize_outputs()
            spent = self._spent.setdefault(path.stem, {"seconds": 0.0, "cpu_seconds": 0.0})
            spent["seconds"] += time.perf_counter() - wall
            spent["cpu_seconds"] += time.process_time() - cpu
            given = dict(zip(names, binding.get_outputs(), strict=True))
            results += [value for name, value in given.items() if name not in wanted]
            values = values | given
        return results

    def _inputs(self, start: int, stop: int, place: str) -> dict[str, onnxruntime.OrtValue]:
        if place == "cpu":
            return {
                name: onnxruntime.OrtValue.ortvalue_from_numpy(array[start:stop]) for name, array in self._chips.items()
            }
        if (start, stop) not in self._resident:
            self._resident[start, stop] = {
                name: onnxruntime.OrtValue.ortvalue_from_numpy(array[start:stop], place, 0)
                for name, array in self._chips.items()
            }
        return self._resident[start, stop]

    def run(self, order: Order) -> dict[str, Any]:
        """Time ``repeat`` times all of ``chips`` chips, ``micro_batch`` at a time."""
        spans = _spans(order)
        resident = bool(order.get("resident"))

        def work() -> None:
            for start, stop in spans:
                self.once(start, stop, resident=resident)

        return timed(work, repeat=order.get("repeat", 1))

    def stages(self, order: Order) -> dict[str, Any]:
        """Do what ``run`` does, and tell each graph's seconds by its file's name."""
        self._spent.clear()
        return self.run(order) | {"stages": dict(self._spent)}

    def embed(self, order: Order) -> dict[str, Any]:
        """Write the vectors of ``chips`` chips to ``to``, [N, D] float32."""
        parts = [self.once(start, stop, resident=False)[0].numpy() for start, stop in _spans(order)]
        np.save(order["to"], np.concatenate(parts).astype(np.float32))
        return {}

    def reopen(self, _order: Order) -> dict[str, Any]:
        """Load the graphs again."""
        self.open()
        return {}


def product_rate(order: Order) -> dict[str, Any]:
    """Time ``rows`` x ``inner`` x ``columns`` products of random float16 numbers on the device, in operations a
    second.
    """
    rows, inner, columns = order["product"]
    x, y, z = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, shape)
        for name, shape in (("x", [rows, inner]), ("y", [inner, columns]), ("z", [rows, columns]))
    )
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "y"], ["z"])], "product", [x, y], [z])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    session = _session(model.SerializeToString(), device=order["device"], threads=order["threads"])
    random = np.random.default_rng(0)
    binding = session.io_binding()
    for name, shape in (("x", (rows, inner)), ("y", (inner, columns))):
        numbers = random.standard_normal(shape, np.float32).astype(np.float16)
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(numbers, order["device"], 0))
    binding.bind_output("z", order["device"])
    rates = []
    for _ in range(order["repeat"] + 3):
        started = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        rates.append(2 * rows * inner * columns / (time.perf_counter() - started))
    return {"tflops": float(np.median(rates[3:])) / 1e12}


def _spans(order: Order) -> list[tuple[int, int]]:
    size = order["micro_batch"]
    return [(start, min(start + size, order["chips"])) for start in range(0, order["chips"], size)]


def _session(model: Path | bytes, *, device: str, threads: int) -> onnxruntime.InferenceSession:
    source = str(model) if isinstance(model, Path) else model
    options = session_options(threads=threads)
    if device != CUDA:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        raise ImportError(
            f"onnxruntime {onnxruntime.__version__} here is a build without CUDA: install onnxruntime-gpu"
        )
    load_cuda_libraries()
    session = onnxruntime.InferenceSession(
        source, options, providers=[(CUDA_PROVIDER, dict(CUDA_OPTIONS)), "CPUExecutionProvider"]
    )
    if CUDA_PROVIDER not in session.get_providers():
        raise RuntimeError(f"ONNX Runtime fell back to the CPU: {cuda_fault()}")
    return session


def versions(_order: Order) -> dict[str, Any]:
    """Give what it runs with."""
    return {"onnxruntime": onnxruntime.__version__, "python": sys.version.split()[0]}


def make(order: Order) -> Mapping[str, Handler]:
    """Make the contender: graphs, or none where only products are to be timed."""
    if not order["stages"]:
        _session_possible(order)
        return {"versions": versions, "product": lambda asked: product_rate({**order, **asked})}
    graphs = Graphs(order)
    return {
        "versions": versions,
        "run": graphs.run,
        "stages": graphs.stages,
        "embed": graphs.embed,
        "reopen": graphs.reopen,
    }


def _session_possible(order: Order) -> None:
    product_rate({**order, "product": (8, 8, 8), "repeat": 1})


if __name__ == "__main__":
    # ONNX Runtime's errors share no base class but Exception.
    found = (getattr(onnxruntime_pybind11_state, name) for name in dir(onnxruntime_pybind11_state))
    serve(make, errors=tuple(each for each in found if isinstance(each, type) and issubclass(each, Exception)))
