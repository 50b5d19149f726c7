"""What a contender of clay_cpu.py and clay_gpu.py is: a process that does as it is told, a line of JSON an order.

One process a contender, so that memory is each one's own, torch and ONNX Runtime never share a heap or an interpreter's
version, and a library that is missing or dies takes only its own contender along. Python 3.11 and later: torch's CPU
build is there for no newer one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Order = Mapping[str, Any]
    Handler = Callable[[Order], dict[str, Any]]


def peak_memory_mb() -> float:
    """Read this process's largest resident size so far."""
    line = next(
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024 / 1e6


def load_chips(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the chips that the driver wrote: ``pixels``, ``time``, ``latlon``."""
    return {name: np.load(folder / f"{name}.npy") for name in ("pixels", "time", "latlon")}


def timed(work: Callable[[], None], *, repeat: int) -> dict[str, float]:
    """Do it ``repeat`` times; ``work`` must wait for its device.

    Gives wall seconds and CPU seconds, of all of them together.
    """
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeat):
        work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def serve(make: Callable[[Order], Mapping[str, Handler]], *, errors: tuple[type[Exception], ...] = ()) -> None:
    """Make the contender of the JSON file that the command line names, say so, then answer orders until there are no
    more.

    An order is {"do": NAME, ...}. An answer has ``error`` where the handler raised one of the usual errors, or of
    ``errors``, a library's own: memory that does not suffice, a missing library. Any other ends the process, and the
    driver reads its last line.
    """
    # Libraries print; the answers' pipe is not theirs.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    caught: tuple[type[Exception], ...] = (
        ImportError,
        RuntimeError,
        MemoryError,
        OSError,
        ValueError,
        AssertionError,
        *errors,
    )

    def answer(give: Callable[[], dict[str, Any]]) -> bool:
        try:
            content = give()
        except caught as error:
            content = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:500]}
        answers.write(json.dumps(content | {"peak_rss_mb": round(peak_memory_mb())}) + "\n")
        answers.flush()
        return "error" not in content

    handlers: dict[str, Handler] = {}

    def start() -> dict[str, Any]:
        started = time.perf_counter()
        handlers.update(make(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
        return {"load_seconds": round(time.perf_counter() - started, 2), **handlers["versions"]({})}

    if not answer(start):
        return
    for line in sys.stdin:
        order = json.loads(line)
        answer(lambda order=order: handlers[order["do"]](order))  # type: ignore[misc]
