"""The fault run: `make faults` (docs/reliability.md).

Campaigns are independent, so that each replays alone: ``python -m tests.faults.run --campaign SEED``.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from itertools import count, islice
from multiprocessing.pool import Pool
from pathlib import Path

from tests.faults.campaign import Told, run_campaign
from tests.faults.profile import HEALING, NARROW, OUTAGE, PROFILES, ROUGH
from tests.faults.tables import GeoParquet, Plain

_REAL_FILES = 8
"""Every so many campaigns the shipped writer makes the files."""
_AT_ONCE = 3
_IN_TURN = (HEALING, ROUGH, NARROW, ROUGH, OUTAGE)


def run_seed(seed: str) -> Told:
    """Run the campaign that a seed names: ``PROFILE:SEED:NUMBER``."""
    name, _, number = seed.split(":")
    table = GeoParquet() if int(number) % _REAL_FILES == 0 else Plain()
    with tempfile.TemporaryDirectory() as scratch:
        return run_campaign(PROFILES[name], seed=seed, table=table, scratch=Path(scratch))


def seeds(seed: int) -> Iterator[str]:
    """Give the campaigns of a seed: what heals, what does not, little room and an outage in turn."""
    for number in count():
        yield f"{_IN_TURN[number % len(_IN_TURN)].name}:{seed}:{number // len(_IN_TURN)}"


class Run:
    """Counts of a run."""

    def __init__(self) -> None:
        self.batches: Counter[str] = Counter()
        self.campaigns: Counter[str] = Counter()
        self.scenes = 0
        self.days = 0.0
        self.ends: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.points: set[str] = set()
        self.fates: Counter[str] = Counter()
        self.found: list[str] = []

    def note(self, told: Told) -> None:
        """Count a campaign."""
        name = told.seed.partition(":")[0]
        self.batches[name] += told.batches
        self.campaigns[name] += 1
        self.scenes += told.scenes
        self.days += told.days
        self.ends += told.ends
        self.fates += told.fates
        for (where, kind), number in told.injected.items():
            self.injected[kind] += number
            self.points.add(where)
        for violation in told.violations:
            self.found.append(f"{told.seed}: {violation.kind}: {violation.what}")

    def report(self) -> bool:
        """Print what was found, and say whether all is well."""
        for name in self.campaigns:
            print(f"{name}: {self.campaigns[name]} campaigns, {self.batches[name]} batches")
        print(f"in all {self.batches.total()} batches of {self.scenes} scenes, {self.days:.0f} injected days")
        print(f"injected at {len(self.points)} calls: {_listed(self.injected)}")
        print(f"invocations: {_listed(self.fates)}")
        print(f"events: {_listed(self.ends)}")
        for line in self.found[:100]:
            print(f"VIOLATION {line}")
        return not self.found


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


def main() -> None:
    """Run campaigns until there were enough batches; or one."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batches", type=int, default=50_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="campaigns side by side")
    parser.add_argument("--campaign", help="run this one alone, as a violation names it")
    given = parser.parse_args()
    run, begun = Run(), time.monotonic()
    if given.campaign:
        run.note(run_seed(given.campaign))
    else:
        with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
            for told in _in_order(pool, seeds(given.seed), _AT_ONCE * given.jobs):
                run.note(told)
                if run.batches.total() >= given.batches:
                    break
    well = run.report()
    print(f"{time.monotonic() - begun:.0f} s")
    sys.exit(0 if well else 1)


def _in_order(pool: Pool, names: Iterator[str], ahead: int) -> Iterator[Told]:
    """Give what came of each campaign, in the order of their names: so the same ones count, however many ran."""
    waiting = deque(pool.apply_async(run_seed, (name,)) for name in islice(names, ahead))
    while True:
        yield waiting.popleft().get()
        waiting.append(pool.apply_async(run_seed, (next(names),)))


if __name__ == "__main__":
    main()
