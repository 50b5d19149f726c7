"""index: a scene that was announced gets its row in the dataset's index, a fragment."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.announcements import Announcements
from clayline.aws.dataset_root import S3Root
from clayline.aws.settings import IndexSettings, load
from clayline.run.announced import Announced
from clayline.steps.indexing import Indexed, Indexing
from clayline.table.scene_header import read_scene_header
from clayline.table.scene_rows import encode_rows

logger = Logger()
metrics = Metrics()
announcements = Announcements(logger, metrics, read=Announced.parse)


@cache
def settings() -> IndexSettings:
    """Read them, once."""
    return load(IndexSettings)


@cache
def indexing() -> Indexing:
    """Wire the ports, once."""
    root = S3Root(boto3.client("s3"), bucket=settings().embeddings_bucket)
    return Indexing(root=root, read_header=read_scene_header, encode_rows=encode_rows)


def answer(event: Announced) -> None:
    """Index the scene that one event is about."""
    indexed = indexing().answer(event, root_name=settings().root_name)
    if indexed in {Indexed.ELSEWHERE, Indexed.GONE}:
        announcements.drop(indexed.value, scene=event.scene, receipt=event.receipt)
        return
    logger.info(indexed.value, extra={"scene": event.scene, "receipt": event.receipt})
    metrics.add_metric(name="SceneIndexed", unit=MetricUnit.Count, value=int(indexed is Indexed.ROW))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of events; those that may succeed later are given back."""
    return announcements.handle(event, context, answer=answer)
