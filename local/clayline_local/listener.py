"""Clayline's events, heard as a user's own consumer would: by a rule and a queue that are not part of the stack."""

import json
from collections.abc import Iterator
from typing import Any, Final

_NAME: Final = "clayline-local-watch"


class Listener:
    """Hears every event from when it is made."""

    def __init__(self, sqs: Any, events: Any) -> None:  # noqa: ANN401 - boto3's clients are generated
        """Take clients on the local cloud; make the queue and the rule."""
        self._sqs = sqs
        self._queue = sqs.create_queue(QueueName=_NAME)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        events.put_rule(Name=_NAME, EventPattern=json.dumps({"source": ["clayline"]}))
        events.put_targets(Rule=_NAME, Targets=[{"Id": "watch", "Arn": attributes["QueueArn"]}])

    def heard(self, *, wait_seconds: int) -> Iterator[dict[str, Any]]:
        """Give at most ten events, whole as EventBridge delivers them; each is gone once it was given."""
        messages = self._sqs.receive_message(
            QueueUrl=self._queue, WaitTimeSeconds=wait_seconds, MaxNumberOfMessages=10
        ).get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
            yield json.loads(message["Body"])
