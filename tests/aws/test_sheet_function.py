"""sheet as Lambda calls it, over moto: what it says of events that are none, of a receipt that is none, and of retries.

What it draws is tested in tests/pipeline/test_sheeting.py, and over HTTP in tests/local/test_events.py.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.aws.conftest import REGION
from tests.aws.test_dataset_functions import BUCKET, context, handler

from clayline.aws.dataset_root import S3Root

KEY = f"watched/pivots/v001/{'a' * 32}_v001.json"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Root]:
    for name, value in {
        "CLAYLINE_LEDGER_TABLE": "ledger",
        "CLAYLINE_WORK_BUCKET": "work",
        "CLAYLINE_SCENES_BUCKET": "scenes",
        "CLAYLINE_EMBEDDINGS_BUCKET": BUCKET,
        "POWERTOOLS_METRICS_NAMESPACE": "Clayline",
        "POWERTOOLS_SERVICE_NAME": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        s3 = boto3.client("s3", region_name=REGION)
        where: Any = {"LocationConstraint": REGION}
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield S3Root(s3, bucket=BUCKET)


def give(called: Callable[[Any, Any], Any], *bodies: str) -> list[int]:
    """Give events to sheet; gives the numbers of those that it gave back."""
    records = [
        {
            "messageId": str(number),
            "receiptHandle": str(number),
            "body": body,
            "attributes": {"ApproximateReceiveCount": "3"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:123456789012:sheet",
            "awsRegion": REGION,
        }
        for number, body in enumerate(bodies)
    ]
    return [int(failed["itemIdentifier"]) for failed in called({"Records": records}, context())["batchItemFailures"]]


def event(receipt: str) -> str:
    return json.dumps({"source": "clayline", "detail-type": "WatchMatched", "detail": {"receipt": receipt}})


def test_what_no_retry_could_cure_is_dropped_and_said(root: S3Root, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(root.list("watched/")) == []
    assert give(handler("sheet"), "{}", event(f"s3://another/{KEY}"), event(f"s3://{BUCKET}/{KEY}")) == []
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in said if line.get("level") == "WARNING"] == [
        "unknown event dropped", "no receipt of this bucket", "the receipt was taken away since",
    ]  # fmt: skip
    [metrics] = [line for line in said if "_aws" in line]
    assert metrics["UnknownEvent"] == [1.0, 1.0]


def test_a_sheet_that_is_there_is_left_alone(root: S3Root, caplog: pytest.LogCaptureFixture) -> None:
    root.put_new(KEY.replace(".json", "_sheet.png"), b"drawn")
    assert give(handler("sheet"), event(f"s3://{BUCKET}/{KEY}")) == []
    assert "the sheet is there" in caplog.text


def test_a_damaged_receipt_is_given_back_and_named(root: S3Root, caplog: pytest.LogCaptureFixture) -> None:
    root.put_new(KEY, b'{"format": "clayline-watch-receipt/1"}')
    assert give(handler("sheet"), event(f"s3://{BUCKET}/{KEY}")) == [0]
    assert f"{KEY} is no receipt of a watch" in caplog.text
