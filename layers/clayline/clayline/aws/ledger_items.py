"""The ledger's items: their keys, what is written into them, and what is read back."""

from datetime import UTC, datetime
from typing import Any

from clayline.run.ledger import BatchRow, Flight, Invocation, LandingRow, Outcome, RunRow
from clayline.run.result import BatchResult
from clayline.run.state import RunState

_RESERVED = ("open", "out", "result", "state", "status")
"""Attributes whose names DynamoDB keeps for itself."""


def update(key: dict[str, str], change: str, condition: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """Give the parameters of an update. ``#name`` stands for an attribute whose name DynamoDB keeps for itself."""
    text = f"{change} {condition or ''}"
    names = {f"#{name}": name for name in _RESERVED if f"#{name}" in text}
    return {
        "Key": key,
        "UpdateExpression": change,
        "ExpressionAttributeValues": values,
        **({"ConditionExpression": condition} if condition else {}),
        **({"ExpressionAttributeNames": names} if names else {}),
    }


def kept(result: BatchResult) -> dict[str, Any]:
    """Give a result as an item holds it."""
    return result.model_dump(exclude_none=True)


def run_key(run: str) -> dict[str, str]:
    """Give the key of a run's row."""
    return {"pk": f"run#{run}", "sk": "scene"}


def runs_key(token: str, scene_hash: str) -> dict[str, str]:
    """Give the key of the list of a scene's runs under a model."""
    return {"pk": f"scene#{token}#{scene_hash}", "sk": "runs"}


def batch_key(run: str, batch: str) -> dict[str, str]:
    """Give the key of a batch's row."""
    return {"pk": f"run#{run}", "sk": f"batch#{batch}"}


def landing_key(run: str, landing: str) -> dict[str, str]:
    """Give the key of a landing that stands at a run."""
    return {"pk": f"run#{run}", "sk": f"landing#{landing}"}


def seconds(moment: datetime) -> int:
    """Give a moment as the table holds it: seconds of Unix time."""
    return int(moment.timestamp())


def _moment(seconds: Any) -> datetime:  # noqa: ANN401 - boto3's Decimal
    return datetime.fromtimestamp(int(seconds), UTC)


def run_row(run: str, item: dict[str, Any]) -> RunRow:
    """Read a run's row."""
    return RunRow(
        run=run,
        scene=item["scene"],
        state=RunState(item["state"]),
        due=_moment(item["due"]),
        look=_moment(item.get("look", 0)),
        lease_until=_moment(item.get("lease_until", 0)),
        claimed=_moment(item["claimed"]),
        origin=item.get("origin", ""),
        jobs=int(item.get("jobs", 0)),
        handed=int(item.get("handed", 0)),
        batches=int(item.get("batches", 0)),
        out=int(item.get("out", 0)),
        open=int(item.get("open", 0)),
        outcome=Outcome(**item["outcome"]) if "outcome" in item else None,
    )


def flight(item: dict[str, Any]) -> Flight:
    """Read what the index holds of a run."""
    ended = int(item["batches"]) - int(item["open"])
    return Flight(
        run=item["pk"].removeprefix("run#"),
        state=RunState(item["state"]),
        in_flight=int(item["out"]) - ended,
        look=_moment(item.get("look", 0)),
    )


def landing_row(item: dict[str, Any]) -> LandingRow:
    """Read a landing's row."""
    return LandingRow(landing=item["sk"].removeprefix("landing#"), uri=item["landed_uri"], answered=item["answered"])


def batch_row(item: dict[str, Any]) -> BatchRow:
    """Read a batch's row."""
    return BatchRow(
        batch=item["sk"].removeprefix("batch#"),
        job=int(item["job"]),
        attempt=int(item["attempt"]),
        since=_moment(item["since"]),
        invocation=Invocation(**item["invocation"]) if "invocation" in item else None,
        lost=BatchResult.model_validate(item["lost"]) if "lost" in item else None,
        result=BatchResult.model_validate(item["result"]) if "result" in item else None,
        losses=tuple(BatchResult.model_validate(each) for each in item.get("losses", ())),
    )
