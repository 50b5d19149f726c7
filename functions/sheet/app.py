"""sheet: the chips of a match that a watch told of become a contact sheet beside the receipt."""

from functools import cache, partial
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.announcements import Announcements
from clayline.aws.dataset_root import S3Root
from clayline.aws.objects import S3Objects
from clayline.aws.settings import SheetSettings, load
from clayline.likeness.watch_told import Told
from clayline.raster.chip_pictures import png, read_chips
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import GdalHeaders
from clayline.steps.sheeting import Sheeting

logger = Logger()
metrics = Metrics()
announcements = Announcements(logger, metrics, read=Told.parse)


@cache
def sheeting() -> Sheeting:
    """Wire the ports, once."""
    chosen = load(SheetSettings)
    access, s3 = chosen.access(), boto3.client("s3")
    settings = ReadSettings(access=access)
    return Sheeting(
        root=S3Root(s3, bucket=chosen.embeddings_bucket),
        objects=S3Objects(s3, access=access, elsewhere=lambda region: boto3.client("s3", region_name=region)),
        source=GdalHeaders(settings=settings, names=chosen.names).source,
        read=partial(read_chips, settings=settings),
        png=png,
        work_bucket=chosen.work_bucket,
        buckets=chosen.buckets(),
        root_name=chosen.root_name,
    )


def answer(told: Told) -> None:
    """Draw the sheet of one match."""
    drawn = sheeting().draw(told)
    if drawn.elsewhere:
        announcements.drop("no receipt of this bucket")
    elif drawn.gone:
        logger.warning("the receipt was taken away since")
    elif drawn.repeated:
        logger.info("the sheet is there")
    else:
        logger.info("drawn", extra={"chips": drawn.chips})
        metrics.add_metric(name="SheetDrawn", unit=MetricUnit.Count, value=1)
    for why, count in drawn.lacking.items():
        logger.warning("not shown", extra={"chips": count, "why": why})
    metrics.add_metric(name="ChipsNotShown", unit=MetricUnit.Count, value=sum(drawn.lacking.values()))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of events; those that may succeed later are given back."""
    return announcements.handle(event, context, answer=answer)
