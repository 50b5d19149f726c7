"""SQS batches: each message by itself, failures given back alone, and every failure in the log."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.errors import LeaseHeldError, TransientError


class Messages(BatchProcessor):
    """Powertools' batch processor, which says nothing of failures, with a log line and a metric for each."""

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        """Take where failures are told."""
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        self._logger = logger
        self._metrics = metrics

    def failure_handler(self, record: Any, exception: Any) -> Any:  # noqa: ANN401 - Powertools' signature
        """Log what a message failed on: a retry may cure a TransientError.

        Anything else wants a person, with the traceback.
        """
        error = exception[1]
        received = record.attributes.approximate_receive_count if isinstance(record, SQSRecord) else None
        told = {"error": type(error).__name__, "why": str(error), "received": received}
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
        return process_partial_response(event=event, record_handler=take, processor=self, context=context)
