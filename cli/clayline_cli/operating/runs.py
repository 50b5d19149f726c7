"""The ledger as an operator reads it: runs by state and time, and those of a scene. Nothing is written.

Runs are found by the index `by-state`, which is a moment behind the table and holds what a list needs.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from boto3.dynamodb.conditions import Key

from clayline.aws.ledger import BY_STATE
from clayline.run.ledger import Outcome
from clayline.run.state import RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A run, as far as the index holds it."""

    run: str
    scene: str
    state: RunState
    begun: datetime
    """When it was first claimed."""
    due: datetime
    """When the reconciler looks at it. When it ended, for a run that is over."""
    batches: int
    """0 until the plan is stored, and for a scene that was refused."""
    out: int
    """How many belong to jobs that were handed out."""
    open: int
    """How many have not ended."""
    outcome: Outcome | None

    @property
    def kind(self) -> str:
        """What people list runs by: the state, or how it ended: embedded, partial, failed, refused."""
        if self.outcome is None:
            return self.state.value
        if self.outcome.status == "SceneFailed":
            return "failed" if self.batches else "refused"
        return {"SceneEmbedded": "embedded", "ScenePartial": "partial"}[self.outcome.status]

    @property
    def folder(self) -> str | None:
        """Where the files of the runs of its scene and model lie; None of one of which it is not known.

        It is not of one that is under way, was refused, or whose plan is gone: its receipt lies among the refusals'.
        """
        folder = self.outcome.receipt.rpartition("/")[0] if self.outcome and self.batches else None
        return None if folder and folder.split("/")[-2] == "failed" else folder

    @property
    def in_flight(self) -> int:
        """Batches that were handed out and have not ended."""
        return max(0, self.out - (self.batches - self.open)) if self.state in _ON_THE_WAY else 0

    @property
    def waiting(self) -> int:
        """Batches that were not handed out yet."""
        return self.batches - self.out if self.state is RunState.WAITING else 0


_ON_THE_WAY: Final = frozenset({RunState.WAITING, RunState.RUNNING})
KINDS: Final = ("embedded", "partial", "failed", "refused")
"""How a run that was announced ended, in the order in which they are told."""


class Runs:
    """The ledger's runs."""

    def __init__(self, table: Any) -> None:  # noqa: ANN401 - boto3's resources are generated
        """Take the table."""
        self._table = table

    def of_state(self, state: RunState, *, due: datetime | None = None) -> Iterator[Listed]:
        """Give the runs of a state, page by page: those that are due, or ended, at ``due`` or later, earliest first."""
        condition: Any = Key("state").eq(state.value)
        if due is not None:
            condition &= Key("due").gte(int(due.timestamp()))
        query: dict[str, Any] = {"IndexName": BY_STATE, "KeyConditionExpression": condition}
        while True:
            page = self._table.query(**query)
            yield from map(_listed, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def begun(
        self, states: Iterable[RunState] | None, *, since: datetime | None, until: datetime | None
    ) -> list[Listed]:
        """Give the runs of some states (None: of all) that began from ``since`` up to ``until``, in the order in which
        they began.

        None is due, or ended, before it began: earlier ones are not even read.
        """
        found = [
            run
            for state in (RunState if states is None else states)
            for run in self.of_state(state, due=since)
            if (since is None or run.begun >= since) and (until is None or run.begun < until)
        ]
        return sorted(found, key=lambda run: (run.begun, run.run))

    def of_scene(self, names: AbstractSet[str]) -> list[Listed]:
        """Give every run of a scene that is called one of these, in the order in which they began.

        Reads the whole index.
        """
        return [run for run in self.begun(None, since=None, until=None) if run.scene in names]


def followed(runs: Iterable[Listed], *, called: Mapping[str, str]) -> frozenset[str]:
    """Give those of some runs after which another of the same scene began, unless it is known to be another model's.

    ``called`` are scenes by runs, where they are called otherwise than the ledger does.
    """
    by_scene: dict[str, list[Listed]] = {}
    for run in sorted(runs, key=lambda run: (run.begun, run.run)):
        by_scene.setdefault(called.get(run.run, run.scene), []).append(run)
    return frozenset(
        run.run
        for each in by_scene.values()
        for place, run in enumerate(each)
        if any(None in {run.folder, later.folder} or run.folder == later.folder for later in each[place + 1 :])
    )


def _listed(item: dict[str, Any]) -> Listed:
    begun = item.get("claimed", item["due"])
    return Listed(
        run=str(item["pk"]).removeprefix("run#"),
        scene=str(item.get("scene", "")),
        state=RunState(item["state"]),
        begun=_moment(begun),
        due=_moment(item["due"]),
        batches=int(item.get("batches", 0)),
        out=int(item.get("out", 0)),
        open=int(item.get("open", 0)),
        outcome=Outcome(**item["outcome"]) if "outcome" in item else None,
    )


def _moment(seconds: Any) -> datetime:  # noqa: ANN401 - boto3's Decimal
    return datetime.fromtimestamp(int(seconds), UTC)
