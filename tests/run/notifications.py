"""SageMaker's notifications as AWS's guide describes them, and SNS's envelope around
them.
"""

import json
from typing import Any

RUN = "0123456789abcdef" * 2
BUCKET = "work"


def identity(batch: str, attempt: int, run: str = RUN) -> str:
    """InferenceId, as docs/wire.md defines it."""
    return f"{run}-{batch}-a{attempt}"


def notification(
    status: str = "Completed", *, batch: str = "b00042", attempt: int = 1, run: str = RUN, **changes: Any
) -> dict[str, Any]:
    """Give the notification of an attempt; ``changes`` replace top-level fields, None removes one."""
    content: dict[str, Any] = {
        "awsRegion": "eu-central-1",
        "eventTime": "2026-11-22T08:00:00.000Z",
        "receivedTime": "2026-11-22T07:59:00.000Z",
        "invocationStatus": status,
        "requestParameters": {
            "contentType": "application/x-safetensors",
            "endpointName": "clayline",
            "inputLocation": f"s3://{BUCKET}/requests/{run}/{batch}.safetensors",
        },
        "inferenceId": identity(batch, attempt, run),
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if status == "Completed":
        content["responseParameters"] = {
            "contentType": "application/x-safetensors",
            "outputLocation": f"s3://{BUCKET}/responses/{identity(batch, attempt, run)}.out",
        }
    else:
        content["failureReason"] = "ClientError: 400, model-changed"
        content["responseParameters"] = {
            "failureLocation": f"s3://{BUCKET}/failures/{identity(batch, attempt, run)}-error.out"
        }
    return {name: value for name, value in (content | changes).items() if value is not None}


def raw(content: Any) -> str:
    """SNS's raw delivery."""
    return json.dumps(content)


def envelope(content: Any) -> str:
    """SNS's envelope in an SQS body."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:eu-central-1:123456789012:success",
            "Message": json.dumps(content),
            "Timestamp": "2026-11-22T08:00:00.123Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLE==",
            "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/x.pem",
            "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
        }
    )
