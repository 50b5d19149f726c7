"""settle: each result message settles a batch; the last one sends the scene to the collector."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.ledger import DynamoLedger
from clayline.aws.messages import Messages
from clayline.aws.objects import S3Objects
from clayline.aws.queues import SqsQueue
from clayline.aws.settings import SettleSettings, load
from clayline.run.result import UnknownResultError, parse_result
from clayline.steps.settling import Settled, Settling

logger = Logger()
metrics = Metrics()
messages = Messages(logger, metrics)


@cache
def settling() -> Settling:
    """Wire the ports, once."""
    chosen = load(SettleSettings)
    sqs = boto3.client("sqs")
    return Settling(
        ledger=DynamoLedger(boto3.resource("dynamodb").Table(chosen.ledger_table)),
        objects=S3Objects(boto3.client("s3")),
        tile_queue=SqsQueue(sqs, chosen.tile_queue_url),
        settled_queue=SqsQueue(sqs, chosen.settled_queue_url),
        clock=lambda: datetime.now(UTC),
        work_bucket=chosen.work_bucket,
        max_attempts=chosen.max_attempts,
        patience=timedelta(seconds=chosen.patience_seconds),
    )


def take(record: SQSRecord) -> None:
    """Settle what one message is about.

    A message about nothing of ours is dropped here, visibly: no retry could cure it.
    """
    try:
        result = parse_result(record.body, work_bucket=settling().work_bucket)
    except UnknownResultError as error:
        logger.warning("unknown result dropped", extra={"why": str(error)})
        metrics.add_metric(name="UnknownResult", unit=MetricUnit.Count, value=1)
        return
    with logger.append_context_keys(run=result.run, batch=result.batch):
        settled = settling().settle(result)
        logger.info("settled", extra={"result": result.status, "reason": result.reason, "state": settled.value})
        if settled is Settled.UNKNOWN_RUN:
            metrics.add_metric(name="UnknownResult", unit=MetricUnit.Count, value=1)
        if settled is Settled.RETRIED:
            metrics.add_metric(name="BatchRetried", unit=MetricUnit.Count, value=1)
        elif result.status == "failed":
            metrics.add_metric(name="BatchFailed", unit=MetricUnit.Count, value=1)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of result messages; those that may succeed later are given back."""
    return dict(messages.handle(event, take, context))
