"""Receive: each message of the scene queue is a landing to plan, or an order about a run."""

from dataclasses import dataclass

from clayline.scene.intake import Landing, ObjectCreated, classify
from clayline.scene.notification import Document, Order, PlanAgain, read_message
from clayline.steps.keeping import Keeping
from clayline.steps.operating import Operating
from clayline.steps.planning import Planned, Planning, PlanOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """What a message was about, and what became of it."""

    landing: Landing | None
    outcome: PlanOutcome


@dataclass(frozen=True, kw_only=True)
class Receiving:
    """Ports of receiving."""

    planning: Planning
    item_prefix: str
    cog_prefix: str

    def receive(self, body: str, *, message: str) -> Received:
        """Take a message; ``message`` is the queue's id of it. Raises ValidationError for what no sender of ours or of
        AWS writes, and TransientError.
        """
        found = read_message(body, message=message)
        if isinstance(found, Order):
            return Received(landing=None, outcome=Operating(planning=self.planning).obey(found))
        if isinstance(found, PlanAgain):
            return Received(landing=found.landing, outcome=self.planning.again(found.run, found.landing))
        if isinstance(found, ObjectCreated):
            found = classify(found, item_prefix=self.item_prefix, cog_prefix=self.cog_prefix)
        if isinstance(found, Document):
            found = self._keeping.keep(found)
        if isinstance(found, str):
            return Received(landing=None, outcome=PlanOutcome(kind=Planned.IGNORED, run=None, message=found))
        return Received(landing=found, outcome=self.planning.plan(found))

    @property
    def _keeping(self) -> Keeping:
        return Keeping(objects=self.planning.objects, work_bucket=self.planning.options.work_bucket)
