"""What is foretold of a scene, and of all scenes together, as plain values: what --json prints, and what a table is
made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any, Final

from clayline.place import Place
from clayline.run.calls import Work, work_of
from clayline.run.cost import Compute, Cost, FunctionSize, compute, cost
from clayline.run.prices import Instance, Prices
from clayline.run.speed import Speed, expected_speed
from clayline_cli.errors import CommandError
from clayline_local.dry_run import DryRun
from clayline_local.model_folder import ModelFolder

PLANNED: Final = "WouldEmbed"
REFUSED: Final = "WouldRefuse"
NOT_RUN: Final = "NotRun"


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimator:
    """What costs are worked out by."""

    prices: Prices
    functions: Mapping[str, FunctionSize]
    instance: Instance
    model: ModelFolder
    chips_per_second: float | None
    """What the user has measured."""

    def scene(self, found: DryRun) -> Cost | None:
        """Give what a scene would cost; None if it would be refused.

        Raises CommandError for a scene of more blocks than can be looked up.
        """
        if found.draft is None or found.entry is None:
            return None
        if found.reading is None:
            msg = f"{found.name} has too many blocks to look each up, so that its requests cannot be foretold."
            raise CommandError(f"{msg} Cut it into tiles.")
        draft = found.draft
        opened = {band.uri for band in (*draft.bands, *draft.validity, *((draft.mask,) if draft.mask else ()))}
        work = work_of(
            chips=len(draft.grid),
            jobs=len(draft.jobs),
            batches=len(draft.batches),
            files=len(opened),
            entry=found.entry,
            reading=sum(found.reading[1:], start=found.reading[0]),
        )
        speed = expected_speed(self.instance, found.entry, self.model.manifest.checkpoint)
        if self.chips_per_second is not None:
            speed = Speed(chips_per_second=self.chips_per_second, basis="given")
        return self._cost(work, speed)

    def total(self, costs: Sequence[Cost]) -> Cost:
        """Give what all of them cost together: functions that are warm for the next scene start once."""
        work: Work = reduce(add, (each.work for each in costs))
        together = self._cost(work, None)
        parts = [each.compute for each in costs]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return together
        hours = sum(part.hours for part in known)
        whole = Speed(chips_per_second=work.chips / hours / 3600, basis=known[0].speed.basis)
        return Cost(
            work=work,
            calls=together.calls,
            beside=together.beside,
            compute=compute(work.chips, self.instance, whole),
        )

    def _cost(self, work: Work, speed: Speed | None) -> Cost:
        return cost(work, prices=self.prices, functions=self.functions, instance=self.instance, speed=speed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What is told of a scene."""

    scene: str
    """As the user named it."""
    cost: Cost | None = None
    found: DryRun | None = None
    error: str | None = None
    """Why it could not be tried."""

    @property
    def status(self) -> str:
        """WouldEmbed, WouldRefuse or NotRun."""
        if self.error is not None:
            return NOT_RUN
        return PLANNED if self.cost else REFUSED

    @property
    def exit_status(self) -> int:
        """The scene's own."""
        return {PLANNED: 0, REFUSED: 1, NOT_RUN: 2}[self.status]

    @property
    def message(self) -> str | None:
        """Why it would be refused, or could not be tried, and what to do."""
        refused = self.found.refused if self.found else None
        return refused.at(Place.CLI) if refused else self.error

    def values(self, instance: str) -> dict[str, Any]:
        """Give everything as JSON can say it."""
        refused = self.found.refused if self.found else None
        return {
            "total": False,
            "scene": self.scene,
            "status": self.status,
            "exit_status": self.exit_status,
            "reason": refused.reason if refused else None,
            "message": self.message,
            **(cost_values(self.cost, instance) if self.cost else {}),
        }


def cost_values(found: Cost, instance: str) -> dict[str, Any]:
    """Give a cost as JSON can say it."""
    return {
        "work": asdict(found.work),
        "calls": asdict(found.calls),
        "endpoint": {"instance": instance, **_endpoint(found.compute)},
        "dollars": {
            **asdict(found.beside),
            "beside_endpoint": found.beside.together,
            "endpoint": found.compute.dollars if found.compute else None,
            "in_all": found.dollars,
        },
    }


def _endpoint(found: Compute | None) -> dict[str, Any]:
    if found is None:
        return {"basis": "unknown", "chips_per_second": None, "hours": None, "wake_up_dollars": None}
    return {**asdict(found.speed), "hours": found.hours, "wake_up_dollars": found.wake_up_dollars}
