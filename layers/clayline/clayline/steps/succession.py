"""Succession: the runs of one content of a scene, each after chips of the one before failed or other content came, and
where a landing stands among them.
"""

from dataclasses import dataclass
from enum import Enum

from clayline.errors import SceneError
from clayline.run.keys import successor_id
from clayline.run.ledger import Ledger, RunRow
from clayline.scene.source import LandedScene
from clayline.steps.answering import Answering

MAX_RUNS = 100
"""Of one scene in a row: a landing walks along them, two reads each."""


class Standing(Enum):
    """What a landing finds at its run."""

    NEW = "new"
    """The run is to be planned, or a delivery holds its lease."""
    WAITING = "waiting"
    """The run is on its way; the event at its end answers the landing."""
    ANSWERED = "answered"
    """This delivery came twice: the landing was answered."""
    REPEATED = "repeated"
    """The run is done, and its outcome was announced to this landing now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The run that a landing is about."""

    standing: Standing
    run: str
    before: RunRow | None
    """The run before it."""


@dataclass(frozen=True, kw_only=True)
class Succession:
    """Ports of walking along a scene's runs (docs/landings.md, What a landing does)."""

    ledger: Ledger
    answering: Answering
    retry_failed: bool
    """Whether a run may be started because chips of the last one failed."""

    def stand(self, scene: LandedScene) -> Found:
        """Find the landing's run, and answer it or let it wait there unless that is to be planned.

        Raises SceneError (``too-many-runs``), TransientError.
        """
        before: RunRow | None = None
        for _ in range(MAX_RUNS):
            predecessor = before.run if before else None
            run = successor_id(predecessor) if predecessor else scene.run
            row = self.ledger.run(run)
            if row is None or not row.state.is_planned:
                is_final = before is not None and not self.retry_failed and not self._is_older(scene, before)
                if before and is_final and self._repeat(scene, before):
                    return Found(standing=Standing.REPEATED, run=before.run, before=None)
                return Found(standing=Standing.NEW, run=run, before=before)
            if standing := self._at(scene, row):
                return Found(standing=standing, run=run, before=before)
            before = row
        msg = (
            f"scene {scene.source.name}: the same content had {MAX_RUNS} runs, one after another, and is not computed"
            " again. Look for the cause in the receipts' reasons; another model, another option or a changed scene"
            " begins anew."
        )
        raise SceneError(msg, reason="too-many-runs")

    def _at(self, scene: LandedScene, row: RunRow) -> Standing | None:
        """Give what the landing finds at a run that is planned; None if it goes on to the next."""
        landing = scene.landing.landing
        if not row.state.is_over:
            if self._is_older(scene, row) and self.ledger.landing(row.run, landing) is None:
                return None
            self.ledger.keep_landing(row.run, landing, uri=scene.landed_uri)
            row = (
                self.ledger.run(row.run) or row
            )  # collect announces, then looks who waits: one of the two sees the other
            if not row.state.is_over:
                return Standing.WAITING
        here = self.ledger.landing(row.run, landing)
        if here and here.answered:
            return Standing.ANSWERED
        is_final = here or (not (row.outcome is not None and row.outcome.failed) and not self._is_older(scene, row))
        return Standing.REPEATED if is_final and self._repeat(scene, row) else None

    def _is_older(self, scene: LandedScene, row: RunRow) -> bool:
        """Say whether other content of the scene was planned since: what lands now becomes the newest again."""
        newest = self.ledger.newest(token=scene.entry.token, scene_hash=scene.source.hash)
        return newest not in {None, row.run}

    def _repeat(self, scene: LandedScene, row: RunRow) -> bool:
        """Announce a run's outcome to this landing; False if the receipt is gone, and with it what could be told."""
        return self.answering.repeat(row, landing=scene.landing.landing, landed_uri=scene.landed_uri)
