"""What the parts of clay_gpu.py share: the GPU, graphs, chips, contenders, goals."""

import argparse
import importlib.util
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.clay_contenders import Contender, ContenderError, alternate, report
from benchmarks.clay_graphs import Workshop
from benchmarks.clay_operations import chip_operations

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
QUICK_BATCHES = (1, 8, 32, 64)
GPU_QUERY = "name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem,power.draw,temperature.gpu"


def gpu_state() -> dict[str, str]:
    """Read the GPU's name, driver, memory in MB, clocks in MHz, power and temperature.

    Raises OSError or CalledProcessError without one.
    """
    command = ["nvidia-smi", f"--query-gpu={GPU_QUERY}", "--format=csv,noheader,nounits"]
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    return dict(zip(GPU_QUERY.split(","), (field.strip() for field in line.split(",")), strict=True))


def state(device: str) -> dict[str, str]:
    """Give the GPU's state for a line; nothing without one, and what went wrong where it cannot be read."""
    if device == "cpu":
        return {}
    try:
        return gpu_state()
    except (OSError, subprocess.SubprocessError) as error:
        return {"state": str(error)}


def missing(names: tuple[str, ...]) -> list[str]:
    """Tell which of these packages cannot be imported here."""
    return [name for name in names if importlib.util.find_spec(name) is None]


NVIDIA_LIBRARIES = """
import json, pathlib, sys
sites = [pathlib.Path(site).resolve() for site in sys.path]
print(json.dumps([str(lib) for site in sites for lib in sorted(site.glob("nvidia/*/lib"))]))
"""


def nvidia_libraries(python: Path) -> list[str]:
    """Give the folders in which pip put CUDA's libraries for a Python; none where it has none or does not start."""
    try:
        done = subprocess.run([python, "-c", NVIDIA_LIBRARIES], check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    folders: list[str] = json.loads(done.stdout)
    return folders


def lend_cuda_libraries(python: Path, torch_python: Path) -> list[str]:
    """Have what is started from now on find torch's CUDA libraries where ``python``, with ONNX Runtime, has none of its
    own; give them.

    By LD_LIBRARY_PATH and not by torch's place on PYTHONPATH: that would also bring the onnxruntime beside torch,
    perhaps one for the CPU.
    """
    if nvidia_libraries(python):
        return []
    folders = nvidia_libraries(torch_python)
    before = [os.environ["LD_LIBRARY_PATH"]] if os.environ.get("LD_LIBRARY_PATH") else []
    if folders:
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([*before, *folders])
    return folders


class Run:
    """What the parts share, and what they found."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.deadline = time.monotonic() + options.limit
        self.batches = [size for size in (QUICK_BATCHES if options.quick else BATCHES) if size <= options.largest_batch]
        self.workshop = Workshop.open(folder / "graphs", size=options.size, sensor="sentinel-2-l2a", seed=0)
        self.chips = self.workshop.chips(max(self.batches))
        self.operations = chip_operations(
            self.workshop.architecture, bands=len(self.workshop.bands.mean), chip_size=256
        )
        self.matmul_tflops: float | None = None
        self.best = min(self.batches[-1], 32)
        self.resident_speed: float | None = None
        """Chips a second of the fastest batch whose chips and vectors stay on the device."""
        self.goals: dict[str, dict[str, Any]] = {}
        self._contenders: list[Contender] = []

    def graphs(self, stages: list[str]) -> Contender:
        """Start ONNX Runtime with these graphs; none: for products. Raises ContenderError."""
        return self._start("benchmarks.clay_onnx", self.options.python, {"stages": stages, "chips": self.chips})

    def torch(self, **order: Any) -> Contender:  # noqa: ANN401 - whatever JSON holds
        """Start torch. Raises ContenderError."""
        return self._start("benchmarks.clay_torch", self.options.torch_python or self.options.python, order)

    def published(self, *, compiled: bool) -> Contender:
        """Start claymodel. Raises ContenderError."""
        order = {
            "size": self.options.size,
            "seed": 0,
            "compiled": compiled,
            "chips": self.chips,
            "sensor": self.workshop.sensor(),
        }
        return self.torch(**order, claymodel=str(self.options.claymodel.resolve()) if self.options.claymodel else None)

    def _start(self, program: str, python: Path, order: Mapping[str, Any]) -> Contender:
        order = {**order, "device": self.options.device, "threads": self.options.threads}
        seconds = max(1.0, self.deadline - time.monotonic())
        contender = Contender(program, order, folder=self.folder, python=str(python), seconds=seconds)
        self._contenders.append(contender)
        report({"name": "clay_gpu_contender", "program": program, **contender.started})
        return contender

    def take_turns(self, work: Mapping[str, Callable[[], Mapping[str, float]]]) -> dict[str, list[Mapping[str, float]]]:
        """Measure all in turn while there is time, and say which failed.

        Raises ContenderError where none completed a round.
        """

        def dropped(name: str, error: ContenderError) -> None:
            not_done(f"further rounds of {name}", error)

        found = alternate(work, rounds=self.options.rounds, dropped=dropped, deadline=self.deadline)
        if not found:
            raise ContenderError("no round was completed")
        return found

    def memory_mb(self) -> float | None:
        """Give the GPU's memory in use, all processes together; None without a GPU."""
        return float(gpu_state()["memory.used"]) if self.options.device == "cuda" else None

    def goal(self, name: str, value: float, target: float) -> None:
        """Remember a number with its goal for the summary."""
        self.goals[name] = {"value": round(value, 5), "target": target, "met": value >= target}

    def end(self) -> None:
        """End all contenders: memory of one part must not lie in the next one's way."""
        while self._contenders:
            self._contenders.pop().stop()


def not_done(what: str, why: object) -> None:
    """Say what could not be measured."""
    report({"name": "clay_gpu", "not_done": what, "why": str(why)})
