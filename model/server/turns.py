"""Whose turn it is to compute: so many requests at once, on threads of their own for CUDA, and one alone where memory
does not hold two.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from server.memory import out_of_memory
from server.request_log import Log

logger = logging.getLogger("clayline.server")


class Turn:
    """One request's turn, as ``Turns.take`` gives it."""

    def __init__(self, turns: "Turns", *, worker: ThreadPoolExecutor | None, log: Log) -> None:
        """Belong to ``turns``, and compute on the one thread of ``worker``, or without one on the caller's."""
        self._turns = turns
        self.worker = worker
        self.log = log
        """For lines about what this turn is taken for."""
        self.accompanied = False
        """Whether another computed at any time of this one's latest run; kept by ``turns``."""
        self.seconds = 0.0
        """That were computed in it so far, its share of those in which others did too; kept by ``turns`` and whole once
        it is handed in."""
        self.began = 0.0
        """What ``turns`` had shared out to each when this one began, or went on."""

    def attempt[T](self, work: Callable[[], T]) -> T:
        """Do ``work`` and give what it gives. Raises as it does.

        Where memory does not suffice while others compute too, they may hold what it lacks: then it is done once more
        when no other computes, before anybody concludes that it is too much.
        """
        self._turns.note_run(self)
        try:
            return self._do(work)
        except (MemoryError, RuntimeError) as error:
            if not (self.accompanied and out_of_memory(error)):
                raise
        # Outside the handler, whose error keeps the failed run's values in memory.
        self.log.warning("memory does not suffice beside another batch: the same chips again, alone")
        with self._turns.alone(self):
            return self._do(work)

    def _do[T](self, work: Callable[[], T]) -> T:
        return work() if self.worker is None else self.worker.submit(work).result()


class Turns:
    """At most ``count`` requests that compute at once.

    With ``own_threads`` on ``count`` threads that live as long as this does: ONNX Runtime keeps cuDNN's plans for
    attention by thread, and each new one would make them anew. On the CPU handing runs to other threads only costs
    time. See model/README.md.
    """

    def __init__(self, count: int, *, own_threads: bool) -> None:
        """Begin with nobody computing."""
        self.count = count
        self._free = BoundedSemaphore(count)
        # Held while one waits for what it needs of ``_free``: of two that want to be alone none can hold what the other
        # waits for, and newcomers, who wait behind it, cannot keep one from ever being alone.
        self._entrance = Lock()
        # As many as ``_free`` has left, or more. One thread each: whoever has a turn keeps its thread, which the
        # warm-up counts on.
        self._idle = deque(
            ThreadPoolExecutor(1, thread_name_prefix=f"compute-{number}") if own_threads else None
            for number in range(count)
        )
        self._holders: set[Turn] = set()
        self._each = 0.0
        """Seconds that one has had who has computed all the time, alone or beside others."""
        self._shared_until = time.perf_counter()
        self._noting = Lock()

    @contextmanager
    def take(self, log: Log = logger) -> Iterator[Turn]:
        """Wait for a turn, and have it until the end of the block."""
        with self._entrance:
            self._free.acquire()
        turn = Turn(self, worker=self._idle.pop(), log=log)
        self._enter(turn)
        try:
            yield turn
        finally:
            self._hand_in(turn)

    @contextmanager
    def alone(self, turn: Turn) -> Iterator[None]:
        """Hand ``turn`` in, wait until nobody computes, and have it alone until the end of the block.

        Afterwards beside others again.
        """
        self._hand_in(turn)
        with self._entrance:
            for _ in range(self.count):
                self._free.acquire()
        self._idle.remove(turn.worker)  # all are idle now
        self._enter(turn)
        try:
            yield
        finally:
            if self.count > 1:
                self._free.release(self.count - 1)

    def note_run(self, turn: Turn) -> None:
        """Begin to note anew whether others compute beside ``turn``."""
        with self._noting:
            turn.accompanied = len(self._holders) > 1

    def _share(self) -> float:
        """Share out the time since it was last done: of two that compute at once each has half of it."""
        now = time.perf_counter()
        if self._holders:
            self._each += (now - self._shared_until) / len(self._holders)
        self._shared_until = now
        return self._each

    def _enter(self, turn: Turn) -> None:
        with self._noting:
            turn.began = self._share()
            self._holders.add(turn)
            if len(self._holders) > 1:
                for holder in self._holders:
                    holder.accompanied = True

    def _hand_in(self, turn: Turn) -> None:
        with self._noting:
            turn.seconds += self._share() - turn.began
            self._holders.discard(turn)
        self._idle.append(turn.worker)
        self._free.release()
