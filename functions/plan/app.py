"""plan: a landed scene becomes a stored plan and its tile jobs."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.announcer import EventAnnouncer
from clayline.aws.ledger import DynamoLedger
from clayline.aws.messages import Messages
from clayline.aws.objects import S3Objects
from clayline.aws.queues import SqsQueue
from clayline.aws.settings import PlanSettings, load
from clayline.model.manifest import MANIFEST_FILE, read_manifest
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import GdalHeaders
from clayline.run.plan import Thresholds
from clayline.scene.sensor_file import known_with
from clayline.steps.admission import Admission
from clayline.steps.bounds import Bounds
from clayline.steps.options import PlanOptions
from clayline.steps.planning import Planned, Planning
from clayline.steps.receiving import Receiving
from clayline.steps.settling import Settling

logger = Logger()
metrics = Metrics()
messages = Messages(logger, metrics)


@cache
def receiving() -> Receiving:
    """Wire the ports, once."""
    chosen = load(PlanSettings)
    access = chosen.access()
    objects = S3Objects(
        boto3.client("s3"), access=access, elsewhere=lambda region: boto3.client("s3", region_name=region)
    )
    ledger = DynamoLedger(boto3.resource("dynamodb").Table(chosen.ledger_table))
    queues = boto3.client("sqs")
    patience = timedelta(seconds=chosen.patience_seconds)
    tile_queue = SqsQueue(queues, chosen.tile_queue_url)
    planning = Planning(
        objects=objects,
        ledger=ledger,
        settling=Settling(
            ledger=ledger,
            objects=objects,
            tile_queue=tile_queue,
            settled_queue=SqsQueue(queues, chosen.settled_queue_url),
            clock=_now,
            work_bucket=chosen.work_bucket,
            patience=patience,
        ),
        admission=Admission(
            ledger=ledger,
            tile_queue=tile_queue,
            clock=_now,
            most_in_flight=chosen.max_batches_in_flight,
            patience=patience,
        ),
        announcer=EventAnnouncer(boto3.client("events"), bus=chosen.event_bus),
        headers=GdalHeaders(settings=ReadSettings(access=access), objects=objects, names=chosen.names),
        clock=_now,
        manifest=read_manifest(objects.get(chosen.model_manifest), source=chosen.model_manifest),
        options=PlanOptions(
            work_bucket=chosen.work_bucket,
            embeddings_bucket=chosen.embeddings_bucket,
            allowed_buckets=chosen.buckets(),
            any_gsd=chosen.any_gsd,
            any_pixel_shape=chosen.any_pixel_shape,
            boa=chosen.boa,
            implausible_units=chosen.implausible_units,
            untrained_sensors=chosen.untrained_sensors,
            sensors=known_with({name: objects.get(uri) for name, uri in chosen.own_sensors().items()}),
            tiff_datetime=chosen.tiff_datetime,
            creator=chosen.source_creator,
            thresholds=Thresholds(
                min_valid_fraction=chosen.min_valid_fraction, max_cloud_fraction=chosen.max_cloud_fraction
            ),
            retry_failed=chosen.retry_failed,
            encoding=chosen.vector_encoding,
            lease=timedelta(seconds=chosen.lease_seconds),
            asset_wait=timedelta(minutes=chosen.asset_wait_minutes),
            chips_per_batch=chosen.chips_per_batch,
            memory_budget=chosen.memory_budget_mb * 1_000_000,
            bounds=Bounds(
                max_chips=chosen.max_chips,
                scratch_mb=chosen.collect_scratch_mb,
                collect_memory_mb=chosen.collect_memory_mb,
                tile_memory_mb=chosen.tile_memory_mb,
            ),
            model_uri=chosen.model_manifest.removesuffix(MANIFEST_FILE),
            names=chosen.names,
            place=chosen.place,
        ),
    )
    return Receiving(planning=planning, item_prefix=chosen.item_prefix, cog_prefix=chosen.cog_prefix)


def _now() -> datetime:
    return datetime.now(UTC)


def take(record: SQSRecord) -> None:
    """Plan what landed or was published; do what was ordered."""
    received = receiving().receive(record.body, message=record.message_id)
    outcome, landing = received.outcome, received.landing
    about = {"scene": landing.uri, "landing": landing.landing} if landing else {}
    logger.info(outcome.kind.value, extra={**about, "run": outcome.run, "detail": outcome.message})
    metrics.add_metric(name=f"Scene{outcome.kind.name.title()}", unit=MetricUnit.Count, value=1)
    if outcome.kind is Planned.ENQUEUED:
        metrics.add_metric(name="ChipsPlanned", unit=MetricUnit.Count, value=outcome.chips)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of scene messages; those that may succeed later are given back."""
    return dict(messages.handle(event, take, context))
