"""Operate: end a run, or compute again what failed in one, because somebody, or the reconciler, says so."""

from dataclasses import dataclass
from typing import Final

from clayline.errors import SceneError
from clayline.place import Option, words
from clayline.ports import ObjectMissingError
from clayline.run.keys import JSON, OutputObjects, redrive_landing, scene_hash, successor_id
from clayline.run.ledger import RunRow
from clayline.run.receipt import ABORTED, NOT_FINISHED, failed_receipt
from clayline.run.state import RunState
from clayline.scene.intake import Landing
from clayline.scene.notification import Order
from clayline.steps.planning import Planned, Planning, PlanOutcome

PLAN_MISSING: Final = "plan-missing"
_WHY: Final = {
    ABORTED: "it was aborted",
    NOT_FINISHED: "it was not finished in the time that a run may take",
}


@dataclass(frozen=True, kw_only=True)
class Operating:
    """Orders about runs, by plan's ports."""

    planning: Planning

    def obey(self, order: Order) -> PlanOutcome:
        """Do what a message orders. Raises TransientError."""
        if order.kind == "clayline-redrive/1":
            return self.redrive(order.run)
        return self.end(order.run, ABORTED if order.kind == "clayline-abort/1" else NOT_FINISHED)

    def end(self, run: str, reason: str) -> PlanOutcome:
        """End a run as it is: what was embedded is written, every other chip fails for ``reason``.

        A run whose batches have all ended, or of which nobody knows, is left alone. Raises TransientError.
        """
        row = self.planning.ledger.run(run)
        if row is None:
            return _nothing(run, "is not known")
        message = f"scene {row.scene}: {_WHY[reason]}. {Option.TRY_AGAIN}"
        if row.state is RunState.CLAIMED:
            landing = Landing.model_validate_json(row.origin)
            return self.planning.give_up(row, landing, SceneError(message, reason=reason))
        try:
            if not self.planning.settling.give_up(row, reason=reason, message=message):
                return _nothing(run, f"is {row.state}: there is nothing left to end")
        except ObjectMissingError as error:
            message = f"scene {row.scene}: its plan is gone ({error}), and what became of its chips. {Option.TRY_AGAIN}"
            self._lose(row, message)
        return PlanOutcome(kind=Planned.FAILED, run=run, message=message)

    def _lose(self, row: RunRow, message: str) -> None:
        """End a run whose plan is gone, and with it what its chips are: all that is left to say.

        It counts as one of which chips failed: landed again, or redriven, the scene is computed again.
        """
        options = self.planning.options
        named = options.names.of(Landing.model_validate_json(row.origin).uri)
        hash_ = scene_hash(collection=None, item=None, uri=named)
        outputs = OutputObjects(prefix=f"s3://{options.embeddings_bucket}/failed/{hash_}/{row.run}")
        receipt = failed_receipt(
            run=row.run,
            scene=row.scene,
            source_uri=named,
            reason=PLAN_MISSING,
            message=words(message, options.place),
            outputs={"receipt": options.names.of(outputs.receipt)},
            failed={PLAN_MISSING: 0},
        )
        body = receipt.model_dump_json(indent=1).encode()
        self.planning.objects.put_new(outputs.receipt, body, run=row.run, content_type=JSON)
        for state in (RunState.SETTLED, RunState.COMMITTED):
            self.planning.ledger.enter(row.run, state, due=self.planning.clock() + self.planning.settling.patience)
        self.planning.answering.announce(receipt, at=outputs.receipt, landed_uri=named)

    def redrive(self, run: str) -> PlanOutcome:
        """Compute again what failed in a run that is over, as the scene's next revision; read again what was refused.

        A redrive that comes twice is one. Raises TransientError.
        """
        row = self.planning.ledger.run(run)
        if row is None:
            return _nothing(run, "is not known")
        if why := self._why_not(row):
            return _nothing(run, why)
        landing = Landing.model_validate_json(row.origin)
        return self.planning.plan(landing.model_copy(update={"landing": redrive_landing(run)}), redrive=True)

    def _why_not(self, row: RunRow) -> str | None:
        """Say why nothing of a run is computed again; None if it is."""
        if row.outcome is None:
            return f"is {row.state}"
        if not row.jobs:
            return None if row.origin else "was refused before it was noted from where"
        if not row.outcome.failed:
            return "is over, and no chip of it failed"
        token, scene_hash = OutputObjects.of_receipt(row.outcome.receipt).scene
        newest = self.planning.ledger.newest(token=token, scene_hash=scene_hash)
        if newest in {None, row.run, successor_id(row.run)}:
            return None
        return f"is not the newest of its scene any more: that is run {newest}"


def _nothing(run: str, why: str) -> PlanOutcome:
    return PlanOutcome(kind=Planned.IGNORED, run=run, message=f"run {run} {why}")
