"""DynamoDB: the Ledger port on one table (docs/architecture.md, Ledger)."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.conditions import Key

from clayline.aws.failures import retryable
from clayline.aws.ledger_items import (
    batch_key,
    batch_row,
    flight,
    kept,
    landing_key,
    landing_row,
    run_key,
    run_row,
    runs_key,
    seconds,
    update,
)
from clayline.aws.ledger_table import LedgerTable
from clayline.run.ledger import BatchRow, Claim, Closing, Flight, Invocation, LandingRow, Outcome, RunRow
from clayline.run.result import BatchResult
from clayline.run.state import BEFORE, OPEN, RunState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

BY_STATE: Final = "by-state"
"""The index over runs: state, then ``due``."""


class DynamoLedger:
    """The ledger over a boto3 Table resource."""

    def __init__(self, table: "Table", *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take the table, and what waits between two tries of a transaction."""
        self._table = LedgerTable(table, sleep=sleep)

    def claim(self, run: str, *, scene: str, origin: str, now: datetime, lease_until: datetime, due: datetime) -> Claim:
        """Take the lease if there is no row, or if it ran out and the plan is not stored."""
        taken = self._table.change(
            run_key(run),
            "SET #state = :claimed, scene = :scene, origin = :origin, lease_until = :until, due = :due, claimed ="
            " if_not_exists(claimed, :now)",
            "attribute_not_exists(#state) OR (#state = :claimed AND lease_until <= :now)",
            {
                ":claimed": RunState.CLAIMED,
                ":scene": scene,
                ":origin": origin,
                ":until": seconds(lease_until),
                ":due": seconds(due),
                ":now": seconds(now),
            },
        )
        if taken is not None:
            return Claim.GRANTED
        row = self.run(run)
        return Claim.DONE if row and row.state.is_planned else Claim.HELD

    def release(self, run: str, *, lease_until: datetime) -> None:
        """Let the lease run out now, unless it is another's by now."""
        values = {":past": 0, ":until": seconds(lease_until), ":claimed": RunState.CLAIMED}
        self._table.change(
            run_key(run), "SET lease_until = :past", "#state = :claimed AND lease_until = :until", values
        )

    def refuse(self, run: str, *, lease_until: datetime) -> None:
        """Take away all that makes it a run, unless it is another's by now or a plan is stored.

        Nobody may delete rows: a row without a state is no run.
        """
        values = {":until": seconds(lease_until), ":claimed": RunState.CLAIMED}
        condition = "#state = :claimed AND lease_until = :until"
        self._table.change(run_key(run), "REMOVE #state, due, lease_until, claimed", condition, values)

    def run(self, run: str) -> RunRow | None:
        """Give a run."""
        item = self._table.get(run_key(run))
        return run_row(run, item) if item and "state" in item else None

    def revision(self, *, token: str, scene_hash: str, run: str, least: int = 1) -> int:
        """Put the run at the end of the scene's list, in which an empty text is a place that is nobody's any more."""

        def last(runs: list[str]) -> list[str]:
            if runs[-1:] == [run] and len(runs) >= least:
                return runs
            others = [each if each != run else "" for each in runs]
            return [*others, *[""] * (least - 1 - len(others)), run]

        return len(self._relist(token, scene_hash, last))

    def newest(self, *, token: str, scene_hash: str) -> str | None:
        """Give the last of the list that is a run."""
        runs = (self._table.get(runs_key(token, scene_hash)) or {}).get("runs", [])
        return next((str(run) for run in reversed(runs) if run), None)

    def forget_revision(self, *, token: str, scene_hash: str, run: str) -> None:
        """Empty its place."""
        self._relist(token, scene_hash, lambda runs: [each if each != run else "" for each in runs])

    def _relist(self, token: str, scene_hash: str, change: Callable[[list[str]], list[str]]) -> list[str]:
        """Change the list of a scene's runs as nobody else changes it meanwhile; give it as it is then."""
        key = runs_key(token, scene_hash)
        while True:
            before = (self._table.get(key) or {}).get("runs")
            after = change(list(before or []))
            if after == (before or []):
                return after
            values: dict[str, Any] = {":after": after}
            condition = "attribute_not_exists(runs)"
            if before is not None:
                values[":before"], condition = before, "runs = :before"
            if self._table.change(key, "SET runs = :after", condition, values) is not None:
                return after

    def planned(self, run: str, *, jobs: int, batches: int, due: datetime) -> None:
        """Go from claimed to waiting, with every batch open."""
        self._table.change(
            run_key(run),
            "SET #state = :waiting, due = :due, jobs = :jobs, handed = :none, #out = :none, batches = :batches, #open ="
            " :batches",
            "#state = :claimed",
            {
                ":waiting": RunState.WAITING,
                ":claimed": RunState.CLAIMED,
                ":due": seconds(due),
                ":jobs": jobs,
                ":none": 0,
                ":batches": batches,
            },
        )

    def hand_out(self, run: str, *, start: int, stop: int, out: int, due: datetime) -> bool:
        """Raise the number of jobs that are out; the last one makes the run running."""
        values: dict[str, Any] = {
            ":start": start,
            ":stop": stop,
            ":out": out,
            ":waiting": RunState.WAITING,
            ":due": seconds(due),
        }
        change = "SET handed = :stop, #out = :out, look = :due"
        condition = "#state = :waiting AND handed = :start AND jobs > :stop"
        if self._table.change(run_key(run), change, condition, values) is not None:
            return True
        values |= {":running": RunState.RUNNING}
        change = "SET handed = :stop, #out = :out, #state = :running, due = :due"
        condition = "#state = :waiting AND handed = :start AND jobs = :stop"
        return self._table.change(run_key(run), change, condition, values) is not None

    def enter(self, run: str, state: RunState, *, due: datetime) -> bool:
        """Change the state, if it is one of those before."""
        before = {f":before{number}": each for number, each in enumerate(BEFORE[state])}
        condition = f"#state IN ({', '.join(before)})"
        values = {":state": state, ":due": seconds(due), **before}
        return self._table.change(run_key(run), "SET #state = :state, due = :due", condition, values) is not None

    def postpone(self, run: str, *, due: datetime, until: datetime, look: datetime) -> bool:
        """Change the deadlines, if the first is still the one that was seen."""
        values = {":due": seconds(due), ":until": seconds(until), ":look": seconds(look)}
        return self._table.change(run_key(run), "SET due = :until, look = :look", "due = :due", values) is not None

    def overdue(self, state: RunState, *, now: datetime, most: int) -> Sequence[str]:
        """Ask the index."""
        due = Key("state").eq(state) & Key("due").lte(seconds(now))
        query = {"IndexName": BY_STATE, "KeyConditionExpression": due, "Limit": most}
        page = self._table.page(f"asking for runs that are overdue in {state}", query)
        return [str(item["pk"]).removeprefix("run#") for item in page["Items"]]

    def flights(self) -> Sequence[Flight]:
        """Ask the index, page by page."""
        return [
            flight(item)
            for state in (RunState.WAITING, RunState.RUNNING)
            for item in self._table.pages(
                f"asking for runs that are {state}",
                {"IndexName": BY_STATE, "KeyConditionExpression": Key("state").eq(state)},
            )
        ]

    def announced(self, run: str, outcome: Outcome, *, now: datetime) -> None:
        """Go from committed to announced, and keep the outcome."""
        change, condition = "SET #state = :announced, due = :now, outcome = :outcome", "#state = :committed"
        values = {
            ":announced": RunState.ANNOUNCED,
            ":committed": RunState.COMMITTED,
            ":now": seconds(now),
            ":outcome": asdict(outcome),
        }
        self._table.change(run_key(run), change, condition, values)

    def announced_refusal(self, run: str, outcome: Outcome, *, scene: str, origin: str, now: datetime) -> None:
        """Write the run's row as announced, unless there is one."""
        change = (
            "SET #state = :announced, scene = :scene, origin = :origin, due = :now, claimed = :now, outcome = :outcome"
        )
        values = {
            ":announced": RunState.ANNOUNCED,
            ":scene": scene,
            ":origin": origin,
            ":now": seconds(now),
            ":outcome": asdict(outcome),
        }
        self._table.change(run_key(run), change, "attribute_not_exists(#state)", values)

    def keep_landing(self, run: str, landing: str, *, uri: str) -> None:
        """Write the landing's row, once."""
        change = "SET landed_uri = :uri, answered = :no"
        self._table.change(landing_key(run, landing), change, "attribute_not_exists(pk)", {":uri": uri, ":no": False})

    def answer_landing(self, run: str, landing: str, *, uri: str) -> None:
        """Write the landing's row as answered, whether or not there was one."""
        change = "SET landed_uri = :uri, answered = :yes"
        self._table.change(landing_key(run, landing), change, None, {":uri": uri, ":yes": True})

    def landing(self, run: str, landing: str) -> LandingRow | None:
        """Give a landing."""
        item = self._table.get(landing_key(run, landing))
        return landing_row(item) if item else None

    def landings(self, run: str) -> Sequence[LandingRow]:
        """Give every landing at a run, page by page."""
        return [landing_row(item) for item in self._rows(run, "landing#")]

    def begin(self, run: str, batch: str, *, job: int, attempt: int, now: datetime) -> bool:
        """Write the batch's row for an attempt, unless the batch has ended or is at that attempt."""
        changed = self._table.change(
            batch_key(run, batch),
            "SET job = :job, attempt = :attempt, since = :now REMOVE invocation, lost",  # which were the last attempt's
            "attribute_not_exists(#result) AND (attribute_not_exists(attempt) OR attempt < :attempt)",
            {":job": job, ":attempt": attempt, ":now": seconds(now)},
        )
        return changed is not None

    def invoked(self, run: str, batch: str, *, attempt: int, invocation: Invocation) -> None:
        """Note where the answer will be, for the attempt that the row stands at."""
        values = {":invocation": asdict(invocation), ":attempt": attempt}
        self._table.change(batch_key(run, batch), "SET invocation = :invocation", "attempt = :attempt", values)

    def batch(self, run: str, batch: str) -> BatchRow | None:
        """Give a batch."""
        item = self._table.get(batch_key(run, batch))
        return batch_row(item) if item else None

    def batches(self, run: str) -> Sequence[BatchRow]:
        """Give every batch of a run, page by page."""
        return [batch_row(item) for item in self._rows(run, "batch#")]

    def lose(self, result: BatchResult) -> bool:
        """Note the failure, at the attempt that the row stands at."""
        condition = "attempt = :attempt AND attribute_not_exists(#result) AND attribute_not_exists(lost)"
        change = "SET lost = :lost, losses = list_append(if_not_exists(losses, :none), :more)"
        lost = kept(result)
        values = {":lost": lost, ":more": [lost], ":none": [], ":attempt": result.attempt}
        return self._table.change(batch_key(result.run, result.batch), change, condition, values) is not None

    def close(self, result: BatchResult) -> Closing:
        """Write the result and take one from the open batches, in one transaction."""
        condition = "attribute_exists(attempt) AND attribute_not_exists(#result)"
        values: dict[str, Any] = {":result": kept(result)}
        if result.status == "failed":
            condition += " AND attempt = :attempt"
            values[":attempt"] = result.attempt
        end = update(batch_key(result.run, result.batch), "SET #result = :result REMOVE lost", condition, values)
        among = {f":at{number}": state for number, state in enumerate(sorted(OPEN))}
        count = update(
            run_key(result.run),
            "SET #open = #open - :one",
            f"#state IN ({', '.join(among)})",
            {":one": 1, **among},
        )
        with retryable(f"ending batch {result.batch} of run {result.run}"):
            return Closing.CLOSED if self._table.transact(end, count) else self._late(result)

    def _late(self, result: BatchResult) -> Closing:
        """Say what a result is about that ended nothing; let a success replace a failure."""
        if result.status == "succeeded":
            values = {":result": kept(result), ":failed": "failed"}
            condition = "#result.#status = :failed"
            self._table.change(batch_key(result.run, result.batch), "SET #result = :result", condition, values)
        return Closing.KNOWN if self.batch(result.run, result.batch) else Closing.UNKNOWN

    def _rows(self, run: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Give the items of a run whose sort key begins so, in its order."""
        found = Key("pk").eq(f"run#{run}") & Key("sk").begins_with(prefix)
        return self._table.pages(
            f"reading {prefix} of run {run}", {"KeyConditionExpression": found, "ConsistentRead": True}
        )
