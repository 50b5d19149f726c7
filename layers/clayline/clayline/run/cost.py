"""What work costs, before it is done: time of functions and endpoint, and dollars.

Arithmetic over counts (``calls``), prices (``prices``) and what was measured (docs/benchmarks.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from clayline.run.calls import Calls, Work, chain_calls
from clayline.run.prices import Instance, Prices
from clayline.run.speed import Speed

COLD_SECONDS: Final = 1.5
"""Of a cold call for imports and clients: 0.5 s rasterio, 0.9 s boto3."""
S3_BYTES_A_SECOND: Final = 100_000_000
"""Between a function and S3, either way; assumed."""
TILE_BAND_PIXELS_A_SECOND: Final = 215 * 10 * 256**2
"""Measured: 215 chips of ten bands, the slower layout of docs/benchmarks.md, local disk, two processors."""
TILE_MB: Final = 2 * 1_769
"""What has two processors on Lambda, where 1,769 MB have one. With less memory tile has less of them and takes as much
longer, for the same product."""
PLAN_SECONDS, SETTLE_SECONDS, COLLECT_SECONDS = 7.3 / 152_881, 24.1 / 2_406, 5.0 / 152_881
"""Measured in benchmarks/scale.py: a chip, a batch, a chip."""
INDEX_SECONDS: Final = 0.3
"""Of a scene: five requests to S3, one after the other; assumed at 50 ms each, and its files parsed."""
START_MINUTES, IDLE_MINUTES = 10, 15
"""Of one wake-up: the longest of the 5 to 10 minutes reported from zero to one instance, all billed; then the wait for
scale-in."""
REQUEST_DAYS: Final = 1 / 24
"""That a request object lies there: it is deleted once its scene's receipt stands. Assumed."""
_DAYS_A_MONTH: Final = 30
_MIB_A_GB: Final = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionSize:
    """What a function is deployed with."""

    memory_mb: int
    at_once: int
    """Calls side by side, at most: so many are cold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """Dollars of work beside the endpoint's instances."""

    functions: float
    s3_requests: float
    s3_storage: float
    """Of request objects, as long as they are kept."""
    queues: float
    """SQS, SNS and EventBridge."""
    ledger: float

    @property
    def together(self) -> float:
        """Their sum."""
        return float(sum(getattr(self, each.name) for each in fields(self)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """What an endpoint's instance costs."""

    hours: float
    """Of one instance that is busy."""
    dollars: float
    wake_up_dollars: float
    """On top, each time the endpoint wakes from zero."""
    speed: Speed


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What work costs."""

    work: Work
    calls: Calls
    beside: Beside
    compute: Compute | None
    """None where the model's speed on the instance is not known."""

    @property
    def dollars(self) -> float | None:
        """Without a wake-up; None where the model's speed is not known."""
        return None if self.compute is None else self.beside.together + self.compute.dollars


def cost(
    work: Work,
    *,
    prices: Prices,
    functions: Mapping[str, FunctionSize],
    instance: Instance,
    speed: Speed | None,
    request_days: float = REQUEST_DAYS,
) -> Cost:
    """Work out what work costs; ``functions`` are those of the stack by name (``plan``, ``tile`` ...)."""
    calls = chain_calls(work)
    return Cost(
        work=work,
        calls=calls,
        beside=_beside(work, calls, prices, functions, request_days),
        compute=None if speed is None else compute(work.chips, instance, speed),
    )


def compute(chips: int, instance: Instance, speed: Speed) -> Compute:
    """Give what chips cost on an instance that is busy, and a wake-up of it."""
    hours = chips / speed.chips_per_second / 3600
    return Compute(
        hours=hours,
        dollars=hours * instance.dollars_per_hour,
        wake_up_dollars=instance.dollars_per_hour * (START_MINUTES + IDLE_MINUTES) / 60,
        speed=speed,
    )


def function_seconds(work: Work, functions: Mapping[str, FunctionSize]) -> dict[str, float]:
    """Give the seconds that are billed of each function, by name."""
    done = {
        "plan": (PLAN_SECONDS * work.chips, work.scenes),
        "tile": (
            work.band_pixels / TILE_BAND_PIXELS_A_SECOND + (work.read_bytes + work.request_bytes) / S3_BYTES_A_SECOND,
            work.jobs,
        ),
        "settle": (SETTLE_SECONDS * work.batches, work.batches),
        "collect": (COLLECT_SECONDS * work.chips, work.scenes),
        "index": (INDEX_SECONDS * work.scenes, work.scenes),
    }
    return {
        name: seconds + COLD_SECONDS * min(calls, functions[name].at_once) for name, (seconds, calls) in done.items()
    }


def _beside(
    work: Work, calls: Calls, prices: Prices, functions: Mapping[str, FunctionSize], request_days: float
) -> Beside:
    each = prices.services
    sizes = {name: size.memory_mb for name, size in functions.items()} | {"tile": TILE_MB}
    gb_seconds = sum(seconds * sizes[name] / _MIB_A_GB for name, seconds in function_seconds(work, functions).items())
    gb_months = work.request_bytes / 1e9 * request_days / _DAYS_A_MONTH
    return Beside(
        functions=gb_seconds * each.lambda_gb_second.each + calls.lambda_calls * each.lambda_call.each,
        s3_requests=calls.s3_writes * each.s3_write.each + calls.s3_reads * each.s3_read.each,
        s3_storage=gb_months * each.s3_gb_month.each,
        queues=calls.sqs_requests * each.sqs_request.each
        + calls.sns_publishes * each.sns_publish.each
        + calls.events * each.event.each,
        ledger=calls.dynamodb_writes * each.dynamodb_write.each + calls.dynamodb_reads * each.dynamodb_read.each,
    )
