"""What a simulated time comes to: ages, instances, dollars, calls, as tables."""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.simulate_arrivals import DAY, HOUR
from benchmarks.simulate_chain import Chain, Minutes
from benchmarks.simulate_work import Batches

from clayline.run.calls import chain_calls
from clayline.run.cost import TILE_MB, cost
from clayline.run.prices import Instance, built_in
from clayline_cli.costing.deployed import Deployed

FLIGHT_BYTES: Final = 90
"""Of a run in the index: names and values of pk, sk, state, due, batches, out, open."""
READ_UNIT: Final = 4096
_MIB_A_GB: Final = 1024
LANES: Final = {"plan": "scene queue", "tile": "tile queue", "settle": "result queue", "collect": "settled queue"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ages:
    """Of one thing that waits, seconds."""

    median: float
    p99: float
    longest: float

    @classmethod
    def of(cls, seconds: array[float]) -> "Ages":
        """Sum them up."""
        if not seconds:
            return cls(median=0, p99=0, longest=0)
        found = np.frombuffer(seconds, dtype=np.float32)
        median, p99 = np.quantile(found, (0.5, 0.99))
        return cls(median=float(median), p99=float(p99), longest=float(found.max()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A simulated time, summed up."""

    days: float
    """Until the last scene ended."""
    scenes: int
    unfinished: int
    batches: int
    computed: int
    """By the endpoint, those that were sent again with them."""
    expired: int
    ages: dict[str, Ages]
    """By what waits."""
    most_waiting: int
    """Runs in line."""
    most_in_flight: int
    longest: dict[str, int]
    """Most messages, by queue."""
    instances_mean: float
    """Paid."""
    instances_busy: float
    instances_most: int
    busy: dict[str, float]
    """Calls of each function side by side, mean."""
    pass_seconds: Ages
    dollars: dict[str, float]
    """A day."""
    calls: dict[str, float]
    """A day."""
    flights_units: float
    """Read units that a look at the line takes at most."""


def tell(chain: Chain, landed: list[Batches], unfinished: int, instance: Instance) -> Told:
    """Sum up a run; ``landed`` are the scenes."""
    minutes, lanes = chain.minutes, _lanes(chain)
    days = max((end for _, end, _ in chain.ended), default=DAY) / DAY
    whole = {"landing to event": chain.whole, "in line": chain.in_line, "without a job, in line": chain.idle}
    ages = {LANES[name]: lane.ages for name, lane in lanes.items()} | {"endpoint": chain.endpoint.ages} | whole
    return Told(
        days=days,
        scenes=len(landed),
        unfinished=unfinished,
        batches=chain.ledger.closed,
        computed=chain.endpoint.computed,
        expired=chain.endpoint.expired,
        ages={name: Ages.of(each) for name, each in ages.items()},
        most_waiting=int(max(minutes.waiting)),
        most_in_flight=int(max(minutes.in_flight)),
        longest={LANES[name]: lane.longest for name, lane in lanes.items()} | {"endpoint": chain.endpoint.longest},
        instances_mean=chain.endpoint.paid_seconds / (days * DAY),
        instances_busy=chain.endpoint.busy_seconds / (days * DAY),
        instances_most=int(max(minutes.instances)),
        busy={name: lane.busy_seconds / (days * DAY) for name, lane in lanes.items()},
        pass_seconds=Ages.of(array("f", minutes.pass_seconds)),
        dollars=_dollars(chain, landed, days, instance),
        calls=_calls(chain, landed, days),
        flights_units=ceil(max(chain.ledger.flights_read) * FLIGHT_BYTES / READ_UNIT) / 2,
    )


@cache
def deployed() -> Deployed:
    """Read the template, once."""
    return Deployed.read()


def _lanes(chain: Chain) -> dict[str, Any]:
    return {
        "plan": chain.scene_lane, "tile": chain.tile_lane, "settle": chain.result_lane, "collect": chain.settled_lane,
    }  # fmt: skip


def _dollars(chain: Chain, landed: list[Batches], days: float, instance: Instance) -> dict[str, float]:
    """Give dollars a day: the endpoint's and Lambda's as simulated, the rest as docs/cost.md has it."""
    prices, functions = built_in(), deployed().functions
    work = landed[0].work
    for each in landed[1:]:
        work += each.work
    lie = sum(each.work.request_bytes * (end - begun) for begun, end, each in chain.ended) / work.request_bytes
    beside = cost(
        work, prices=prices, functions=functions, instance=instance, speed=None, request_days=lie / DAY
    ).beside
    memory = {name: size.memory_mb for name, size in functions.items()} | {"tile": TILE_MB}
    lanes, services = _lanes(chain), prices.services
    computing = sum(
        lane.busy_seconds * memory[name] / _MIB_A_GB * services.lambda_gb_second.each
        + lane.calls * services.lambda_call.each
        for name, lane in lanes.items()
    )
    found = {
        "endpoint": chain.endpoint.paid_seconds / HOUR * instance.dollars_per_hour,
        "Lambda": computing,
        "S3 requests": beside.s3_requests,
        "request objects, from landing to event": beside.s3_storage,
        "SQS, SNS, EventBridge": beside.queues,
        "DynamoDB": beside.ledger + _line_units(chain) * services.dynamodb_read.each,
    }
    return {name: dollars / days for name, dollars in found.items()}


def _line_units(chain: Chain) -> float:
    """Give the read units of all looks at the line, eventually consistent."""
    return sum(
        times * max(0.5, ceil(runs * FLIGHT_BYTES / READ_UNIT) / 2) for runs, times in chain.ledger.flights_read.items()
    )


def _calls(chain: Chain, landed: list[Batches], days: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in {id(work): work for work in landed}.values():
        times = sum(work is each for work in landed)
        for name, count in asdict(chain_calls(each.work)).items():
            found[name] = found.get(name, 0) + count * times
    found["reads of the line, units"] = _line_units(chain)
    for port, name in (("ledger", "reconcile, ledger"), ("objects", "reconcile, S3")):
        found[name] = sum(count for call, count in chain.calls.items() if call.startswith(f"{port}."))
    return {name: count / days for name, count in found.items()}


def markdown(told: Told) -> Iterator[str]:
    """Give the tables of one run."""
    yield "| what waits | median | p99 | longest | most at once |"
    yield "|---|---|---|---|---|"
    for name, ages in told.ages.items():
        yield (
            f"| {name} | {span(ages.median)} | {span(ages.p99)} | {span(ages.longest)} |"
            f" {f'{told.longest[name]:,}' if name in told.longest else ''} |"
        )
    yield ""
    yield "| | |"
    yield "|---|---|"
    ended = told.scenes - told.unfinished
    yield f"| scenes landed, ended, not ended | {told.scenes:,}, {ended:,}, {told.unfinished:,} |"
    yield f"| batches ended, computed, expired | {told.batches:,}, {told.computed:,}, {told.expired:,} |"
    yield f"| runs in line, batches in flight, at most | {told.most_waiting:,}, {told.most_in_flight:,} |"
    yield (
        f"| instances paid, busy (mean), most | {told.instances_mean:.2f}, {told.instances_busy:.2f},"
        f" {told.instances_most} |"
    )
    yield "| calls side by side, mean | " + ", ".join(f"{name} {each:.2f}" for name, each in told.busy.items()) + " |"
    yield f"| a pass of reconcile: median, p99, longest | {spans(told.pass_seconds)} |"
    yield ""
    yield from _table("dollars a day", told.dollars, ",.2f")
    yield ""
    yield from _table("calls a day", told.calls, ",.0f")


def _table(title: str, numbers: Mapping[str, float], form: str) -> Iterator[str]:
    yield f"| {title} | |"
    yield "|---|---|"
    for name, number in numbers.items():
        yield f"| {name.replace('_', ' ')} | {number:{form}} |"


def spans(ages: Ages) -> str:
    """Write three times."""
    return f"{span(ages.median)}, {span(ages.p99)}, {span(ages.longest)}"


def span(seconds: float) -> str:
    """Write a time."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3 * HOUR else f"{seconds / HOUR:.1f} h"


def draw(minutes: Minutes, path: Path) -> None:
    """Draw the time, hour by hour: the oldest that waits, the line, and the instances."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a picture is asked for

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - the same

    hours = len(minutes.at) // 60
    tile, endpoint, waiting, paid = (
        np.array(each)[: hours * 60].reshape(hours, 60)
        for each in (minutes.tile_age, minutes.endpoint_age, minutes.waiting, minutes.instances)
    )
    days = np.arange(hours) / 24
    figure, (ages, line, instances) = plt.subplots(3, 1, figsize=(9, 6), sharex=True, constrained_layout=True)
    ages.step(days, endpoint.max(1) / 60, where="post", color="C1", label="endpoint")
    ages.step(days, tile.max(1) / 60, where="post", color="C0", label="tile queue")
    ages.set_ylabel("oldest, minutes")
    ages.legend(loc="upper right", frameon=False, ncols=2)
    ages.set_ylim(0, 1.3 * float(endpoint.max()) / 60)
    line.step(days, waiting.max(1), where="post", color="C2")
    line.set_ylabel("scenes in line")
    line.set_ylim(bottom=0)
    instances.fill_between(days, paid.mean(1), step="post", color="C4", alpha=0.5)
    instances.set_ylabel("instances paid, mean")
    instances.set_ylim(bottom=0)
    instances.set_xlabel("day")
    instances.margins(x=0)
    figure.savefig(path, dpi=85)
    plt.close(figure)
