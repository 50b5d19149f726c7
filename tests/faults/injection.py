"""Faults at ports: a proxy around any port object, each call of which is a point where something may go wrong.

Everything is drawn from one seeded generator, in one thread: the same seed gives the same faults at the same calls.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any, Final

from tests.faults.timeline import Timeline

from clayline.errors import TransientError

READS: Final = frozenset(
    {"head", "get", "run", "landing", "landings", "batch", "batches", "overdue", "flights", "read_header", "sample"}
)
"""Calls that change nothing. Whatever a port may have beside them counts as a write."""
PURE: Final = frozenset({"source", "to_lonlat", "is_same_crs"})
"""Calls that ask nothing of any service."""
_DEEPEST: Final = 4
"""Handlers inside one another: one dawdles, what is due meanwhile is handled, and that may dawdle as well."""


class Killed(BaseException):
    """The process is gone: nothing may catch this but what delivers messages."""


class CrashedError(Exception):
    """What nobody foresaw, raised in the middle of a handler."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """How often a call goes wrong, from 0 to 1. Reads go wrong a quarter as often."""

    killed: float = 0.0
    """The process ends, just before or just after the call."""
    refused: float = 0.0
    """TransientError, and nothing was done: throttled, 5xx, a connection that was refused."""
    unanswered: float = 0.0
    """It was done, and its answer was lost: TransientError."""
    repeated: float = 0.0
    """It was done, its answer was lost, and the SDK did it again: the second answer counts."""
    crashed: float = 0.0
    """An error that nobody foresaw, before the call."""
    dawdled: float = 0.0
    """The handler stands still at the call, and others go on."""


@dataclass(kw_only=True, slots=True)
class Invocation:
    """A function at work on a message."""

    function: str
    ends: float
    """When its time is up, seconds of the timeline."""
    received: int = 1
    """How often the message was."""


class Injector:
    """Decides at each call, and keeps what it did."""

    def __init__(self, rates: Rates, *, chance: Random, timeline: Timeline, heals_after: int | None) -> None:
        """``heals_after``: a message received more often than this is handled without faults; None: never."""
        self._rates = rates
        self._chance = chance
        self._timeline = timeline
        self._heals_after = heals_after
        self.under_way: list[Invocation] = []
        self.done: Counter[tuple[str, str]] = Counter()
        """Faults by ``function port.method`` and kind."""
        self.calls: Counter[str] = Counter()
        self._trace = sha256()

    @property
    def trace(self) -> str:
        """Give a digest of every call so far: two runs that have the same took the same way."""
        return self._trace.hexdigest()

    def wrap[Port](self, name: str, port: Port, apart: Mapping[str, str] | None = None) -> Port:
        """Put the proxy around a port. ``apart`` gives calls about URIs that begin so another name than ``name``."""
        proxy: Any = _Proxy(name, port, self, apart or {})
        return proxy  # type: ignore[no-any-return]  # it has whatever the port has

    @contextmanager
    def invocation(self, function: str, *, timeout: float) -> Iterator[Invocation]:
        """Let a function work on something."""
        begun = Invocation(function=function, ends=self._timeline.seconds + timeout)
        self.under_way.append(begun)
        try:
            yield begun
        finally:
            self.under_way.pop()

    def call[Result](self, where: str, act: Callable[[], Result], *, read: bool) -> Result:
        """Do it, or what the seed has in store instead."""
        if not self.under_way:  # the harness itself looks
            return act()
        now = self.under_way[-1]
        where = f"{now.function} {where}"
        fault = self._draw(now, read=read)
        self.calls[where] += 1
        self._trace.update(f"{self._timeline.seconds:.3f} {where} {fault}\n".encode())
        if fault:
            self.done[where, fault] += 1
        if fault == "dawdled":
            return self._dawdle(now, act)
        return self._suffer(fault, act, where)

    def _suffer[Result](self, fault: str | None, act: Callable[[], Result], where: str) -> Result:
        match fault:
            case "killed before":
                raise Killed
            case "refused":
                raise TransientError(f"injected: {where} is throttled")
            case "crashed":
                raise CrashedError(f"injected: {where}")
            case "repeated":
                act()
        result = act()
        match fault:
            case "killed after":
                raise Killed
            case "unanswered":
                raise TransientError(f"injected: the answer of {where} was lost")
        return result

    def _dawdle[Result](self, now: Invocation, act: Callable[[], Result]) -> Result:
        """Stand still before the call or after it: shortly, or until the function's time is up."""
        first = self._chance.random() < 0.5
        seconds = (now.ends - self._timeline.seconds) * self._chance.random() ** 2 * 1.1
        if first:
            self._wait(now, seconds)
        result = act()
        if not first:
            self._wait(now, seconds)
        return result

    def _wait(self, now: Invocation, seconds: float) -> None:
        self._timeline.pass_by(max(0.0, min(seconds, now.ends - self._timeline.seconds)))
        if self._timeline.seconds >= now.ends:
            raise Killed  # Lambda ends what takes longer

    def _draw(self, now: Invocation, *, read: bool) -> str | None:
        drawn = self._chance.random() * (4 if read else 1)
        if self._heals_after is not None and now.received > self._heals_after:
            return None
        rates = self._rates
        for kind, rate in (
            ("killed before", rates.killed / 2),
            ("killed after", 0 if read else rates.killed / 2),
            ("refused", rates.refused),
            ("unanswered", 0 if read else rates.unanswered),
            ("repeated", 0 if read else rates.repeated),
            ("crashed", rates.crashed),
            ("dawdled", rates.dawdled if len(self.under_way) < _DEEPEST else 0),
        ):
            if drawn < rate:
                return kind
            drawn -= rate
        return None


class _Proxy:
    def __init__(self, name: str, port: Any, injector: Injector, apart: Mapping[str, str]) -> None:
        self._name = name
        self._port = port
        self._injector = injector
        self._apart = apart

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._port, method)
        if method in PURE:
            return found
        read = method in READS

        def called(*given: Any, **named: Any) -> Any:
            about = str(given[0]) if given else ""
            name = next((name for prefix, name in self._apart.items() if about.startswith(prefix)), self._name)
            return self._injector.call(f"{name}.{method}", lambda: found(*given, **named), read=read)

        return called
