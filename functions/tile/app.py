"""tile: a job's blocks become request objects and invocations."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.endpoint import AsyncEndpoint
from clayline.aws.ledger import DynamoLedger
from clayline.aws.messages import Messages
from clayline.aws.objects import S3Objects
from clayline.aws.queues import SqsQueue
from clayline.aws.settings import TileSettings, load
from clayline.raster.cog import ReadSettings
from clayline.raster.pixels import GdalPixels
from clayline.steps.tiling import TileJob, Tiling

logger = Logger()
metrics = Metrics()
messages = Messages(logger, metrics)


@cache
def tiling() -> Tiling:
    """Wire the ports, once."""
    chosen = load(TileSettings)
    access = chosen.access()
    return Tiling(
        objects=S3Objects(
            boto3.client("s3"), access=access, elsewhere=lambda region: boto3.client("s3", region_name=region)
        ),
        ledger=DynamoLedger(boto3.resource("dynamodb").Table(chosen.ledger_table)),
        endpoint=AsyncEndpoint(
            boto3.client("sagemaker-runtime"),
            name=chosen.endpoint_name,
            ttl_seconds=chosen.request_ttl_seconds,
            timeout_seconds=chosen.invocation_timeout_seconds,
        ),
        result_queue=SqsQueue(boto3.client("sqs"), chosen.result_queue_url),
        pixels=GdalPixels(settings=ReadSettings(access=access)),
        clock=lambda: datetime.now(UTC),
        work_bucket=chosen.work_bucket,
    )


def take(record: SQSRecord) -> None:
    """Tile one job."""
    job = TileJob.model_validate_json(record.body)
    with logger.append_context_keys(run=job.run, job=job.job):
        tiled = tiling().tile(job)
        logger.info(
            "tiled",
            extra={
                "batches": tiled.batches,
                "sent": tiled.sent,
                "skipped": tiled.skipped,
                "failed": tiled.failed,
                "blocks": tiled.reading.blocks,
                "bytes": tiled.reading.bytes,
                "requests": tiled.reading.requests,
            },
        )
        metrics.add_metric(name="ChipsSent", unit=MetricUnit.Count, value=tiled.sent)
        metrics.add_metric(name="ChipsSkipped", unit=MetricUnit.Count, value=tiled.skipped)
        metrics.add_metric(name="ChipsFailed", unit=MetricUnit.Count, value=tiled.failed)
        metrics.add_metric(name="ReadRequests", unit=MetricUnit.Count, value=tiled.reading.requests)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of tile jobs; those that may succeed later are given back."""
    return dict(messages.handle(event, take, context))
