"""The ledger as it is read from outside: which runs are finished, how far one is."""

from collections.abc import Iterator
from typing import Any

from clayline.run.state import RunState
from clayline_local.dropped import Dropped, Progress


class LedgerView:
    """Reads the ledger's table, and writes nothing."""

    def __init__(self, dynamodb: Any, *, table: str) -> None:  # noqa: ANN401 - boto3's clients are generated
        """Take a client on the local cloud and the table's name."""
        self._dynamodb = dynamodb
        self._table = table

    def rows(self, sort_key: str) -> Iterator[dict[str, Any]]:
        """Give the rows with this sort key, as DynamoDB types them, page by page.

        While moto makes a row, a scan may find it with its keys alone.
        """
        values = {":s": {"S": sort_key}}
        pages = self._dynamodb.get_paginator("scan")
        for page in pages.paginate(TableName=self._table, FilterExpression="sk = :s", ExpressionAttributeValues=values):
            yield from page["Items"]

    def finished(self) -> dict[str, dict[str, Any]]:
        """Give the row of each run that was announced, by run."""
        return {_run(row): row for row in self.rows("scene") if row.get("state") == {"S": RunState.ANNOUNCED.value}}

    def progress(self, dropped: Dropped | None) -> Progress:
        """Count the batches of the run that a landing started: of its scene, and not finished before it landed.

        Of every run, if it is not known what landed.
        """
        rows = [
            row
            for row in self.rows("scene")
            if dropped is None or (_run(row) not in dropped.before and _scene(row) in dropped.called)
        ]
        planned = [row for row in rows if "batches" in row]
        batches = sum(int(row["batches"]["N"]) for row in planned)
        still = sum(int(row["open"]["N"]) for row in planned)
        return Progress(batches=batches if planned else None, settled=batches - still)


def _run(row: dict[str, Any]) -> str:
    return str(row["pk"]["S"]).removeprefix("run#")


def _scene(row: dict[str, Any]) -> str | None:
    name: str | None = row.get("scene", {}).get("S")
    return name
