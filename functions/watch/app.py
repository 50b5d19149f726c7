"""watch: a scene that was announced is held against the watches that there are."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.announcements import Announcements
from clayline.aws.announcer import EventAnnouncer
from clayline.aws.dataset_root import S3Root
from clayline.aws.settings import WatchSettings, load
from clayline.run.announced import Announced
from clayline.steps.watching import Watching
from clayline.table.scene_chips import open_scene

logger = Logger()
metrics = Metrics()
announcements = Announcements(logger, metrics, read=Announced.parse)


@cache
def watching() -> Watching:
    """Wire the ports, once."""
    chosen = load(WatchSettings)
    return Watching(
        root=S3Root(boto3.client("s3"), bucket=chosen.embeddings_bucket),
        open_scene=open_scene,
        announcer=EventAnnouncer(boto3.client("events"), bus=chosen.event_bus),
        clock=lambda: datetime.now(UTC),
        root_name=chosen.root_name,
    )


def answer(event: Announced) -> None:
    """Hold one scene against the watches."""
    found = watching().answer(event)
    if found.elsewhere:
        announcements.drop("no scene of this bucket", scene=event.scene, receipt=event.receipt)
    if found.gone:
        logger.warning("its file was taken away since", extra={"scene": event.scene, "receipt": event.receipt})
    for receipt in found.receipts:
        told = receipt.model_dump(mode="json", include={"id", "chips", "scored", "left_out", "matched", "scores"})
        logger.info("watched", extra=told)
    if found.other_model or found.drafts or found.repeated:
        logger.info("not scored", extra={
            "other_model": found.other_model, "drafts": found.drafts, "repeated": found.repeated,
        })  # fmt: skip
    matched = sum(receipt.matched > 0 for receipt in found.receipts)
    metrics.add_metric(name="Watched", unit=MetricUnit.Count, value=len(found.receipts))
    metrics.add_metric(name="WatchMatched", unit=MetricUnit.Count, value=matched)
    metrics.add_metric(name="WatchOfOtherModel", unit=MetricUnit.Count, value=len(found.other_model))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of events; those that may succeed later are given back."""
    return announcements.handle(event, context, answer=answer)
