"""Queues with their consumers, and the endpoint with its instances, on an injected timeline."""

from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from tests.faults.timeline import Timeline

MINUTE: Final = 60.0
HIGH_MINUTES, LOW_MINUTES, LOW_SHARE = 3, 15, 0.9
"""Target tracking's alarms: so many minutes above the target, so many below this share of it."""
COOLDOWN: Final = 300.0
"""Both ways (template.yaml, BacklogPolicy)."""


class Lane[Body]:
    """A queue, first come first served, and the calls of a function that take from it."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        at_once: int,
        most: int = 1,
        seconds: Callable[[list[Body]], float],
        done: Callable[[list[Body]], None],
    ) -> None:
        """At most ``at_once`` calls side by side, each of at most ``most`` messages, which are done when it ends."""
        self._timeline, self._at_once, self._most = timeline, at_once, most
        self._seconds, self._done = seconds, done
        self._waiting: deque[tuple[float, Body]] = deque()
        self._busy = 0
        self.ages = array("f")
        """Seconds that each message waited."""
        self.longest = 0
        """Most messages that waited."""
        self.calls = 0
        self.busy_seconds = 0.0
        """Of all calls together: what is billed."""

    def put(self, body: Body, *, delay: float = 0.0) -> None:
        """Take a message in."""
        if delay:
            self._timeline.after(delay, lambda: self.put(body))
            return
        self._waiting.append((self._timeline.seconds, body))
        self.longest = max(self.longest, len(self._waiting))
        self._begin()

    @property
    def oldest(self) -> float:
        """Give the age of the oldest message that waits, seconds."""
        return self._timeline.seconds - self._waiting[0][0] if self._waiting else 0.0

    def _begin(self) -> None:
        while self._waiting and self._busy < self._at_once:
            taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self.ages.extend(self._timeline.seconds - since for since, _ in taken)
            bodies = [body for _, body in taken]
            seconds = self._seconds(bodies)
            self._busy += 1
            self.calls += 1
            self.busy_seconds += seconds
            self._timeline.after(seconds, lambda bodies=bodies: self._end(bodies))  # type: ignore[misc]

    def _end(self, bodies: list[Body]) -> None:
        self._busy -= 1
        self._done(bodies)
        self._begin()


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """How many instances an endpoint has."""

    most: int
    target: int
    """Requests that wait or are computed, for each instance."""
    start: float
    """Seconds until a new instance takes requests; it is paid from its beginning."""


class Endpoint[Request]:
    """SageMaker's: a queue, instances that each compute one request at a time, scaling as template.yaml has it."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        scaling: Scaling,
        ttl: float,
        seconds: Callable[[Request], float],
        answer: Callable[[Request, bool], None],
    ) -> None:
        """``answer`` is called with a request and whether it was computed: False if it was older than ``ttl``."""
        self._timeline, self._scaling, self._ttl = timeline, scaling, ttl
        self._seconds, self._answer = seconds, answer
        self._waiting: deque[tuple[float, Request]] = deque()
        self._busy = self._starting = 0
        self._high = self._low = 0
        self._out_from = self._in_from = 0.0
        self.instances = 0
        """That take requests."""
        self.ages = array("f")
        self.longest = 0
        self.expired = 0
        self.computed = 0
        self.busy_seconds = self.paid_seconds = 0.0
        self._paid_until = 0.0

    def invoke(self, request: Request) -> None:
        """Take a request in."""
        self._waiting.append((self._timeline.seconds, request))
        self.longest = max(self.longest, len(self._waiting))
        self._begin()

    @property
    def oldest(self) -> float:
        """Give the age of the oldest request that waits, seconds."""
        return self._timeline.seconds - self._waiting[0][0] if self._waiting else 0.0

    @property
    def paid(self) -> int:
        """Give how many instances are paid for."""
        return self.instances + self._starting

    def _begin(self) -> None:
        while self._waiting and self._busy < self.instances:
            since, request = self._waiting.popleft()
            age = self._timeline.seconds - since
            self.ages.append(age)
            if age > self._ttl:
                self.expired += 1
                self._answer(request, False)  # noqa: FBT003 - whether it was computed
                continue
            seconds = self._seconds(request)
            self._busy += 1
            self.busy_seconds += seconds
            self._timeline.after(seconds, lambda request=request: self._end(request))  # type: ignore[misc]

    def _end(self, request: Request) -> None:
        self._busy -= 1
        self.computed += 1
        self._answer(request, True)  # noqa: FBT003 - the same
        self._begin()

    def look(self) -> None:
        """Do what CloudWatch and Application Auto Scaling do once a minute."""
        now, backlog = self._timeline.seconds, len(self._waiting) + self._busy
        self.paid_seconds += self.paid * (now - self._paid_until)
        self._paid_until = now
        if not self.paid:
            if backlog:  # WakePolicy
                self._launch(1)
            return
        if not self.instances:
            return
        each = backlog / self.instances
        self._high = self._high + 1 if each > self._scaling.target else 0
        self._low = self._low + 1 if each < LOW_SHARE * self._scaling.target else 0
        wanted = min(self._scaling.most, ceil(self.paid * each / self._scaling.target))
        if self._high >= HIGH_MINUTES and wanted > self.paid and now >= self._out_from:
            self._launch(wanted - self.paid)
            self._out_from = now + COOLDOWN
        elif self._low >= LOW_MINUTES and wanted < self.instances and now >= self._in_from:
            self.instances = wanted  # what is being computed ends first
            self._in_from = now + COOLDOWN

    def _launch(self, count: int) -> None:
        self._starting += count

        def start() -> None:
            self._starting -= count
            self.instances += count
            self._begin()

        self._timeline.after(self._scaling.start, start)
