"""DynamoDB: the Ledger port on one table (docs/architecture.md, Ledger)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from clayline.aws.failures import code_of, retryable
from clayline.run.ledger import BatchRow, Claim, LandingRow, Outcome, RunRow, Stage
from clayline.run.result import BatchResult

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

_CONDITION_FAILED = "ConditionalCheckFailedException"


class DynamoLedger:
    """The ledger over a boto3 Table resource."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    def claim(self, run: str, *, scene: str, now: datetime, lease_until: datetime) -> Claim:
        """Take the lease if there is no row, or if it ran out and the jobs are not all enqueued."""
        taken = self._change(
            _run_key(run),
            "SET stage = if_not_exists(stage, :claimed), scene = :scene, lease_until = :until, claimed ="
            " if_not_exists(claimed, :now)",
            "attribute_not_exists(pk) OR (stage < :enqueued AND lease_until <= :now)",
            {
                ":claimed": Stage.CLAIMED.value,
                ":scene": scene,
                ":until": _seconds(lease_until),
                ":enqueued": Stage.ENQUEUED.value,
                ":now": _seconds(now),
            },
        )
        if taken is not None:
            return Claim.GRANTED
        row = self.run(run)
        return Claim.DONE if row and row.stage >= Stage.ENQUEUED else Claim.HELD

    def release(self, run: str, *, lease_until: datetime) -> None:
        """Let the lease run out now, unless it is another's by now."""
        values = {":past": 0, ":until": _seconds(lease_until)}
        self._change(_run_key(run), "SET lease_until = :past", "lease_until = :until", values)

    def refuse(self, run: str, *, lease_until: datetime) -> None:
        """The same, and the next claim is the first; a run whose plan is stored keeps its time."""
        values = {":past": 0, ":until": _seconds(lease_until), ":claimed": Stage.CLAIMED.value}
        condition = "lease_until = :until AND stage = :claimed"
        if self._change(_run_key(run), "SET lease_until = :past REMOVE claimed", condition, values) is None:
            self.release(run, lease_until=lease_until)

    def run(self, run: str) -> RunRow | None:
        """Give a run."""
        item = self._get(_run_key(run))
        return _run_row(run, item) if item else None

    def revision(self, *, token: str, scene_hash: str, run: str) -> int:
        """Append the run to the scene's list unless it is in it; its place is the revision."""
        key = {"pk": f"scene#{token}#{scene_hash}", "sk": "runs"}
        added = self._change(
            key,
            "SET runs = list_append(if_not_exists(runs, :none), :new)",
            "attribute_not_exists(runs) OR NOT contains(runs, :run)",
            {":none": [], ":new": [run], ":run": run},
        )
        runs: Any = (added or self._get(key) or {})["runs"]
        return int(runs.index(run)) + 1

    def advance(self, run: str, stage: Stage, *, batches: int | None = None) -> None:
        """Raise the stage, never lower it."""
        values: dict[str, Any] = {":stage": stage.value}
        change = "SET stage = :stage"
        if batches is not None:
            change += ", batches = :batches"
            values[":batches"] = batches
        self._change(_run_key(run), change, "attribute_exists(pk) AND stage < :stage", values)

    def announced(self, run: str, outcome: Outcome) -> None:
        """Raise the stage of a run that exists and is not there yet, and keep the outcome."""
        change, condition = "SET stage = :stage, outcome = :outcome", "attribute_exists(pk) AND stage < :stage"
        self._change(_run_key(run), change, condition, {":stage": Stage.ANNOUNCED.value, ":outcome": asdict(outcome)})

    def announced_refusal(self, run: str, outcome: Outcome, *, scene: str) -> None:
        """Write the run's row as announced, unless it is."""
        values = {":stage": Stage.ANNOUNCED.value, ":scene": scene, ":past": 0, ":outcome": asdict(outcome)}
        change = "SET stage = :stage, scene = :scene, lease_until = :past, outcome = :outcome"
        self._change(_run_key(run), change, "attribute_not_exists(pk) OR stage < :stage", values)

    def keep_landing(self, run: str, landing: str, *, uri: str) -> None:
        """Write the landing's row, once."""
        change = "SET landed_uri = :uri, answered = :no"
        self._change(_landing_key(run, landing), change, "attribute_not_exists(pk)", {":uri": uri, ":no": False})

    def answer_landing(self, run: str, landing: str, *, uri: str) -> None:
        """Write the landing's row as answered, whether or not there was one."""
        change = "SET landed_uri = :uri, answered = :yes"
        self._change(_landing_key(run, landing), change, None, {":uri": uri, ":yes": True})

    def landing(self, run: str, landing: str) -> LandingRow | None:
        """Give a landing."""
        item = self._get(_landing_key(run, landing))
        return _landing_row(item) if item else None

    def landings(self, run: str) -> Sequence[LandingRow]:
        """Give every landing at a run, page by page."""
        return [_landing_row(item) for item in self._rows(run, "landing#")]

    def record_request(self, run: str, batch: str, *, attempt: int, inference_id: str) -> None:
        """Write the batch row, unless it stands at this attempt or a later one; a result that came before stays."""
        self._change(
            _batch_key(run, batch),
            "SET attempt = :attempt, inference_id = :id REMOVE invoked_output",  # which was the attempt's before
            "attribute_not_exists(attempt) OR attempt < :attempt",
            {":attempt": attempt, ":id": inference_id},
        )

    def record_invocation(self, run: str, batch: str, *, attempt: int, output: str) -> None:
        """Note OutputLocation, for the attempt the row stands at."""
        self._change(
            _batch_key(run, batch),
            "SET invoked_output = :output",
            "attempt = :attempt",
            {":output": output, ":attempt": attempt},
        )

    def batch(self, run: str, batch: str) -> BatchRow | None:
        """Give a batch."""
        item = self._get(_batch_key(run, batch))
        return _batch_row(item) if item else None

    def batches(self, run: str) -> Sequence[BatchRow]:
        """Give every batch of a run, page by page."""
        return [_batch_row(item) for item in self._rows(run, "batch#")]

    def record_result(self, result: BatchResult) -> None:
        """Keep the first success, else the first failure; note another success as late."""
        key, values = _batch_key(result.run, result.batch), {":result": result.model_dump(exclude_none=True)}
        if result.status == "failed":
            self._change(key, "SET #result = :result", "attribute_not_exists(#result)", values, {"#result": "result"})
            return
        condition = "attribute_not_exists(#result) OR #result.#status = :failed"
        names = {"#result": "result", "#status": "status"}
        if self._change(key, "SET #result = :result", condition, {**values, ":failed": "failed"}, names) is None:
            self._change(
                key,
                "SET late_result = :result",
                "attribute_not_exists(late_result) AND #result <> :result",
                values,
                {"#result": "result"},
            )

    def settle(self, run: str, batch: str) -> RunRow | None:
        """Add to the settled set of a run that exists."""
        item = self._change(_run_key(run), "ADD settled :batch", "attribute_exists(pk)", {":batch": {batch}})
        return _run_row(run, item) if item else None

    def _rows(self, run: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Give the items of a run whose sort key begins so, in its order."""
        query: dict[str, Any] = {
            "KeyConditionExpression": Key("pk").eq(f"run#{run}") & Key("sk").begins_with(prefix),
            "ConsistentRead": True,
        }
        while True:
            with retryable(f"reading {prefix} of run {run}"):
                page = self._table.query(**query)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _get(self, key: dict[str, str]) -> dict[str, Any] | None:
        with retryable(f"reading {key['pk']}"):
            return self._table.get_item(Key=key, ConsistentRead=True).get("Item")

    def _change(
        self,
        key: dict[str, str],
        change: str,
        condition: str | None,
        values: dict[str, Any],
        names: dict[str, str] | None = None,
    ) -> dict[str, Any] | None:
        """Update one item and give it whole; None if the condition did not hold."""
        update: dict[str, Any] = {
            "Key": key,
            "UpdateExpression": change,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
            **({"ConditionExpression": condition} if condition else {}),
            **({"ExpressionAttributeNames": names} if names else {}),
        }
        with retryable(f"updating {key['pk']}"):
            try:
                return dict(self._table.update_item(**update)["Attributes"])
            except ClientError as error:
                if code_of(error) == _CONDITION_FAILED:
                    return None
                raise


def _run_key(run: str) -> dict[str, str]:
    return {"pk": f"run#{run}", "sk": "scene"}


def _batch_key(run: str, batch: str) -> dict[str, str]:
    return {"pk": f"run#{run}", "sk": f"batch#{batch}"}


def _landing_key(run: str, landing: str) -> dict[str, str]:
    return {"pk": f"run#{run}", "sk": f"landing#{landing}"}


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _run_row(run: str, item: dict[str, Any]) -> RunRow:
    return RunRow(
        run=run,
        scene=item["scene"],
        stage=Stage(int(item["stage"])),
        claimed=datetime.fromtimestamp(int(item.get("claimed", 0)), UTC),
        lease_until=datetime.fromtimestamp(int(item["lease_until"]), UTC),
        batches=int(item["batches"]) if "batches" in item else None,
        settled=frozenset(item.get("settled", ())),
        outcome=Outcome(**item["outcome"]) if "outcome" in item else None,
    )


def _landing_row(item: dict[str, Any]) -> LandingRow:
    return LandingRow(landing=item["sk"].removeprefix("landing#"), uri=item["landed_uri"], answered=item["answered"])


def _batch_row(item: dict[str, Any]) -> BatchRow:
    return BatchRow(
        batch=item["sk"].removeprefix("batch#"),
        attempt=int(item["attempt"]) if "attempt" in item else None,
        inference_id=item.get("inference_id"),
        output=item.get("invoked_output"),
        result=BatchResult.model_validate(item["result"]) if "result" in item else None,
    )
