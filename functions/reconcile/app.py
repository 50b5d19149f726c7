"""reconcile: by the clock, whatever was left standing goes on, or ends with a reason."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.ledger import DynamoLedger
from clayline.aws.objects import S3Objects
from clayline.aws.queues import SqsQueue
from clayline.aws.settings import ReconcileSettings, load
from clayline.steps.admission import Admission
from clayline.steps.reconciling import Reconciling
from clayline.steps.settling import Settling

logger = Logger()
metrics = Metrics()


@cache
def reconciling() -> Reconciling:
    """Wire the ports, once."""
    chosen = load(ReconcileSettings)
    sqs = boto3.client("sqs")
    ledger = DynamoLedger(boto3.resource("dynamodb").Table(chosen.ledger_table))
    objects = S3Objects(boto3.client("s3"))
    tile_queue, settled_queue = SqsQueue(sqs, chosen.tile_queue_url), SqsQueue(sqs, chosen.settled_queue_url)
    patience = timedelta(seconds=chosen.patience_seconds)
    return Reconciling(
        ledger=ledger,
        objects=objects,
        scene_queue=SqsQueue(sqs, chosen.scene_queue_url),
        tile_queue=tile_queue,
        settled_queue=settled_queue,
        settling=Settling(
            ledger=ledger,
            objects=objects,
            tile_queue=tile_queue,
            settled_queue=settled_queue,
            clock=_now,
            work_bucket=chosen.work_bucket,
            max_attempts=chosen.max_attempts,
            patience=patience,
        ),
        admission=Admission(
            ledger=ledger,
            tile_queue=tile_queue,
            clock=_now,
            most_in_flight=chosen.max_batches_in_flight,
            patience=patience,
        ),
        clock=_now,
        work_bucket=chosen.work_bucket,
        answer_within=timedelta(seconds=chosen.request_ttl_seconds + chosen.invocation_timeout_seconds),
        patience=patience,
        longest=timedelta(days=chosen.give_up_days),
    )


def _now() -> datetime:
    return datetime.now(UTC)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - Lambda's signature
    """Make one pass; gives how many runs were looked at, by state."""
    looked = dict(reconciling().reconcile())
    if looked:
        logger.info("reconciled", extra={"looked": looked})
    for state, runs in looked.items():
        metrics.add_metric(name=f"Overdue{state.title()}", unit=MetricUnit.Count, value=runs)
    metrics.add_metric(name="ReconcilePass", unit=MetricUnit.Count, value=1)
    return looked
