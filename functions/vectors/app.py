"""vectors: the chips of an announced scene go into a vector bucket of the user's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, Final

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from clayline.aws.announcements import Announcements
from clayline.aws.dataset_root import S3Root
from clayline.aws.settings import VectorsSettings, load
from clayline.aws.vectors import MOST_SECONDS, S3Vectors, vectors_client
from clayline.run.announced import Announced
from clayline.steps.centres import Centres, stated_in
from clayline.steps.sending import LEFT_BEHIND, Sending, Sent
from clayline.table.scene_header import read_scene_header
from clayline.table.vector_columns import read_chips

_LEAST: Final = timedelta(seconds=MOST_SECONDS + 10)
"""Of the call's time: a request with all its tries, and the answer to the queue."""
logger = Logger()
metrics = Metrics()
announcements = Announcements(logger, metrics, read=Announced.parse)


@cache
def settings() -> VectorsSettings:
    """Read them, once."""
    return load(VectorsSettings)


@cache
def sending() -> Sending:
    """Wire the ports, once."""
    s3 = boto3.client("s3")
    root = S3Root(s3, bucket=settings().embeddings_bucket)
    bucket, prefix = settings().model_folder
    return Sending(
        root=root,
        vectors=S3Vectors(vectors_client(), bucket=settings().vector_bucket),
        read_header=read_scene_header,
        read_chips=read_chips,
        centre=Centres(root=root, statistics=partial(stated_in, S3Root(s3, bucket=bucket, prefix=prefix))).of,
        clock=lambda: datetime.now(UTC),
        least=_LEAST,
    )


def answer(event: Announced, *, left: Callable[[], timedelta]) -> None:
    """Send the chips of the scene that one event is about, in the time that is left of the call."""
    outcome = sending().answer(event, root_name=settings().root_name, left=left)
    sent, mark = outcome.sent, outcome.mark
    if sent in {Sent.ELSEWHERE, Sent.GONE}:
        announcements.drop(sent.value, scene=event.scene, receipt=event.receipt)
        return
    left_out = {"without_direction": mark.without_direction, "not_finite": mark.not_finite} if mark else {}
    logger.info(sent.value, extra={"scene": event.scene, "receipt": event.receipt, **left_out})
    if mark and mark.unread:
        logger.warning(LEFT_BEHIND, extra={"scene": event.scene, "receipt": event.receipt, "unread": mark.unread})
    metrics.add_metric(name="SceneSent", unit=MetricUnit.Count, value=int(sent in {Sent.SENT, Sent.BESIDE}))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take a batch of events; those that may succeed later are given back."""

    def left() -> timedelta:
        return timedelta(milliseconds=context.get_remaining_time_in_millis())

    return announcements.handle(event, context, answer=partial(answer, left=left))
