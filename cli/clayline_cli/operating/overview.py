"""What is on the way in all: runs by state, batches, queues, the endpoint, and what of it wants somebody."""

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from clayline.run.state import RunState
from clayline_cli.operating.moments import iso
from clayline_cli.operating.naming import superseded
from clayline_cli.operating.queues import Depth, Endpoint, depths, endpoint
from clayline_cli.operating.running import DEAD_LETTERS, Running
from clayline_cli.operating.runs import KINDS, Listed, Runs

DAY: Final = timedelta(days=1)
_LATE: Final = timedelta(minutes=5)
"""How long the reconciler may take with what is overdue before somebody should look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """Everything that is told where no scene is named."""

    running: Running
    now: datetime
    under_way: Sequence[Listed]
    """Runs that are not over, in the order in which they began."""
    ended: Sequence[Listed]
    """Those that ended within a day."""
    superseded: AbstractSet[str]
    """Those of them whose scene has a later run."""
    queues: Sequence[Depth]
    endpoint: Endpoint

    @classmethod
    def look(cls, running: Running, *, now: datetime) -> Self:
        """Look at all of it."""
        runs = Runs(running.table)
        states = [state for state in RunState if not state.is_over]
        under_way = runs.begun(states, since=None, until=None)
        ended = [run for state in RunState if state.is_over for run in runs.of_state(state, due=now - DAY)]
        return cls(
            running=running,
            now=now,
            under_way=under_way,
            ended=ended,
            superseded=superseded([*under_way, *ended], running),
            queues=depths(running),
            endpoint=endpoint(running),
        )

    @property
    def states(self) -> dict[str, int]:
        """How many runs that are not over are in each state."""
        found = Counter(run.state for run in self.under_way)
        return {state.value: found[state] for state in RunState if not state.is_over}

    @property
    def ends(self) -> dict[str, int]:
        """How many ended in which way."""
        found = Counter(run.kind for run in self.ended)
        return {kind: found[kind] for kind in KINDS}

    @property
    def in_flight(self) -> int:
        """Batches that were handed out and have not ended."""
        return sum(run.in_flight for run in self.under_way)

    @property
    def waiting(self) -> int:
        """Batches that wait until there is room."""
        return sum(run.waiting for run in self.under_way)

    @property
    def overdue(self) -> list[Listed]:
        """Runs that the reconciler should have looked at by now."""
        return [run for run in self.under_way if run.due + _LATE < self.now and run.state is not RunState.WAITING]

    def next(self) -> Iterator[str]:
        """Say what somebody should do; nothing if all goes by itself."""
        if self.endpoint.name is None:
            yield "There is no endpoint: scenes wait in their queue. Deploy one (docs/how-to/deploy.md)."
        elif self.endpoint.is_awake is False and self.in_flight:
            yield (
                "The endpoint is away; the local cloud starts it again."
                if self.endpoint.process is None and self.running.processes is not None
                else "Batches wait and no instance runs: it wakes within minutes, else see AsleepAlarm."
            )
        for queue in self.queues:
            if queue.name in DEAD_LETTERS and queue.waiting:
                yield (
                    f"{queue.name} holds {queue.waiting} message(s): a function failed on them again and again. Runs of"
                    " theirs go on by the reconciler; read the function's log (docs/operations.md, Dead letters)."
                )
        if overdue := self.overdue:
            yield (
                f"{len(overdue)} run(s) are overdue, the first is {overdue[0].run}: the reconciler does not come to"
                " them. Read its log; is its schedule on?"
            )
        if bad := sum(run.kind != "embedded" and run.run not in self.superseded for run in self.ended):
            option = self.running.option
            yield f"{bad} run(s) did not end whole within a day: clayline list --state partial,failed,refused {option}"

    def values(self) -> dict[str, Any]:
        """Give everything as JSON can say it."""
        oldest = self.under_way[0] if self.under_way else None
        return {
            "where": self.running.name,
            "at": iso(self.now),
            "under_way": self.states,
            "ended_within_a_day": self.ends,
            "batches": {
                "in_flight": self.in_flight,
                "waiting": self.waiting,
                "most_in_flight": self.running.number("MaxBatchesInFlight"),
            },
            "oldest": oldest
            and {"run": oldest.run, "scene": oldest.scene, "state": oldest.state.value, "begun": iso(oldest.begun)},
            "overdue": [run.run for run in self.overdue],
            "queues": {queue.name: _without_name(queue) for queue in self.queues if queue.name not in DEAD_LETTERS},
            "dead_letters": {queue.name: queue.waiting for queue in self.queues if queue.name in DEAD_LETTERS},
            "endpoint": self.endpoint.values(),
            "next": list(self.next()),
        }


def _without_name(queue: Depth) -> dict[str, Any]:
    return {name: value for name, value in queue.values().items() if name != "name"}
