"""What the shipped steps are given in the simulation: queues to send to, and objects to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.simulate_queues import Lane
from benchmarks.simulate_work import Batches

from clayline.ports import ObjectHead, ObjectMissingError


@dataclass(kw_only=True, slots=True)
class Scene:
    """A scene on its way."""

    work: Batches
    landed: float
    planned: float = 0.0
    handed: float = 0.0
    """When jobs of it were handed out last."""


class Sender:
    """The port Queue: into a lane."""

    def __init__(self, lane: Lane[Any]) -> None:
        """Take the lane."""
        self._lane = lane

    def send(self, bodies: Sequence[Any], *, delay: int = 0) -> None:
        """Put each message in."""
        for body in bodies:
            self._lane.put((body["run"], body.get("job")), delay=delay)


class PlayedObjects:
    """The port Objects, as far as settle and reconcile look: plans, and answers that nobody told of."""

    def __init__(self, scenes: dict[str, Scene]) -> None:
        """Take the scenes on their way, by run."""
        self._scenes = scenes
        self.answers: set[str] = set()

    def head(self, uri: str) -> ObjectHead:
        """Say whether an answer is there. Raises ObjectMissingError."""
        if uri not in self.answers:
            raise ObjectMissingError(uri)
        return ObjectHead(uri=uri, size=1, etag="e", metadata={})

    def get(self, uri: str, *, most: int | None = None) -> bytes:
        """Give a plan; of errors there are none. Raises ObjectMissingError."""
        if most is not None:
            raise ObjectMissingError(uri)
        return self._scenes[uri.split("/")[-2]].work.plan

    def put_new(self, uri: str, body: bytes | Path, *, run: str, content_type: str) -> bool:
        """Take a settlement, which nobody reads here."""
        assert all((uri, body, run, content_type))
        return True
