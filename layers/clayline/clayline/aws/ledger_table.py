"""DynamoDB: one table's items, read consistently and changed under conditions."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from clayline.aws.failures import code_of, retryable
from clayline.aws.ledger_items import update

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

_CONDITION_FAILED = "ConditionalCheckFailedException"
_CANCELLED = "TransactionCanceledException"
_CONFLICT_WAITS: Final = (0.01, 0.03, 0.09, 0.27, 0.81)
"""Seconds. A transaction takes some ten milliseconds."""


class LedgerTable:
    """A boto3 Table resource. Each call raises TransientError for what a retry may cure."""

    def __init__(self, table: "Table", *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take the table, and what waits between two tries of a transaction."""
        self._table = table
        self._sleep = sleep

    def get(self, key: dict[str, str]) -> dict[str, Any] | None:
        """Give an item; None if there is none."""
        with retryable(f"reading {key['pk']}"):
            return self._table.get_item(Key=key, ConsistentRead=True).get("Item")

    def change(
        self, key: dict[str, str], change: str, condition: str | None, values: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Update one item and give it whole; None if the condition did not hold."""
        with retryable(f"changing {key['pk']} {key['sk']}"):
            try:
                parameters = update(key, change, condition, values)
                return dict(self._table.update_item(**parameters, ReturnValues="ALL_NEW")["Attributes"])
            except ClientError as error:
                if code_of(error) == _CONDITION_FAILED:
                    return None
                raise

    def page(self, doing: str, query: dict[str, Any]) -> dict[str, Any]:
        """Give the first page of what a query finds."""
        with retryable(doing):
            return dict(self._table.query(**query))

    def pages(self, doing: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give what a query finds, page by page."""
        while True:
            page = self.page(doing, query)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def transact(self, *changes: dict[str, Any]) -> bool:
        """Make all changes or none; False if a condition did not hold.

        Batches of one run that end at the same moment meet at its row: who comes second tries again at once.
        """
        items: Any = [{"Update": {"TableName": self._table.name, **change}} for change in changes]
        waits = iter(_CONFLICT_WAITS)
        while True:
            try:
                self._table.meta.client.transact_write_items(TransactItems=items)
            except ClientError as error:
                reasons = _cancelled(error)
                if reasons and reasons <= {"None", "ConditionalCheckFailed"}:
                    return False
                wait = next(waits, None)
                if wait is None or "TransactionConflict" not in reasons:
                    raise
                self._sleep(wait)
            else:
                return True


def _cancelled(error: ClientError) -> set[str]:
    """Give why a transaction was cancelled, by the codes of its changes; nothing for any other error."""
    if code_of(error) != _CANCELLED:
        return set()
    reasons: Any = error.response.get("CancellationReasons", [])
    return {str(reason.get("Code")) for reason in reasons}
