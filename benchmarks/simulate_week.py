"""A week of 15,000 Sentinel-2 scenes a day, simulated: queue ages, instances, dollars, calls.

    python benchmarks/simulate_week.py [--days 7] [--scenes-a-day 15000] [--seed 1] [--chart docs/scale.png]
    python benchmarks/simulate_week.py --needed --days 1   # the fewest instances at half, once and twice the GPU's time
    python benchmarks/simulate_week.py --template          # with what template.yaml deploys by default

Discrete events, all chance from the seed. Admission, settling and reconcile are the shipped code, the ledger is the
one of the tests; docs/scale.md says what is played, and what its times rest on. On the third day the archive stands
still for six hours, on the second a scene of 40,000 batches lands. Progress goes to standard error.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers" / "clayline"), str(ROOT / "cli"), str(ROOT / "local")]

from benchmarks.cost import CLAY  # noqa: E402 - run as a script: the path comes first
from benchmarks.simulate_arrivals import DAY, HOUR, Stall, arrivals  # noqa: E402
from benchmarks.simulate_chain import Chain, Settings  # noqa: E402
from benchmarks.simulate_report import Told, deployed, draw, markdown, span, tell  # noqa: E402
from benchmarks.simulate_work import Batches, Seconds, giant, sentinel  # noqa: E402

from clayline.run.prices import Instance, built_in  # noqa: E402
from clayline.run.speed import speed_of  # noqa: E402
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand  # noqa: E402

FACTORS = (0.5, 1.0, 2.0)
GIANT_LANDS = 1.5 * DAY
STALL = Stall(start=2.25 * DAY, hours=6)
BEARABLE = HOUR
"""In which 99 of 100 scenes are to be done."""
MOST_TRIED = 40


def simulate(
    settings: Settings, *, days: float, scenes_a_day: int, seed: int, instance: Instance,
    stall: Stall | None = None, large: tuple[Batches, float] | None = None,
) -> tuple[Chain, Told]:  # fmt: skip
    """Simulate ``days``, and until everything has ended. ``large`` is one more scene, and when it lands."""
    chain, chance = Chain(settings, seed=seed, seconds=Seconds()), Random(f"{seed} arrivals")  # noqa: S311 - it replays
    landed = [sentinel() for _ in range(round(days * scenes_a_day))]
    for at, work in zip(
        arrivals(days=days, scenes_a_day=scenes_a_day, chance=chance, stall=stall), landed, strict=True
    ):
        chain.land(work, at)
    if large:
        chain.land(*large)
        landed.append(large[0])
    begun = time.perf_counter()
    for hour in range(6, round(days * 24) + 1, 6):
        chain.timeline.after(hour * HOUR, lambda hour=hour: _progress(chain, hour, begun))  # type: ignore[misc]
    unfinished = chain.run()
    return chain, tell(chain, landed, unfinished, instance)


def _progress(chain: Chain, hour: int, begun: float) -> None:
    waiting = chain.minutes.waiting[-1] if chain.minutes.waiting else 0
    print(
        f"hour {hour}: {len(chain.ended):,} scenes ended, {len(chain.scenes):,} on their way, {waiting:,.0f} in line,"
        f" {chain.endpoint.paid} instances ({time.perf_counter() - begun:.0f} s)",
        file=sys.stderr,
    )


def of_template() -> Settings:
    """Give what template.yaml deploys by default."""
    parameters = expand(TEMPLATE, LOCAL_PARAMETERS).parameters
    at_once = {name: size.at_once for name, size in deployed().functions.items()}
    number = {name: int(str(parameters[name])) for name in ("MaxBatchesInFlight", "MaxInstances", "BacklogPerInstance")}
    return Settings(
        most_in_flight=number["MaxBatchesInFlight"],
        most_instances=number["MaxInstances"],
        backlog_per_instance=number["BacklogPerInstance"],
        plan_at_once=at_once["plan"],
        tile_at_once=at_once["tile"],
        settle_at_once=at_once["settle"],
        collect_at_once=at_once["collect"],
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """The fewest instances with which 99 of 100 scenes are done in BEARABLE."""

    factor: float
    """Of the GPU's time."""
    instances: int
    told: Told

    @property
    def row(self) -> str:
        """Write a row of a table."""
        told = self.told
        return (
            f"| x {self.factor:g} | {self.instances} | {told.instances_mean:.2f} | {told.instances_busy:.2f} |"
            f" {span(told.ages['endpoint'].p99)} | {span(told.ages['landing to event'].p99)} |"
            f" {told.dollars['endpoint']:,.0f} |"
        )


NEEDED_HEAD = """\
| GPU time | fewest instances | paid, mean | busy, mean | endpoint p99 | landing to event p99 | endpoint, $/day |
|---|---|---|---|---|---|---|"""


def needed(settings: Settings, *, days: float, scenes_a_day: int, seed: int, instance: Instance) -> Iterator[Needed]:
    """Try more and more instances, for each factor of the GPU's time, from as many as are busy on the average."""
    chips_a_second = scenes_a_day * sentinel().work.chips / DAY
    for factor in FACTORS:
        busy = int(chips_a_second / settings.chips_per_second * factor)
        for most in range(max(1, busy), MOST_TRIED):
            tried = replace(settings, gpu_factor=factor, most_instances=most)
            _, told = simulate(tried, days=days, scenes_a_day=scenes_a_day, seed=seed, instance=instance)
            done = told.ages["landing to event"].p99
            print(f"factor {factor:g}, {most} instances: p99 {span(done)}", file=sys.stderr)
            if done <= BEARABLE and not told.unfinished:
                yield Needed(factor=factor, instances=most, told=told)
                break


def main() -> None:
    """Simulate and print."""
    options = _options()
    instance = built_in().instance(options.instance)
    speed = speed_of(instance, CLAY, "fp16") if instance else None
    if instance is None or speed is None:
        sys.exit(f"{options.instance}: no price or no speed of {CLAY} is known of it; docs/cost.md has those that are")
    settings = of_template() if options.template else Settings()
    given = {
        "most_instances": options.max_instances, "tile_at_once": options.tile_concurrency,
        "most_in_flight": options.in_flight, "backlog_per_instance": options.backlog_per_instance,
    }  # fmt: skip
    settings = replace(
        settings, chips_per_second=speed.chips_per_second, gpu_factor=options.gpu_factor,
        **{name: value for name, value in given.items() if value is not None},
    )  # fmt: skip
    print(f"{options.instance}, {speed.basis}: {settings}", file=sys.stderr)
    if options.needed:
        print(NEEDED_HEAD)
        for found in needed(
            settings, days=options.days, scenes_a_day=options.scenes_a_day, seed=options.seed, instance=instance
        ):
            print(found.row, flush=True)
        return
    large = (giant(), GIANT_LANDS) if options.days * DAY > GIANT_LANDS and not options.plain else None
    stall = STALL if not options.plain else None
    chain, told = simulate(
        settings, days=options.days, scenes_a_day=options.scenes_a_day, seed=options.seed, instance=instance,
        stall=stall, large=large,
    )  # fmt: skip
    if options.json:
        print(json.dumps({"name": "simulate_week", **asdict(told)}))
    else:
        for line in markdown(told):
            print(line)
    for begun, end, work in chain.ended:
        if large and work is large[0]:
            print(f"the scene of {work.work.batches:,} batches: {span(end - begun)}", file=sys.stderr)
    if options.chart:
        draw(chain.minutes, options.chart)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--scenes-a-day", type=int, default=15_000)
    parser.add_argument("--gpu-factor", type=float, default=1.0, help="times the projected time of the GPU")
    parser.add_argument("--instance", default="ml.g6e.xlarge")
    parser.add_argument("--max-instances", type=int)
    parser.add_argument("--tile-concurrency", type=int)
    parser.add_argument("--in-flight", type=int, help="MaxBatchesInFlight")
    parser.add_argument("--backlog-per-instance", type=int)
    parser.add_argument("--template", action="store_true", help="with template.yaml's defaults")
    parser.add_argument("--plain", action="store_true", help="without the archive's standstill and the large scene")
    parser.add_argument("--needed", action="store_true", help="the fewest instances, by the GPU's time")
    parser.add_argument("--json", action="store_true", help="a line of JSON instead of tables")
    parser.add_argument("--chart", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
