"""The runs that somebody chose by state, reason and time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from clayline.run.state import RunState
from clayline_cli.operating.listing import UNDER_WAY, WITH_REASON, Chosen
from clayline_cli.operating.moments import iso
from clayline_cli.operating.naming import superseded
from clayline_cli.operating.receipts import ReceiptHead, Receipts
from clayline_cli.operating.running import Running
from clayline_cli.operating.runs import Listed, Runs

_IN: Final = {
    **{state.value: state for state in RunState},
    **dict.fromkeys(("embedded", "partial", "failed", "refused"), RunState.ANNOUNCED),
}
"""In which state of the ledger runs of a kind are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A run of a list."""

    run: Listed
    receipt: ReceiptHead | None
    """Of a run of which something failed."""
    superseded: bool = False
    """Whether its scene has a later run, so that nothing is to be done about it."""

    @property
    def reasons(self) -> list[str]:
        """Why, as far as the receipt says."""
        return sorted(self.receipt.reasons) if self.receipt else []

    def cells(self) -> tuple[str, ...]:
        """As a line of a table."""
        kind = f"{self.run.kind}, superseded" if self.superseded else self.run.kind
        return iso(self.run.begun), kind, ",".join(self.reasons) or "-", self.run.run, self.run.scene

    def values(self) -> dict[str, Any]:
        """As JSON can say it."""
        run = self.run
        return {
            "run": run.run,
            "scene": run.scene,
            "state": run.kind,
            "begun": iso(run.begun),
            "due" if run.kind in UNDER_WAY else "ended": iso(run.due),
            "batches": {"planned": run.batches, "in_flight": run.in_flight, "open": run.open},
            "reasons": self.reasons,
            "superseded": self.superseded,
            "message": self.receipt.message if self.receipt else None,
            "counts": self.receipt.counts.model_dump() if self.receipt else None,
            "receipt": run.outcome.receipt if run.outcome else None,
        }


def chosen(which: Chosen, running: Running, hint: Callable[[str], None]) -> list[Found]:
    """Give the runs that are meant, in the order in which they began."""
    states = {_IN[kind] for kind in which.states} or None
    every = Runs(running.table)
    found = matching(which, every.begun(states, since=which.since, until=which.until), running, hint)
    if not any(each.run.kind in WITH_REASON for each in found):
        return found
    past = superseded(every.begun(None, since=min(each.run.begun for each in found), until=None), running)
    return [replace(each, superseded=each.run.kind in WITH_REASON and each.run.run in past) for each in found]


def matching(which: Chosen, runs: Iterable[Listed], running: Running, hint: Callable[[str], None]) -> list[Found]:
    """Give those of some runs that are meant.

    Receipts are read of those of which something failed, and only of them. ``hint`` is told of reasons none names.
    """
    meant = [
        run
        for run in runs
        if (not which.states or run.kind in which.states)
        and (not which.reasons or run.kind in WITH_REASON)
        and (which.since is None or run.begun >= which.since)
        and (which.until is None or run.begun < which.until)
    ]
    found = found_of(meant, running)
    named = {reason for each in found for reason in each.reasons}
    if unknown := sorted(which.reasons - named):
        hint(f"no run that was looked at names {', '.join(unknown)}; they name {', '.join(sorted(named)) or 'none'}")
    return [each for each in found if not which.reasons or which.reasons & set(each.reasons)]


def found_of(runs: Sequence[Listed], running: Running) -> list[Found]:
    """Give runs with what their receipts say, of those of which something failed."""
    told = {run.run: run.outcome.receipt for run in runs if run.kind in WITH_REASON and run.outcome}
    heads = Receipts(s3=running.client("s3")).heads(list(told.values()))
    receipts = dict(zip(told, heads, strict=True))
    return [Found(run=run, receipt=receipts.get(run.run)) for run in runs]
