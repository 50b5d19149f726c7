"""index: a scene that was announced gets its row in the dataset's index, a fragment."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.dataset_root import S3Root
from clayline.aws.messages import Messages
from clayline.aws.settings import IndexSettings, load
from clayline.run.announced import Announced, UnknownEventError
from clayline.steps.indexing import Indexed, Indexing
from clayline.table.scene_header import read_scene_header
from clayline.table.scene_rows import encode_rows

logger = Logger()
metrics = Metrics()
messages = Messages(logger, metrics)


@cache
def settings() -> IndexSettings:
    """Read them, once."""
    return load(IndexSettings)


@cache
def indexing() -> Indexing:
    """Wire the ports, once."""
    root = S3Root(boto3.client("s3"), bucket=settings().embeddings_bucket)
    return Indexing(root=root, read_header=read_scene_header, encode_rows=encode_rows)


def take(record: SQSRecord) -> None:
    """Index what one event is about.

    An event about nothing of ours is dropped here, visibly: no retry could cure it.
    """
    try:
        event = Announced.parse(record.body)
    except UnknownEventError as error:
        logger.warning("unknown event dropped", extra={"why": str(error)})
        metrics.add_metric(name="UnknownEvent", unit=MetricUnit.Count, value=1)
        return
    with logger.append_context_keys(run=event.run):
        indexed = indexing().answer(event, root_name=settings().root_name)
        told = {"scene": event.scene, "receipt": event.receipt}
        if indexed in {Indexed.ELSEWHERE, Indexed.GONE}:
            logger.warning(indexed.value, extra=told)
            metrics.add_metric(name="UnknownEvent", unit=MetricUnit.Count, value=1)
        else:
            logger.info(indexed.value, extra=told)
            metrics.add_metric(name="SceneIndexed", unit=MetricUnit.Count, value=int(indexed is Indexed.ROW))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of events; those that may succeed later are given back."""
    return dict(messages.handle(event, take, context))
