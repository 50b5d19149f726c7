"""Transactions of the local cloud's ledger are isolated, as DynamoDB's are: one that fails undoes only its own."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError
from tests.local.local_stack import LocalCloud

_INCREMENTS, _FAILURES, _ROWS = 60, 25, 400


def test_a_transaction_that_fails_takes_nothing_back_that_others_wrote(cloud: LocalCloud) -> None:
    dynamodb: Any = cloud.client("dynamodb")
    table = "isolation"
    key = [("pk", "HASH"), ("sk", "RANGE")]
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in key],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in key],
    )
    rows = [{"pk": {"S": f"filler-{number}"}, "sk": {"S": "row"}} for number in range(_ROWS)]
    for start in range(0, _ROWS, 25):  # so that a copy of the table takes a while
        dynamodb.batch_write_item(
            RequestItems={table: [{"PutRequest": {"Item": row}} for row in rows[start : start + 25]]}
        )
    counter = {"pk": {"S": "counter"}, "sk": {"S": "row"}}

    def increment() -> None:
        for _ in range(_INCREMENTS):
            dynamodb.update_item(
                TableName=table,
                Key=counter,
                UpdateExpression="ADD held :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    def fail() -> int:
        cancelled = 0
        impossible = {"TableName": table, "Item": rows[0], "ConditionExpression": "attribute_not_exists(pk)"}
        for _ in range(_FAILURES):
            try:
                dynamodb.transact_write_items(TransactItems=[{"Put": impossible}])
            except ClientError as error:
                cancelled += error.response["Error"]["Code"] == "TransactionCanceledException"
        return cancelled

    with ThreadPoolExecutor(2) as pool:
        failing, counting = pool.submit(fail), pool.submit(increment)
        counting.result()
        assert failing.result() == _FAILURES
    found = dynamodb.get_item(TableName=table, Key=counter, ConsistentRead=True)["Item"]
    assert found["held"] == {"N": str(_INCREMENTS)}
    dynamodb.delete_table(TableName=table)
