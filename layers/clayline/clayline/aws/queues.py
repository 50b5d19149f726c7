"""SQS: the sending end of a queue."""

import json
from collections.abc import Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from clayline.aws.failures import retryable
from clayline.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MOST_A_CALL = 10


class SqsQueue:
    """The Queue port over a boto3 SQS client."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, bodies: Sequence[Mapping[str, Any]], *, delay: int = 0) -> None:
        """Send every body, ten a call. Raises TransientError if any was not accepted: then all may be sent again."""
        for group in batched(bodies, _MOST_A_CALL, strict=False):
            entries: Any = [
                {"Id": str(number), "MessageBody": json.dumps(body, sort_keys=True), "DelaySeconds": delay}
                for number, body in enumerate(group)
            ]
            with retryable(f"sending to {self._url}"):
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            if failed := answer.get("Failed"):
                msg = (
                    f"{len(failed)} of {len(entries)} messages were not accepted by {self._url}:"
                    f" {failed[0].get('Message')}"
                )
                raise TransientError(msg)
