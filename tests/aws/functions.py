"""Functions as Lambda calls them: loaded from their folders, and given SQS events."""

import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any, Final

from awslambdaric.lambda_context import LambdaContext  # type: ignore[import-untyped]
from tests.dataset.scenes import MadeUp

from clayline_local.template import ACCOUNT, REGION, TEMPLATE

BUCKET: Final = "embeddings"
NAME: Final = f"s3://{BUCKET}/"
ENVIRONMENT: Final = {
    "CLAYLINE_LEDGER_TABLE": "ledger",
    "CLAYLINE_WORK_BUCKET": "work",
    "CLAYLINE_EMBEDDINGS_BUCKET": BUCKET,
    "POWERTOOLS_METRICS_NAMESPACE": "Clayline",
    "POWERTOOLS_SERVICE_NAME": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_LAMBDA_FUNCTION_NAME": "f",
}
"""What every function behind collect is given."""
type Handler = Callable[[Any, Any], Any]


def context(*, seconds: float = 900.0) -> LambdaContext:
    """What Lambda tells of a call; it has so many seconds, at every look."""
    found = LambdaContext("1", None, None, 0, f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f")
    found.get_remaining_time_in_millis = lambda: seconds * 1000
    return found


def handler(name: str) -> Handler:
    """Load a function as a process of its own would: its clients and settings are made at the first call."""
    path = TEMPLATE.parent / "functions" / name / "app.py"
    spec = importlib.util.spec_from_file_location(f"app_of_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Handler = module.handler
    return found


def deliver(to: Handler, *bodies: str, received: int = 1, seconds: float = 900.0) -> list[int]:
    """Give a function a batch of messages, received so often; gives the numbers of those that it gave back."""
    records = [
        {
            "messageId": str(number),
            "receiptHandle": str(number),
            "body": body,
            "attributes": {"ApproximateReceiveCount": str(received)},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:events",
            "awsRegion": REGION,
        }
        for number, body in enumerate(bodies)
    ]
    answer = to({"Records": records}, context(seconds=seconds))
    return [int(failed["itemIdentifier"]) for failed in answer["batchItemFailures"]]


def event(scene: MadeUp, *, before: str = NAME, status: str | None = None, **detail: Any) -> str:
    """Write what EventBridge delivers of a scene."""
    said = {
        "run": scene.row.run,
        "status": status or scene.row.status,
        "scene": "a scene",
        "outputs": {"receipt": before + scene.file.receipt, "parquet": before + scene.file.parquet},
        "landed_uri": "s3://scenes/item.json",
        "repeated": False,
        **detail,
    }
    return json.dumps({"source": "clayline", "detail-type": said["status"], "detail": said})
