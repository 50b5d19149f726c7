"""SQS batches: each message by itself, failures given back alone, and every failure in the log.

A message that is given back comes again when its queue's visibility timeout runs out, which is six times the function's
timeout: for a function that was killed. One throttled call need not cost that, so what a retry may cure is told to come
again sooner.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clayline.errors import LeaseHeldError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

WAITS: Final = (timedelta(minutes=1), timedelta(minutes=4))
"""After the first failure of a message that a retry may cure, and after the second. After more its queue's visibility
timeout holds, of which the shortest is six minutes: five receives must last through more than a hiccup.
"""
_QUICK: Final = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
"""Ten seconds at most: the function's time is for messages, and whatever is not told comes again anyway."""


def wait_before_again(error: BaseException, received: int) -> timedelta | None:
    """Give after how long a message should come again that failed, received so often; None: as its queue has it."""
    if not isinstance(error, TransientError):
        return None
    if error.wait is not None:
        return error.wait
    return WAITS[received - 1] if 1 <= received <= len(WAITS) else None


def _client() -> "SQSClient":
    return boto3.client("sqs", config=_QUICK)


class Messages(BatchProcessor):
    """Powertools' batch processor, which says nothing of failures, with a log line and a metric for each."""

    def __init__(self, logger: Logger, metrics: Metrics, *, client: Callable[[], "SQSClient"] = _client) -> None:
        """Take where failures are told; ``client`` is called when the first message is to come again sooner."""
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        self._logger = logger
        self._metrics = metrics
        self._client = client
        self._sooner: list[tuple[SQSRecord, timedelta]] = []

    def failure_handler(self, record: Any, exception: Any) -> Any:  # noqa: ANN401 - Powertools' signature
        """Log what a message failed on: a retry may cure a TransientError.

        Anything else wants a person, with the traceback.
        """
        error, received, wait = exception[1], None, None
        if isinstance(record, SQSRecord):
            received = int(record.attributes.approximate_receive_count)
            if wait := wait_before_again(error, received):
                self._sooner.append((record, wait))
        told = {
            "error": type(error).__name__,
            "why": str(error),
            "received": received,
            "again_in": wait and wait.total_seconds(),
        }
        if isinstance(error, LeaseHeldError):
            self._logger.info("another delivery is at work", extra=told)
        elif isinstance(error, TransientError):
            self._logger.warning("to be tried again", extra=told)
        else:
            self._logger.error("failed unexpectedly", extra=told, exc_info=exception)
        self._metrics.add_metric(name="MessageGivenBack", unit=MetricUnit.Count, value=1)
        return super().failure_handler(record, exception)

    def handle(
        self, event: dict[str, Any], take: Callable[[SQSRecord], None], context: LambdaContext
    ) -> PartialItemFailureResponse:
        """Give each message of an SQS event to ``take``, whose parameter must be called ``record``.

        Gives ``batchItemFailures``.
        """
        self._metrics.add_metric(name="Messages", unit=MetricUnit.Count, value=len(event["Records"]))
        self._sooner.clear()
        failures = process_partial_response(event=event, record_handler=take, processor=self, context=context)
        if self._sooner:
            self._change_visibility()
        return failures

    def _change_visibility(self) -> None:
        """Have messages come again sooner. What SQS does not do is logged: they come, later, all the same."""
        entries: Any = [
            {"Id": str(number), "ReceiptHandle": record.receipt_handle, "VisibilityTimeout": int(wait.total_seconds())}
            for number, (record, wait) in enumerate(self._sooner)
        ]
        url = self._sooner[0][0].queue_url
        try:
            failed = self._sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries).get("Failed", [])
        except (ClientError, BotoCoreError) as error:
            self._logger.warning("not to be tried again sooner", extra={"why": str(error), "messages": len(entries)})
        else:
            for each in failed:
                self._logger.warning("not to be tried again sooner", extra={"why": each.get("Message"), "messages": 1})

    @cached_property
    def _sqs(self) -> "SQSClient":
        return self._client()
