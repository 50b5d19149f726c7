"""Queues behind a rule of the bus: each event is read, and what is none of ours is dropped where people see it."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.messages import Messages
from clayline.run.announced import UnknownEventError


class Named(Protocol):
    """What an event is read as: it knows what log lines name it by."""

    @property
    def about(self) -> Mapping[str, str]:
        """Names and values that each line has."""
        ...


class Announcements[Event: Named]:
    """Messages that are events. One that ``read`` refuses is logged, counted and not given back: no retry cures it."""

    def __init__(self, logger: Logger, metrics: Metrics, *, read: Callable[[str], Event]) -> None:
        """Take where all is told, and what reads a message's body: it raises UnknownEventError, of run/announced.py."""
        self._messages = Messages(logger, metrics)
        self._logger = logger
        self._metrics = metrics
        self._read = read

    def handle(
        self, event: dict[str, Any], context: LambdaContext, *, answer: Callable[[Event], None]
    ) -> dict[str, Any]:
        """Give each event of a batch to ``answer``, whose log lines have its name; gives Lambda's answer to SQS.

        What ``answer`` raises gives that message back, and no other (aws/messages.py).
        """

        def take(record: SQSRecord) -> None:
            try:
                read = self._read(record.body)
            except UnknownEventError as error:
                self.drop("unknown event dropped", why=str(error))
                return
            with self._logger.append_context_keys(**read.about):
                answer(read)

        return dict(self._messages.handle(event, take, context))

    def drop(self, message: str, **told: str) -> None:
        """Log and count an event that is about nothing of ours; for an ``answer`` that found it so."""
        self._logger.warning(message, extra=told)
        self._metrics.add_metric(name="UnknownEvent", unit=MetricUnit.Count, value=1)
