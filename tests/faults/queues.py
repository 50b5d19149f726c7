"""SQS in memory: at least once and in any order, visibility, receives that run out, a dead-letter queue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from json import dumps
from random import Random
from typing import Any

from tests.faults.injection import Injector, Killed
from tests.faults.timeline import Timeline


@dataclass(kw_only=True, slots=True)
class Message:
    """A message, or a copy of one."""

    number: str
    body: str
    received: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenBack:
    """A message that its consumer failed on."""

    message: Message
    again_in: timedelta | None = None
    """None: when the queue's visibility runs out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weather:
    """How the queues deliver."""

    late: float = 0.0
    """Share of messages that come minutes late, and so after others."""
    twice: float = 0.0
    """Share of messages that come once more, some minutes or an hour later, whatever became of the first."""


class MemoryQueue:
    """A queue and its consumer."""

    def __init__(
        self,
        name: str,
        *,
        consume: Callable[[list[Message]], list[GivenBack]],
        visibility: float,
        receives: int,
        most: int,
        timeline: Timeline,
        chance: Random,
        weather: Weather,
    ) -> None:
        """``consume`` takes at most ``most`` messages and gives those that failed; Killed: all of them did."""
        self.name = name
        self._consume = consume
        self._visibility = visibility
        self._receives = receives
        self._most = most
        self._timeline = timeline
        self._chance = chance
        self._weather = weather
        self._visible: list[Message] = []
        self._count = 0
        self.dead: list[Message] = []
        """The dead-letter queue."""

    def put(self, body: str, *, delay: float = 0.0) -> None:
        """Take a message in, which nobody gets before ``delay`` seconds."""
        self._count += 1
        number = f"{self.name}-{self._count}"
        drawn = self._chance.random
        late = delay + (drawn() * 1200 if drawn() < self._weather.late else drawn() * 2)
        self._timeline.after(late, lambda: self._show(Message(number=number, body=body)))
        if drawn() < self._weather.twice:
            again = late + drawn() * (4000 if drawn() < 0.2 else 60)
            self._timeline.after(again, lambda: self._show(Message(number=number, body=body)))

    def redrive(self) -> int:
        """Bring the dead letters back, as an operator does; gives their number."""
        dead, self.dead = self.dead, []
        for message in dead:
            self._show(Message(number=message.number, body=message.body))
        return len(dead)

    def _show(self, message: Message) -> None:
        if message.received >= self._receives:
            self.dead.append(message)
            return
        self._visible.append(message)
        self._timeline.after(self._chance.random(), self._poll)

    def _poll(self) -> None:
        count = min(len(self._visible), self._chance.randint(1, self._most))
        taken = [self._visible.pop(self._chance.randrange(len(self._visible))) for _ in range(count)]
        if not taken:
            return
        for message in taken:
            message.received += 1
        try:
            failed = self._consume(taken)
        except Killed:
            failed = [GivenBack(message=message) for message in taken]
        for given in failed:
            seconds = self._visibility if given.again_in is None else given.again_in.total_seconds()
            self._timeline.after(seconds, lambda again=given.message: self._show(again))  # type: ignore[misc]


class SendingEnd:
    """The port Queue. A call may fail between two messages: some were taken then."""

    def __init__(self, queue: MemoryQueue, injector: Injector) -> None:
        self._queue = queue
        self._injector = injector

    def send(self, bodies: Sequence[Mapping[str, Any]], *, delay: int = 0) -> None:
        for body in bodies:
            put = partial(self._queue.put, dumps(body, sort_keys=True), delay=delay)
            self._injector.call(f"{self._queue.name}.send", put, read=False)
