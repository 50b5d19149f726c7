"""collect: a settled scene becomes its GeoParquet, its receipt and its event."""

import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from clayline.aws.announcer import EventAnnouncer
from clayline.aws.ledger import DynamoLedger
from clayline.aws.messages import Messages
from clayline.aws.objects import S3Objects
from clayline.aws.settings import CollectSettings, load
from clayline.run.measured import PaidInstance
from clayline.steps.collecting import Collecting, SettledRun
from clayline.steps.gathering import OUTCOMES_AT_ONCE
from clayline.table.geoparquet import write_geoparquet
from clayline.table.header import read_header
from clayline.table.written import read_rows

logger = Logger()
metrics = Metrics()
messages = Messages(logger, metrics)


@cache
def collecting() -> Collecting:
    """Wire the ports, once."""
    chosen = load(CollectSettings)
    objects = S3Objects(boto3.client("s3", config=Config(max_pool_connections=OUTCOMES_AT_ONCE)))
    return Collecting(
        objects=objects,
        requests=objects,
        ledger=DynamoLedger(boto3.resource("dynamodb").Table(chosen.ledger_table)),
        announcer=EventAnnouncer(boto3.client("events"), bus=chosen.event_bus),
        clock=lambda: datetime.now(UTC),
        write_table=write_geoparquet,
        read_header=read_header,
        read_rows=read_rows,
        work_bucket=chosen.work_bucket,
        scratch=Path(tempfile.gettempdir()),
        patience=timedelta(seconds=chosen.patience_seconds),
        grace=timedelta(seconds=chosen.answer_grace_seconds),
        instance=PaidInstance.of(chosen.instance_type) if chosen.paid and chosen.instance_type else None,
    )


def take(record: SQSRecord) -> None:
    """Collect one run."""
    settled = SettledRun.model_validate_json(record.body)
    with logger.append_context_keys(run=settled.run):
        receipt = collecting().collect(settled.run)
        if receipt is None:
            logger.info("collected before")
            return
        logger.info(
            receipt.status,
            extra={"scene": receipt.scene, "reason": receipt.reason, "counts": receipt.counts.model_dump()},
        )
        metrics.add_metric(name=receipt.status, unit=MetricUnit.Count, value=1)
        metrics.add_metric(name="ChipsWritten", unit=MetricUnit.Count, value=receipt.counts.written)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of settled runs; those that may succeed later are given back."""
    return dict(messages.handle(event, take, context))
