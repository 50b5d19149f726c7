"""The ledger in memory, for many runs: tests/run/memory_ledger.py with an index over states, and what is asked of it.

The real table has that index (template.yaml, ``by-state``); the ledger of the tests looks through every row instead. A
test compares the two. Runs that are over are forgotten, so that a week fits into memory.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Any, override

from tests.run.memory_ledger import MemoryLedger

from clayline.run.ledger import Closing, Flight, RunRow
from clayline.run.result import BatchResult
from clayline.run.state import RunState

ON_THE_WAY = (RunState.WAITING, RunState.RUNNING)


class RunsByState(dict[str, RunRow]):
    """Rows of runs, and the same by state."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.by_state: defaultdict[RunState, dict[str, RunRow]] = defaultdict(dict)
        self.flights: dict[RunState, dict[str, Flight]] = {state: {} for state in ON_THE_WAY}

    @override
    def __setitem__(self, run: str, row: RunRow) -> None:
        self._take_out(run)
        self.by_state[row.state][run] = row
        if row.state in self.flights:
            in_flight = row.out - (row.batches - row.open)
            self.flights[row.state][run] = Flight(run=run, state=row.state, in_flight=in_flight, look=row.look)
        super().__setitem__(run, row)

    @override
    def __delitem__(self, run: str) -> None:
        self._take_out(run)
        super().__delitem__(run)

    def _take_out(self, run: str) -> None:
        if before := self.get(run):
            del self.by_state[before.state][run]
            self.flights.get(before.state, {}).pop(run, None)


class StateLedger(MemoryLedger):
    """The Ledger port. Flights come in no order, which admission does not look at."""

    def __init__(self, *, handed: Callable[[RunRow, RunRow], None] = lambda _before, _after: None) -> None:
        """``handed`` is called with a run's row before and after jobs of it were handed out."""
        super().__init__(runs=RunsByState())
        self._handed = handed
        self.closed = 0
        """Batches that ended."""
        self.flights_read: Counter[int] = Counter()
        """How often flights() gave so many runs."""

    @property
    def _by_state(self) -> RunsByState:
        assert isinstance(self.runs, RunsByState)
        return self.runs

    def count(self, state: RunState) -> int:
        """Give how many runs are in a state."""
        return len(self._by_state.by_state[state])

    @property
    def in_flight(self) -> int:
        """Give how many batches are handed out and have not ended."""
        return sum(flight.in_flight for flights in self._by_state.flights.values() for flight in flights.values())

    @override
    def overdue(self, state: RunState, *, now: datetime, most: int) -> Sequence[str]:
        due = ((row.due, run) for run, row in self._by_state.by_state[state].items() if row.due <= now)
        return [run for _, run in nsmallest(most, due)]

    @override
    def flights(self) -> Sequence[Flight]:
        found = [flight for state in ON_THE_WAY for flight in self._by_state.flights[state].values()]
        self.flights_read[len(found)] += 1
        return found

    @override
    def hand_out(self, run: str, *, start: int, stop: int, out: int, due: datetime) -> bool:
        before = self.runs.get(run)
        done = super().hand_out(run, start=start, stop=stop, out=out, due=due)
        if done and before:
            self._handed(before, self.runs[run])
        return done

    @override
    def close(self, result: BatchResult) -> Closing:
        closing = super().close(result)
        self.closed += closing is Closing.CLOSED
        return closing

    def forget(self, run: str) -> None:
        """Take a run that is over out of memory."""
        del self.runs[run]
        self.batch_rows.pop(run, None)
        self.landing_rows.pop(run, None)


class Counted:
    """A port that counts what is asked of it."""

    def __init__(self, name: str, port: object, calls: Counter[str]) -> None:
        """Count under ``name.method``."""
        self._name, self._port, self._calls = name, port, calls

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - whatever the port has
        """Give the port's method, counting."""
        found = getattr(self._port, method)

        def asked(*values: Any, **named: Any) -> Any:  # noqa: ANN401 - the same
            self._calls[f"{self._name}.{method}"] += 1
            return found(*values, **named)

        return asked


def counted[Port](name: str, port: Port, calls: Counter[str]) -> Port:
    """Put a counter around a port."""
    proxy: Any = Counted(name, port, calls)
    return proxy  # type: ignore[no-any-return]  # it has whatever the port has
