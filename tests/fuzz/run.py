"""The fuzz run: `make fuzz` (docs/testing.md).

Cases run in a child process with bounded memory, so that a crash, a hang or an allocation over the limit is told with
the case's number, and the run goes on after it.
"""

import argparse
import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from tests.fuzz.subjects import Subjects

MOST_SECONDS: Final = 5.0
MOST_MEMORY: Final = 1_500_000_000
"""Bytes of address space that a case may add to what the process has when it starts, the threads' stacks included."""
MOST_RESIDENT: Final = 700_000_000
"""Bytes of memory that the whole run may add."""
LEAST_REACHED: Final = 0.3


def work(pipe: Connection, *, seed: int, first: int, last: int) -> None:
    """Run cases and tell of each when it begins and how it ended."""
    logging.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # GDAL's own words, one for each file
    with tempfile.TemporaryDirectory() as folder:
        subjects = Subjects(folder=Path(folder))
        for number in range(20):
            subjects.case_quietly(seed, number)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, used + MOST_MEMORY))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(first, last):
            pipe.send(("begins", number))
            try:
                pipe.send(("ended", number, *subjects.case(seed, number)))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the case's fault
                where = traceback.extract_tb(error.__traceback__)[-1]
                pipe.send(
                    ("fault", number, f"{type(error).__name__}: {str(error)[:200]!r} at {where.name}:{where.lineno}")
                )
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        pipe.send(("done", grown))


class Run:
    """A run's counts."""

    def __init__(self, *, seed: int, cases: int) -> None:
        """Begin with nothing."""
        self.seed, self.cases = seed, cases
        self.subjects: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.faults: list[tuple[int, str]] = []
        self.grown = 0
        self.slowest = 0.0

    def go(self) -> None:
        """Run all cases, in as many children as faults make necessary."""
        at = 0
        while at < self.cases:
            at = self._child(at)

    def _child(self, first: int) -> int:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.get_context("spawn").Process(
            target=work, args=(theirs,), kwargs={"seed": self.seed, "first": first, "last": self.cases}
        )
        child.start()
        theirs.close()
        at, since = first, None
        try:
            while True:
                if not ours.poll(MOST_SECONDS if since is not None else 120):
                    self.faults.append((at, f"hangs: over {MOST_SECONDS} s"))
                    return at + 1
                try:
                    kind, *told = ours.recv()
                except EOFError:
                    child.join()
                    if since is None:
                        sys.exit("the process with the cases does not start")
                    self.faults.append((at, f"crashes: the process ended with {child.exitcode}"))
                    return at + 1
                now = time.monotonic()
                match kind:
                    case "begins":
                        at, since = told[0], now
                    case "done":
                        self.grown = max(self.grown, told[0])
                        return self.cases
                    case _:
                        self.slowest = max(self.slowest, now - (since or now))
                        self._note(kind, told)
        finally:
            child.kill()
            child.join()

    def _note(self, kind: str, told: list[Any]) -> None:
        if kind == "fault":
            self.faults.append((told[0], told[1]))
            return
        _, subject, reached, refusal = told
        self.subjects[subject] += 1
        self.reached[subject] += reached
        if refusal:
            self.refused[f"{subject}: {refusal}"] += 1

    def report(self) -> bool:
        """Print what was found, and say whether all is well."""
        cases, reached = self.cases, sum(self.reached.values())
        print(f"{cases} cases, seed {self.seed}; slowest {self.slowest:.2f} s; memory grew by {self.grown // 10**6} MB")
        for subject, number in sorted(self.subjects.items()):
            print(f"  {subject:<10}{number:>7} cases, {self.reached[subject]:>7} reached pixels or tensors")
        print(f"  {'all':<10}{cases:>7} cases, {reached:>7} reached pixels or tensors ({reached / cases:.1%})")
        for refusal, number in self.refused.most_common():
            print(f"    {number:>6} {refusal}")
        for number, fault in self.faults:
            print(f"FAULT in case {number}: {fault}")
        return not self.faults and reached >= LEAST_REACHED * cases and self.grown <= MOST_RESIDENT


def main() -> None:
    """Run by seed and number of cases; or one case, with its traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--case", type=int, help="run this one alone, in this process")
    given = parser.parse_args()
    if given.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(Subjects(folder=Path(folder)).case(given.seed, given.case))
        return
    run = Run(seed=given.seed, cases=given.cases)
    run.go()
    sys.exit(0 if run.report() else 1)


if __name__ == "__main__":
    main()
