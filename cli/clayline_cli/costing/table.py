"""What is told of costs to people: a line a scene, and the sum of all."""

from collections.abc import Iterator, Sequence

from clayline.run.cost import Cost
from clayline.run.prices import Prices
from clayline_cli.costing.estimate import Estimate

_HEAD = ("chips", "jobs", "batches", "GPU hours", "dollars", "scene")


def table(told: Sequence[Estimate]) -> str:
    """Give a line a scene."""
    rows = [_HEAD, *(_row(each) for each in told)]
    wide = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    return "\n".join(
        "  ".join([*(f"{cell:>{width}}" for cell, width in zip(row[:-1], wide, strict=True)), row[-1]]) for row in rows
    )


def summary(found: Cost, *, instance: str, prices: Prices, scenes: int) -> str:
    """Tell what they cost together, by what."""
    return "\n".join(f"  {label:<9} {text}" for label, text in _lines(found, instance, prices, scenes))


def _row(told: Estimate) -> tuple[str, ...]:
    if told.cost is None:
        refused = told.found.refused if told.found else None
        return "", "", "", "", "", f"{told.status}{f', {refused.reason}' if refused else ''}: {told.scene}"
    work, compute = told.cost.work, told.cost.compute
    return (
        f"{work.chips:,}",
        f"{work.jobs:,}",
        f"{work.batches:,}",
        "unknown" if compute is None else f"{compute.hours:.4f}",
        "unknown" if told.cost.dollars is None else f"{told.cost.dollars:.4f}",
        told.scene,
    )


def _lines(found: Cost, instance: str, prices: Prices, scenes: int) -> Iterator[tuple[str, str]]:
    work, calls, beside, compute = found.work, found.calls, found.beside, found.compute
    yield "work", f"{scenes:,} scene(s): {work.chips:,} chips, {work.jobs:,} jobs, {work.batches:,} batches"
    yield "S3", f"{calls.s3_writes:,} writes, {calls.s3_reads:,} reads; {work.request_bytes / 1e9:.2f} GB of requests"
    yield "messages", f"SQS {calls.sqs_requests:,} requests, SNS {calls.sns_publishes:,}, EventBridge {calls.events:,}"
    yield "ledger", f"DynamoDB {calls.dynamodb_writes:,} write units, {calls.dynamodb_reads:,} read units"
    yield "Lambda", f"{calls.lambda_calls:,} calls"
    if compute is None:
        yield "endpoint", f"unknown: nobody has measured this model on {instance}. Give --chips-per-second"
    else:
        speed = f"{compute.speed.chips_per_second:,.3g} chips/s, {compute.speed.basis}"
        yield "endpoint", f"{compute.hours:.4f} hours of {instance} ({speed}): ${compute.dollars:.4f}"
        yield "", f"and ${compute.wake_up_dollars:.2f} more each time it wakes from zero"
    parts = (
        ("Lambda", beside.functions),
        ("S3 requests", beside.s3_requests),
        ("request objects", beside.s3_storage),
        ("queues", beside.queues),
        ("ledger", beside.ledger),
    )
    yield "dollars", ", ".join(f"{name} {dollars:.4f}" for name, dollars in parts)
    whole = "unknown" if found.dollars is None else f"${found.dollars:.4f}"
    yield "", f"beside the endpoint ${beside.together:.4f}, in all {whole}"
    read = sorted({each.read for each in prices.instances} | {prices.services.s3_read.read})
    yield "prices", f"{prices.region}, on demand, read {' and '.join(read)} (docs/cost.md)"
