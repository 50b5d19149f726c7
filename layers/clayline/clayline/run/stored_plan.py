"""The stored plan: what every later step reads first."""

from typing import Protocol

from clayline.run.keys import WorkObjects
from clayline.run.plan import Plan


class Stored(Protocol):
    """Where the plan lies: the part of the port Objects that reading it takes."""

    def get(self, uri: str) -> bytes:
        """Give a whole object."""
        ...


def load_plan(objects: Stored, work: WorkObjects) -> Plan:
    """Read a run's plan. Raises what ``objects`` raises for an object that is not there (ObjectMissingError) or cannot
    be had now.
    """
    return Plan.model_validate_json(objects.get(work.plan))
