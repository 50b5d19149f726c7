"""sheet as Lambda calls it, over moto: what it says of events that are none, of a receipt that is none, and of retries.

What it draws is tested in tests/pipeline/test_sheeting.py, and over HTTP in tests/local/test_events.py.
"""

import json
from typing import TYPE_CHECKING

import pytest
from tests.aws.functions import BUCKET, deliver, handler

from clayline.aws.dataset_root import S3Root

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = f"watched/pivots/v001/{'a' * 32}_v001.json"


@pytest.fixture
def root(of_functions: "S3Client", monkeypatch: pytest.MonkeyPatch) -> S3Root:
    monkeypatch.setenv("CLAYLINE_SCENES_BUCKET", "scenes")
    return S3Root(of_functions, bucket=BUCKET)


def give(*bodies: str) -> list[int]:
    """Give events to sheet; gives the numbers of those that it gave back."""
    return deliver(handler("sheet"), *bodies, received=3)


def event(receipt: str) -> str:
    return json.dumps({"source": "clayline", "detail-type": "WatchMatched", "detail": {"receipt": receipt}})


def test_what_no_retry_could_cure_is_dropped_and_said(
    root: S3Root, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert list(root.list("watched/")) == []
    assert give("{}", event(f"s3://another/{KEY}"), event(f"s3://{BUCKET}/{KEY}")) == []
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "unknown event dropped", "no receipt of this bucket", "the receipt was taken away since",
    ]  # fmt: skip
    [metrics] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert metrics["UnknownEvent"] == [1.0, 1.0]


def test_a_sheet_that_is_there_is_left_alone(root: S3Root, caplog: pytest.LogCaptureFixture) -> None:
    root.put_new(KEY.replace(".json", "_sheet.png"), b"drawn")
    assert give(event(f"s3://{BUCKET}/{KEY}")) == []
    assert "the sheet is there" in caplog.text


def test_a_damaged_receipt_is_given_back_and_named(root: S3Root, caplog: pytest.LogCaptureFixture) -> None:
    root.put_new(KEY, b'{"format": "clayline-watch-receipt/1"}')
    assert give(event(f"s3://{BUCKET}/{KEY}")) == [0]
    assert f"{KEY} is no receipt of a watch" in caplog.text
