"""Measure: what a settled run took, from what was frozen of it before anything is written."""

from collections.abc import Iterable
from datetime import datetime

from clayline.run.measured import Answers, Measured, PaidInstance
from clayline.run.receipt import BatchOutcomes, Settlement


def measure(
    outcomes: Iterable[BatchOutcomes],
    settlement: Settlement,
    answers: Answers,
    *,
    claimed: datetime,
    instance: PaidInstance | None,
) -> Measured:
    """Give the figures of a run that was first ``claimed`` then."""
    tried = {batch.batch: batch.attempts for batch in settlement.batches}
    sent = [found for found in outcomes if found.sent_indexes and tried[found.batch] != 0]
    hours = None if answers.seconds is None else answers.seconds / 3600
    price = instance.dollars_per_hour if instance else None
    return Measured(
        chips=answers.chips,
        requests=len(sent),
        attempts=_sum(tried[found.batch] for found in sent),
        request_bytes=_sum(found.request_bytes for found in sent),
        response_bytes=answers.bytes,
        compute_seconds=None if answers.seconds is None else round(answers.seconds, 6),
        claimed_to_settled_seconds=round((settlement.at - claimed).total_seconds(), 3),
        instance=instance,
        instance_hours=None if hours is None or instance is None else round(hours, 9),
        instance_dollars=None if hours is None or price is None else round(hours * price, 9),
    )


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Add up; None where one is not known."""
    known = list(numbers)
    return None if None in known else sum(filter(None, known))
