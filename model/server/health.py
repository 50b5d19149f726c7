"""Whether this process can compute at all.

Where a GPU's context failed, every later run does, until another process makes a new one.
"""

import logging
import re
from collections.abc import Callable
from threading import Lock
from typing import Final

from server.memory import out_of_memory
from server.request_log import Log

logger = logging.getLogger("clayline.server")
FAILURES: Final = 5
"""Requests that fail one after the other, with none that succeeds between, before the process is given up, whatever
they fail of."""
_LOST: Final = re.compile(
    # The runtime's errors after which, by its manual, "any further CUDA work will return the same error", and those of
    # a GPU that is gone.
    r"cuda (failure|error) (46|100|101|214|220|226|700|702|709|710|714|715|716|717|718|719|721|999)\b"
    r"|illegal memory access|illegal instruction|misaligned address|device-side assert|unspecified launch"
    r" failure|launch timed out"
    r"|uncorrectable (ecc|nvlink)|gpu is lost|fallen off the bus|no cuda-capable device"
    # What cuDNN and cuBLAS make of these. Their other errors are a request's own.
    r"|cudnn_status_(execution_failed|internal_error)|cublas_status_(execution_failed|internal_error)",
    re.IGNORECASE,
)


def device_lost(error: BaseException) -> bool:
    """Tell whether a run failed so that no later one in this process can succeed.

    ONNX Runtime says it in the text alone.
    """
    return _LOST.search(str(error)) is not None


class Health:
    """What the process's runs tell of it; ``give_up`` is called once, when they tell that it must end."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        """Begin in health."""
        self._give_up = give_up
        self._lock = Lock()
        self._failures = 0
        self._failing = False

    @property
    def failing(self) -> bool:
        """Whether the process was given up; this never passes."""
        return self._failing

    def succeeded(self) -> None:
        """Note a request that was computed."""
        with self._lock:
            self._failures = 0

    def failed(self, error: BaseException, log: Log = logger) -> None:
        """Note a request whose computing failed, of memory only where that did not suffice for one chip of a warm
        entry.
        """
        with self._lock:
            self._failures += 1
            # cuDNN's internal errors have names for memory too, which others may give back.
            lost = device_lost(error) and not out_of_memory(error)
            if self._failing or not (lost or self._failures >= FAILURES):
                return
            self._failing = True
            why = "its device is lost" if lost else f"{FAILURES} requests failed one after the other"
        log.critical("giving up, so that this process is replaced: %s: %s", why, error)
        self._give_up()
