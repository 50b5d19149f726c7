"""Answering: whoever lands a scene that is done, or one that is refused, is told so (docs/landings.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from clayline.ports import Announcer, Clock, ObjectMissingError, Objects
from clayline.run.keys import JSON, OutputObjects, failed_run_id
from clayline.run.ledger import Ledger, Outcome, RunRow
from clayline.run.names import AS_THEY_LIE, Names
from clayline.run.receipt import Receipt, failed_receipt
from clayline.scene.intake import Landing


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A scene that is refused, and what beside the landing decided that."""

    reason: str
    message: str
    name: str
    """What people call the scene."""
    hash: str
    """scene12, or the landed object's where the scene is not known."""
    landed_uri: str
    """What the landed object is called."""
    model: str
    """Folder and version."""
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answering:
    """Ports of answering. In each answer the event goes first, then the landing is marked: a kill between gives two."""

    objects: Objects
    ledger: Ledger
    announcer: Announcer
    clock: Clock
    names: Names = AS_THEY_LIE
    """What the receipt of a refusal is called; other receipts say it themselves."""

    def announce(self, receipt: Receipt, *, at: str, landed_uri: str) -> None:
        """Announce a run for the first time, then answer every landing that waits at it. Raises TransientError.

        ``at`` is where the receipt lies, ``landed_uri`` the landing that started the run.
        """
        self.announcer.announce(receipt.status, receipt.summary(landed_uri=landed_uri, repeated=False))
        outcome = Outcome(status=receipt.status, receipt=at, failed=bool(receipt.counts.failed))
        self.ledger.announced(receipt.run, outcome, now=self.clock())
        self._answer_waiting(receipt, told={landed_uri})

    def answer_waiting(self, row: RunRow) -> None:
        """Answer what still waits at a run that was announced: a kill came between the two. Raises TransientError."""
        if any(not waiting.answered for waiting in self.ledger.landings(row.run)) and (receipt := self._receipt(row)):
            self._answer_waiting(receipt, told=set())

    def _answer_waiting(self, receipt: Receipt, *, told: set[str]) -> None:
        """One event for each place where the scene landed meanwhile; the first event has answered those in ``told``."""
        for waiting in self.ledger.landings(receipt.run):
            if waiting.answered:
                continue
            if waiting.uri not in told:
                self.announcer.announce(receipt.status, receipt.summary(landed_uri=waiting.uri, repeated=True))
                told.add(waiting.uri)
            self.ledger.answer_landing(receipt.run, waiting.landing, uri=waiting.uri)

    def repeat(self, row: RunRow, *, landing: str, landed_uri: str) -> bool:
        """Announce a run's stored outcome to another landing; False if its receipt is gone. Raises TransientError."""
        receipt = self._receipt(row)
        if receipt is None:
            return False
        self.announcer.announce(receipt.status, receipt.summary(landed_uri=landed_uri, repeated=True))
        self.ledger.answer_landing(row.run, landing, uri=landed_uri)
        return True

    def refuse(self, landing: Landing, refusal: Refusal, *, embeddings_bucket: str) -> tuple[str, bool]:
        """Write the receipt of a refusal and announce it, unless this landing was told so before.

        Gives the refusal's run, and whether it was told now. Raises TransientError, OutputConflictError.
        """
        run = failed_run_id(
            source_uri=landing.uri,
            source_etag=landing.etag,
            reason=refusal.reason,
            message=refusal.message,
            model=refusal.model,
            options=refusal.options,
        )
        if (known := self.ledger.landing(run, landing.landing)) and known.answered:
            return run, False
        row = self.ledger.run(run)
        outputs = OutputObjects(prefix=f"s3://{embeddings_bucket}/failed/{refusal.hash}/{run}")
        receipt = failed_receipt(
            run=run,
            scene=refusal.name,
            source_uri=refusal.landed_uri,
            reason=refusal.reason,
            message=refusal.message,
            outputs={"receipt": self.names.of(outputs.receipt)},
        )
        self.objects.put_new(outputs.receipt, receipt.model_dump_json(indent=1).encode(), run=run, content_type=JSON)
        repeated = row is not None and row.state.is_over
        self.announcer.announce(receipt.status, receipt.summary(landed_uri=refusal.landed_uri, repeated=repeated))
        outcome = Outcome(status=receipt.status, receipt=outputs.receipt, failed=False)
        self.ledger.announced_refusal(
            run, outcome, scene=refusal.name, origin=landing.model_dump_json(), now=self.clock()
        )
        self.ledger.answer_landing(run, landing.landing, uri=refusal.landed_uri)
        return run, True

    def _receipt(self, row: RunRow) -> Receipt | None:
        """Read what was announced; None if it is not there any more, or something else lies in its place."""
        try:
            receipt = Receipt.model_validate_json(self.objects.get(row.outcome.receipt)) if row.outcome else None
        except (ObjectMissingError, ValidationError):
            return None
        return receipt if receipt and receipt.run == row.run else None
