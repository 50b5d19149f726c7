"""Injected time: what is due happens in its order, and a handler that dawdles lets the rest go on meanwhile."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

START: Final = datetime(2026, 11, 22, 9, tzinfo=UTC)
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR


class Timeline:
    """A clock, and what is due. Things due at one moment happen in an order of chance."""

    def __init__(self, chance: Random, *, start: datetime = START) -> None:
        """Begin at ``start``; ``chance`` breaks ties."""
        self._chance = chance
        self._start = start
        self._due: list[tuple[float, float, int, Callable[[], None]]] = []
        self._count = 0
        self.seconds = 0.0
        """Since the start."""

    def __call__(self) -> datetime:
        """Give the moment: the port Clock."""
        return self._start + timedelta(seconds=self.seconds)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something be due so many seconds from now."""
        self._count += 1
        heapq.heappush(self._due, (self.seconds + seconds, self._chance.random(), self._count, act))

    def pass_by(self, seconds: float) -> None:
        """Let time go by, and whatever is due meanwhile happen."""
        until = self.seconds + seconds
        while self._due and self._due[0][0] <= until:
            self._next()
        self.seconds = max(self.seconds, until)

    @property
    def is_quiet(self) -> bool:
        """Say whether nothing is due."""
        return not self._due

    def run(self) -> None:
        """Go on until nothing is due."""
        while self._due:
            self._next()

    def _next(self) -> None:
        moment, _, _, act = heapq.heappop(self._due)
        self.seconds = max(self.seconds, moment)
        act()
