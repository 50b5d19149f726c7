"""The states of a run, and which follows which: the one table (docs/states.md)."""

from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class RunState(StrEnum):
    """How far a run is."""

    CLAIMED = "claimed"
    """A delivery of plan is at work on it."""
    WAITING = "waiting"
    """Its plan is stored; jobs of it have not been handed out."""
    RUNNING = "running"
    """Every job was handed to tile; batches are out."""
    SETTLED = "settled"
    """Every batch has ended, and the settlement says how."""
    COMMITTED = "committed"
    """Its receipt stands."""
    ANNOUNCED = "announced"
    """Its event was sent: the run is over."""

    @property
    def is_planned(self) -> bool:
        """Whether plan has nothing left to do."""
        return self is not RunState.CLAIMED

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self is RunState.ANNOUNCED

    @property
    def is_open(self) -> bool:
        """Whether batches may still be sent, and end."""
        return self in OPEN


OPEN: Final = frozenset({RunState.WAITING, RunState.RUNNING})
BEFORE: Final = MappingProxyType(
    {
        RunState.WAITING: (RunState.CLAIMED,),
        RunState.RUNNING: (RunState.WAITING,),
        RunState.SETTLED: (RunState.WAITING, RunState.RUNNING),
        RunState.COMMITTED: (RunState.SETTLED,),
        RunState.ANNOUNCED: (RunState.COMMITTED,),
    }
)
"""From which states each is entered. Every change is conditional on one of them, so none happens twice."""

PATIENCE: Final = timedelta(minutes=15)
"""How long a run may be in one state before the reconciler looks at it, unless the settings say otherwise."""
