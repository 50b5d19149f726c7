"""Chains that stand in for a folder's graphs and do as a test tells them.

What their chips' first pixel says decides.
"""

import threading
import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SECONDS: Final = 60
"""After which a test is stuck and fails. Nothing that works takes near so long."""


class Fate(IntEnum):
    """What a chip's first pixel tells the chain to do with the run."""

    FAIL = 1
    FIT_IN_TWOS = 2
    NEVER_FIT = 3
    WAIT = 4
    FAIL_BESIDE = 5


@dataclass
class Told:
    """A chain that does as it is told."""

    device: str = "cpu"
    waits: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        count, fate = len(feed["pixels"]), feed["pixels"][0, 0, 0, 0]
        if fate == Fate.FAIL:
            raise RuntimeError("indices element out of data bounds")
        beside = fate == Fate.FAIL_BESIDE and not self.may_end.is_set()
        if beside or fate == Fate.NEVER_FIT or (fate == Fate.FIT_IN_TWOS and count > 2):
            self.may_end.set()
            raise RuntimeError("Failed to allocate memory for requested buffer of size 9")
        if fate == Fate.WAIT:
            self.waits.set()
            assert self.may_end.wait(SECONDS)
        return zeros(count)

    def release(self) -> None:
        """Let go what waits."""
        self.may_end.set()


@dataclass
class Gate:
    """Where runs wait. Times are of ``time.perf_counter``."""

    entered: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    began: float = 0.0
    """When the first run came."""
    ended: float = 0.0
    """When the last one went on."""

    def wait_until_entered(self) -> None:
        """Return once a run is at the gate. Raises AssertionError where none comes."""
        assert self.entered.wait(SECONDS)

    def hold(self) -> float:
        """Wait a little, then open.

        Give the seconds during which it was certainly closed, of which a run at the gate waited all.
        """
        began = time.perf_counter()
        time.sleep(0.1)
        held = time.perf_counter() - began
        self.opened.set()
        return held

    @property
    def seconds(self) -> float:
        """Between the first run's coming and the last one's going."""
        return self.ended - self.began


class Gated:
    """A chain whose every run waits at the gate that its chips' first pixel numbers."""

    device = "cpu"

    def __init__(self, gates: int) -> None:
        """Begin with all closed."""
        self.gates = [Gate() for _ in range(gates)]

    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        gate = self.gates[feed["pixels"][0, 0, 0, 0]]
        gate.began = gate.began or time.perf_counter()
        gate.entered.set()
        opened = gate.opened.wait(SECONDS)
        gate.ended = time.perf_counter()
        if not opened:
            raise TimeoutError("nobody opened the gate")
        return zeros(len(feed["pixels"]))

    def release(self) -> None:
        """Open every gate."""
        for gate in self.gates:
            gate.opened.set()


def zeros(count: int) -> list[NDArray[np.float32]]:
    """Give vectors and losses as the one-graph folder's graph does."""
    return [np.zeros((count, 8), np.float32), np.zeros(count, np.float32)]
