"""Whose turn it is to compute: so many requests at once, and one alone where memory does not hold two."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from server.memory import out_of_memory

logger = logging.getLogger("clayline.server")


class Turn:
    """One request's turn, as ``Turns.take`` gives it."""

    def __init__(self, turns: "Turns") -> None:
        """Belong to ``turns``."""
        self._turns = turns
        self.accompanied = False
        """Whether another computed at any time of this one's latest run; kept by ``turns``."""

    def attempt[T](self, work: Callable[[], T]) -> T:
        """Do ``work`` and give what it gives. Raises as it does.

        Where memory does not suffice while others compute too, they may hold what it lacks: then it is done once more when no other
        computes, before anybody concludes that it is too much.
        """
        self._turns.note_run(self)
        try:
            return work()
        except (MemoryError, RuntimeError) as error:
            if not (self.accompanied and out_of_memory(error)):
                raise
        # Outside the handler, whose error keeps the failed run's values in memory.
        logger.warning("memory does not suffice beside another batch: the same chips again, alone")
        with self._turns.alone(self):
            return work()


class Turns:
    """At most ``count`` requests that compute at once."""

    def __init__(self, count: int) -> None:
        """Begin with nobody computing."""
        self._count = count
        self._free = BoundedSemaphore(count)
        # Held while one waits for what it needs of ``_free``: of two that want to be alone none can hold what the other waits for, and
        # newcomers, who wait behind it, cannot keep one from ever being alone.
        self._entrance = Lock()
        self._holders: set[Turn] = set()
        self._noting = Lock()

    @contextmanager
    def take(self) -> Iterator[Turn]:
        """Wait for a turn, and have it until the end of the block."""
        with self._entrance:
            self._free.acquire()
        turn = Turn(self)
        self._enter(turn)
        try:
            yield turn
        finally:
            self._leave(turn)
            self._free.release()

    @contextmanager
    def alone(self, turn: Turn) -> Iterator[None]:
        """Hand ``turn`` in, wait until nobody computes, and have it alone until the end of the block; afterwards beside others again."""
        self._leave(turn)
        self._free.release()
        with self._entrance:
            for _ in range(self._count):
                self._free.acquire()
        self._enter(turn)
        try:
            yield
        finally:
            if self._count > 1:
                self._free.release(self._count - 1)

    def note_run(self, turn: Turn) -> None:
        """Begin to note anew whether others compute beside ``turn``."""
        with self._noting:
            turn.accompanied = len(self._holders) > 1

    def _enter(self, turn: Turn) -> None:
        with self._noting:
            self._holders.add(turn)
            if len(self._holders) > 1:
                for holder in self._holders:
                    holder.accompanied = True

    def _leave(self, turn: Turn) -> None:
        with self._noting:
            self._holders.discard(turn)
