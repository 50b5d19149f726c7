"""Which threads compute.

Always the same few, and each of them has been warmed up with every number of chips that a request may bring.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, override

import numpy as np
from numpy.typing import NDArray
from tests.server.requests import chips
from tests.server.test_memory import Faltering, faltering_entry
from tests.server.test_turns import SECONDS, Shared, taking_turns

from server.folders import LoadedEntry
from server.inference import warm_up
from server.request_log import Log
from server.turns import Turn, Turns, logger


@dataclass
class Noting(Faltering):
    """A chain that notes how many chips each thread computed, in order."""

    sizes: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    @override
    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        self.sizes[threading.get_ident()].append(len(feed["pixels"]))
        return super().run(feed)


@dataclass
class NotingShared(Shared):
    """The same of one whose memory two runs share. The first of all lasts until another has failed beside it."""

    sizes: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.first_may_end = self.failed_beside

    @override
    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        self.sizes[threading.get_ident()].append(len(feed["pixels"]))
        return super().run(feed)


def send(loaded: LoadedEntry, turns: Turns, tmp_path: Path, counts: list[int]) -> None:
    """Compute requests of so many chips, each from a thread of its own."""
    with ThreadPoolExecutor(len(counts)) as pool:
        requests = [pool.submit(taking_turns, turns, loaded, tmp_path, chips(count)) for count in counts]
        for count, request in zip(counts, requests, strict=True):
            np.testing.assert_array_equal(request.result(SECONDS), chips(count)[:, 0, 0, :8])


def test_requests_compute_on_the_threads_that_the_warm_up_used_and_with_its_sizes(tmp_path: Path) -> None:
    chain, turns = Noting(64, device="cuda"), Turns(3, own_threads=True)
    loaded = faltering_entry(tmp_path, chain)
    warm_up(loaded, micro_batch=8, turns=turns)
    assert list(chain.sizes.values()) == [[8, 4, 2, 1]] * 3
    warmed = {thread: chain.sizes.pop(thread) for thread in list(chain.sizes)}
    assert threading.get_ident() not in warmed
    send(loaded, turns, tmp_path, [1, 3, 8, 13, 15, 20, 7, 31, 9, 2])
    assert chain.sizes.keys() <= warmed.keys()
    assert {size for sizes in chain.sizes.values() for size in sizes} == {8, 4, 2, 1}


class Straggling(Turns):
    """Turns of which the second is asked for once the first was handed in, or has been waited for."""

    def __init__(self) -> None:
        super().__init__(2, own_threads=True)
        self.asked = itertools.count()
        self.handed_in = threading.Event()

    @contextmanager
    @override
    def take(self, log: Log = logger) -> Iterator[Turn]:
        if next(self.asked) == 1:
            self.handed_in.wait(0.3)
        with super().take(log) as turn:
            yield turn
        self.handed_in.set()


def test_no_thread_is_warmed_up_twice_in_place_of_one_that_starts_late(tmp_path: Path) -> None:
    chain = Noting(64, device="cuda")
    warm_up(faltering_entry(tmp_path, chain), micro_batch=4, turns=Straggling())
    assert list(chain.sizes.values()) == [[4, 2, 1]] * 2


def test_a_thread_that_lacked_memory_in_the_warm_up_is_warmed_up_all_the_same(tmp_path: Path) -> None:
    chain, turns = NotingShared(16, device="cuda"), Turns(2, own_threads=True)
    warm_up(faltering_entry(tmp_path, chain), micro_batch=16, turns=turns)
    assert sorted(chain.sizes.values()) == [[16, 8, 4, 2, 1], [16, 16, 8, 4, 2, 1]]


def test_the_second_entry_is_warmed_up_on_the_same_threads(tmp_path: Path) -> None:
    first, second, turns = Noting(64, device="cuda"), Noting(64, device="cuda"), Turns(2, own_threads=True)
    for number, chain in enumerate((first, second)):
        warm_up(faltering_entry(tmp_path / str(number), chain), micro_batch=4, turns=turns)
    assert first.sizes.keys() == second.sizes.keys()
    assert list(second.sizes.values()) == [[4, 2, 1]] * 2


def test_on_the_cpu_whoever_has_a_turn_computes_on_its_own_thread() -> None:
    chain, turns = Noting(64), Turns(1, own_threads=False)
    with turns.take() as turn:
        turn.attempt(lambda: chain.run({"pixels": chips(2)}))
    assert list(chain.sizes) == [threading.get_ident()]
