"""Whose turn it is: requests that compute at once, and the one that needs the memory of all."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, override

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.server.requests import chips
from tests.server.test_memory import Faltering, faltering_entry, request_of

from server.folders import LoadedEntry
from server.inference import embed, warm_up
from server.turns import Turns

SECONDS = 20
"""After which a test is stuck and fails."""


@dataclass
class Shared(Faltering):
    """A chain whose memory two runs share.

    One that does not fit beside those in progress fails, as above ``most`` alone.
    """

    held: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    first_runs: threading.Event = field(default_factory=threading.Event)
    first_may_end: threading.Event = field(default_factory=threading.Event)
    failed_beside: threading.Event = field(default_factory=threading.Event)

    @override
    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        wanted = len(feed["pixels"])
        with self.lock:
            self.tried.append(wanted)
            first = len(self.tried) == 1
            if self.held + wanted > self.most:
                self.failed_beside.set()
                raise RuntimeError(self.message)
            self.held += wanted
        if first:
            self.first_runs.set()
            assert self.first_may_end.wait(SECONDS)
        with self.lock:
            self.held -= wanted
        return [feed["pixels"][:, 0, 0, :8].astype(np.float32), feed["pixels"][:, 1, 1, 1].astype(np.float32)]


def taking_turns(turns: Turns, loaded: LoadedEntry, tmp_path: Path, pixels: NDArray[Any]) -> NDArray[np.float32]:
    with turns.take() as turn:
        return embed(loaded, request_of(tmp_path, pixels), micro_batch=8, turn=turn).embeddings


@pytest.mark.parametrize(("count", "most"), [(8, 8), (1, 4)])
def test_a_batch_that_lacks_the_memory_which_another_holds_waits_for_it_and_keeps_its_size(
    tmp_path: Path, count: int, most: int
) -> None:
    chain = Shared(most)
    loaded, turns = faltering_entry(tmp_path, chain), Turns(2, own_threads=True)
    first, second = chips(4), chips(count, seed=1)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(taking_turns, turns, loaded, tmp_path, first)
        assert chain.first_runs.wait(SECONDS)
        other = pool.submit(taking_turns, turns, loaded, tmp_path, second)
        assert chain.failed_beside.wait(SECONDS)
        chain.first_may_end.set()
        np.testing.assert_array_equal(one.result(SECONDS), first[:, 0, 0, :8])
        np.testing.assert_array_equal(other.result(SECONDS), second[:, 0, 0, :8])
    assert chain.tried == [4, count, count]
    assert loaded.limit.cap(100) == 100


def test_a_batch_too_large_even_alone_is_halved_then(tmp_path: Path) -> None:
    chain = Shared(5)
    loaded, turns = faltering_entry(tmp_path, chain), Turns(2, own_threads=True)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(taking_turns, turns, loaded, tmp_path, chips(4))
        assert chain.first_runs.wait(SECONDS)
        other = pool.submit(taking_turns, turns, loaded, tmp_path, chips(8))
        assert chain.failed_beside.wait(SECONDS)
        chain.first_may_end.set()
        one.result(SECONDS)
        other.result(SECONDS)
    assert chain.tried == [4, 8, 8, 4, 4]
    assert loaded.limit.cap(100) == 4


@pytest.mark.parametrize("count", [1, 2])
def test_who_computes_alone_is_halved_at_once(tmp_path: Path, count: int) -> None:
    chain = Faltering(4)
    loaded, turns = faltering_entry(tmp_path, chain), Turns(count, own_threads=True)
    for _ in range(2):  # the second finds no trace of the first
        taking_turns(turns, loaded, tmp_path, chips(8))
    assert chain.tried == [8, 4, 4, 4, 4]


def test_another_failure_beside_another_batch_is_not_tried_again() -> None:
    turns = Turns(2, own_threads=True)
    tried: list[int] = []

    def fail() -> None:
        tried.append(1)
        raise RuntimeError("indices element out of data bounds")

    with turns.take(), turns.take() as turn, pytest.raises(RuntimeError, match="out of data"):
        turn.attempt(fail)
    assert tried == [1]


def test_two_that_both_want_to_be_alone_are_so_one_after_the_other() -> None:
    turns, both, lock = Turns(2, own_threads=True), threading.Barrier(2), threading.Lock()
    runs: list[str] = []

    def fails_first(name: str) -> Callable[[], str]:
        failed = False

        def work() -> str:
            nonlocal failed
            if not failed:
                failed = True
                both.wait(SECONDS)
                raise MemoryError
            assert lock.acquire(blocking=False), "not alone"
            threading.Event().wait(0.05)
            runs.append(name)
            lock.release()
            return name

        return work

    def request(name: str) -> list[str]:
        with turns.take() as turn:
            return [turn.attempt(fails_first(name)), turn.attempt(lambda: name)]

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(request, name) for name in "ab"]
        assert [result.result(SECONDS) for result in results] == [["a", "a"], ["b", "b"]]
        assert sorted(runs) == ["a", "b"]
        # All turns were given back: two still compute at once.
        together = threading.Barrier(2)

        def meet() -> int:
            with turns.take() as turn:
                return turn.attempt(lambda: together.wait(SECONDS))

        assert sorted(future.result(SECONDS) for future in [pool.submit(meet) for _ in range(2)]) == [0, 1]


@dataclass
class Meeting(Faltering):
    """A chain whose first runs each wait for another one beside them."""

    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))

    @override
    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        self.barrier.wait(SECONDS)
        return super().run(feed)


def test_on_cuda_the_warm_up_runs_as_many_at_once_as_will_compute(tmp_path: Path) -> None:
    chain = Meeting(64, device="cuda")
    warm_up(faltering_entry(tmp_path, chain), micro_batch=16, turns=Turns(2, own_threads=True))
    assert chain.tried == [16, 16, 8, 8, 4, 4, 2, 2, 1, 1]
    on_cpu = Faltering(64)
    warm_up(faltering_entry(tmp_path / "cpu", on_cpu), micro_batch=16, turns=Turns(2, own_threads=True))
    assert on_cpu.tried == [1]


def test_a_warm_up_that_fails_in_one_of_several_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of data"):
        warm_up(
            faltering_entry(tmp_path, Faltering(0, message="out of data", device="cuda")),
            micro_batch=4,
            turns=Turns(2, own_threads=True),
        )


def test_no_more_than_count_compute_at_once() -> None:
    turns, lock = Turns(2, own_threads=True), threading.Lock()
    now = most = 0

    def request() -> None:
        nonlocal now, most
        with turns.take():
            with lock:
                now += 1
                most = max(most, now)
            threading.Event().wait(0.02)
            with lock:
                now -= 1

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(request) for _ in range(12)]:
            future.result(SECONDS)
    assert most == 2


def test_turns_share_the_seconds_in_which_they_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 10 alone, from 14 beside another, from 20 alone again: together as long as anybody computed."""
    now = 0.0
    monkeypatch.setattr("server.turns.time.perf_counter", lambda: now)
    turns = Turns(2, own_threads=False)
    now = 10.0
    with turns.take() as one:
        now = 14.0
        with turns.take() as other:
            now = 20.0
        now = 21.0
    now = 50.0
    with turns.take() as last:
        now = 52.0
    assert (one.seconds, other.seconds, last.seconds) == (4 + 3 + 1, 3, 2)


def test_a_turn_that_goes_on_alone_is_not_charged_for_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("server.turns.time.perf_counter", lambda: now)
    turns = Turns(2, own_threads=False)
    with turns.take() as turn:
        now = 3.0
        with turns.alone(turn):
            now = 4.0
    assert turn.seconds == 4
