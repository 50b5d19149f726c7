"""compact: by the clock, what scenes have brought to the dataset is put in order, and described."""

import secrets
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from clayline.aws.dataset_root import S3Root
from clayline.aws.settings import CompactSettings, load
from clayline.errors import DatasetError
from clayline.steps.compacting import Compacting
from clayline.steps.tiering import Tiering
from clayline.steps.upkeep import Upkeep
from clayline.table.dataset_tables import DatasetTables
from clayline.table.dataset_tiers import DatasetTiers
from clayline.table.index_reading import AT_ONCE, read_snapshot, scene_rows

logger = Logger()
metrics = Metrics()


@cache
def upkeep() -> Upkeep:
    """Wire the ports, once."""
    chosen = load(CompactSettings)
    root = S3Root(boto3.client("s3", config=Config(max_pool_connections=AT_ONCE)), bucket=chosen.embeddings_bucket)
    scratch = Path(tempfile.gettempdir())
    return Upkeep(
        compacting=Compacting(
            root=root,
            tables=DatasetTables(row_group_rows=chosen.row_group_rows),
            clock=lambda: datetime.now(UTC),
            stamp=lambda: secrets.token_hex(8),
            scratch=scratch,
            tiering=Tiering(root=root, tables=DatasetTiers(scratch=scratch)) if chosen.compact_tiers else None,
            grace=timedelta(hours=chosen.grace_hours),
            spool_bytes=chosen.spool_bytes,
        ),
        rows=lambda: scene_rows(root, read_snapshot(root)),
    )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int | bool]:  # noqa: ARG001 - Lambda's signature
    """Make passes while there is time; gives how many, what they did, and whether nothing is left.

    Raises DatasetError at the end, when all else is done, for scenes that were left out: the alarm is for them.
    """
    kept = upkeep().keep(lambda: timedelta(milliseconds=context.get_remaining_time_in_millis()))
    done: dict[str, int | bool] = {
        "passes": len(kept.passes),
        "taken_in": sum(each.taken_in for each in kept.passes),
        "chips": sum(each.chips for each in kept.passes),
        "tiers": sum(each.tiered for each in kept.passes),
        "deleted": sum(each.deleted for each in kept.passes),
        "described": len(kept.described),
        "finished": kept.finished,
    }
    if kept.passes:
        logger.info("compacted", extra={"done": done})
    if kept.undescribed:
        logger.warning("Collections and cards were not written", extra={"why": kept.undescribed})
    metrics.add_metric(name="CompactPass", unit=MetricUnit.Count, value=len(kept.passes))
    metrics.add_metric(name="ScenesTakenIn", unit=MetricUnit.Count, value=done["taken_in"])
    metrics.add_metric(name="NotDescribed", unit=MetricUnit.Count, value=int(bool(kept.undescribed)))
    for what, why in kept.left_out.told.items():
        logger.error("left out", extra={"what": what, "why": why})
    if left_out := kept.left_out.told:
        msg = f"{len(left_out)} could not be compacted, the first: {next(iter(left_out.items()))}; all else was"
        raise DatasetError(msg)
    return done
