"""The run with real processes: `make faults-real` (docs/reliability.md, Real processes).

A local cloud takes small real scenes while its processes are killed at seeded moments and started again, and while
notifications are dropped, repeated and late. Then it comes to rest, and is judged. What is killed, and after how long,
is drawn from the seed; what a process has in hand by then is a matter of the machine's own time.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.faults.processes import PROCESSES, Tended
from tests.faults.real_scenes import Scenes
from tests.faults.real_verdict import Judge, Judgement, Rows, fetch, rows_of

from clayline_local.emulation import Emulation
from clayline_local.keeper import ENDPOINT
from clayline_local.notifier import Faults
from clayline_local.repository import ROOT
from clayline_local.session import Session
from clayline_local.stopping import Stopped, catching, stoppable
from clayline_local.worker import Retry

LOGS: Final = ROOT / "out" / "faults-real"
PARAMETERS: Final[Mapping[str, str]] = {
    "ChipsPerBatch": "4",
    "PatienceSeconds": "10",
    "LeaseSeconds": "240",
    "MaxAttempts": "10",
}
"""The least lease that template.yaml allows, and little patience, so that it heals soon; more attempts than the
endpoint is killed in the time of one scene."""
RETRY: Final = Retry(killed=15)
"""What a killed worker had in hand comes again soon; what a function failed on comes when it says."""
QUIET_WITHIN: Final = 900.0
"""Seconds. The longest wait is that for the lease of a plan that was killed."""
_AT_ONCE: Final = 3
"""Scenes under way."""
_AGAIN: Final = 0.15
"""Share of landings that are of a scene that landed before."""
_BETWEEN: Final = 1.5
"""Seconds between two kills, on average."""
_AIMED: Final = 0.7
"""Share of kills that wait, for a few seconds, until a process has work in hand, and hit that."""
_AIM_SECONDS: Final = 4.0
_SPARED: Final = (12.0, 40.0)
"""Seconds for which a process is left alone after a kill: in any case, and at most while something is in hand."""
_INTO_WORK: Final = (0.0, 0.02, 0.05, 0.1, 0.3)
"""Seconds from when work is seen to the kill."""
_WEIGHTS: Final = {"PlanFunction": 2, "TileFunction": 4, "SettleFunction": 3, "CollectFunction": 4, ENDPOINT: 2}
"""How often each is chosen; the others 1."""


def quiet_rows(session: Session, scenes: Scenes) -> dict[str, Rows]:
    """Embed each window once, with nothing in its way; gives its rows."""
    found = {}
    for window in scenes.windows:
        detail = session.wait(session.drop(scenes.scene(window, f"quiet-{window}").staged))
        assert detail["status"] == "SceneEmbedded", detail
        found[window] = rows_of(fetch(session, detail["outputs"]["parquet"]))
        assert found[window], f"{window} has no chip"
    return found


class Storm:
    """Lands scenes and kills processes."""

    def __init__(self, tended: Tended, scenes: Scenes, *, seed: int) -> None:
        """Everything drawn follows from ``seed``."""
        self._tended = tended
        self._scenes = scenes
        self._landings = random.Random(f"landings {seed}")
        self._kills = random.Random(f"kills {seed}")
        self._next_kill = time.monotonic() + self._kills.expovariate(1 / _BETWEEN)
        self._struck: dict[str, float] = {}

    def rage(self, seconds: float) -> None:
        """Go on for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._tended.tend()
            if len(self._tended.untold) < _AT_ONCE:
                self._land()
            if time.monotonic() >= self._next_kill:
                self._kill()
                self._next_kill = time.monotonic() + self._kills.expovariate(1 / _BETWEEN)
            time.sleep(0.1)

    def _land(self) -> None:
        known = list(self._tended.landed.values())
        if known and self._landings.random() < _AGAIN:
            self._tended.land(self._landings.choice(known))
        else:
            window = self._landings.choice(self._scenes.windows)
            self._tended.land(self._scenes.scene(window, f"scene-{len(known):04d}-{window}"))

    def _kill(self) -> None:
        weights = [_WEIGHTS.get(name, 1) for name in PROCESSES]
        [name] = self._kills.choices(PROCESSES, weights)
        aimed, into = self._kills.random() < _AIMED, self._kills.choice(_INTO_WORK)
        until = time.monotonic() + _AIM_SECONDS
        while aimed and time.monotonic() < until:
            if busy := [each for each in PROCESSES if not self._is_spared(each) and self._tended.is_busy(each)]:
                name = name if name in busy else self._kills.choice(busy)
                break
        if self._is_spared(name):
            return
        time.sleep(into)
        if self._tended.strike(name):
            self._struck[name] = time.monotonic()

    def _is_spared(self, name: str) -> bool:
        """Whether a process was killed a moment ago: it may come up, and take up again what it had in hand.

        Otherwise no message would get through: that is an outage, and its end is dead letters.
        """
        since = time.monotonic() - self._struck.get(name, -_SPARED[1])
        return since < _SPARED[0] or (since < _SPARED[1] and self._tended.is_busy(name))


def run(*, minutes: float, seed: int, logs: Path) -> bool:
    """Make a run and print what was found; gives whether all is well. Raises LocalCloudError, Stopped."""
    with tempfile.TemporaryDirectory(prefix="clayline-faults-") as scratch:
        scenes = Scenes(Path(scratch))
        with Session(parameters=PARAMETERS, logs=logs / "quiet") as session, stoppable():
            expected = quiet_rows(session, scenes)
        print(f"quiet: {', '.join(f'{window} {len(rows)} rows' for window, rows in expected.items())}", flush=True)
        faults = Faults(seed=seed, drop=0.15, duplicate=0.15, delay_seconds=3.0)
        emulation = Emulation(faults=faults, supervised=True, retry=RETRY)
        with Session(parameters=PARAMETERS, logs=logs / "storm", emulation=emulation) as session, stoppable():
            began = time.monotonic()
            tended = Tended(session, endpoint_down=5.0, tell=lambda _: None)
            Storm(tended, scenes, seed=seed).rage(60 * minutes)
            raged = time.monotonic()
            print(f"{raged - began:.0f} s of kills; now it may come to rest", flush=True)
            moving = tended.until_quiet(seconds=QUIET_WITHIN)
            rested = time.monotonic()
            told = Judge(tended, expected=expected).judge()
    if moving:
        told.violations.append(f"not at rest after {QUIET_WITHIN:.0f} s: {moving}")
    report(tended, told, storm=raged - began, rest=rested - raged)
    return not told.violations


def report(tended: Tended, told: Judgement, *, storm: float, rest: float) -> None:
    """Print the figures, and each violation."""
    kills = ", ".join(f"{name} {tended.kills[name]} ({tended.busy_kills[name]})" for name in PROCESSES)
    print(f"kills (of these with work in hand): {kills}; in all {tended.kills.total()} ({tended.busy_kills.total()})")
    print(f"scenes {told.scenes}, landings {tended.landings.total()}, events {len(tended.events)}")
    print(
        f"batches {told.batches}, attempts {told.attempts}, answers found by the reconciler {told.found},"
        f" dead letters that were taken up {told.dead}"
    )
    print(
        f"chips planned {told.planned}: written {told.written}, skipped {told.skipped}, failed {told.failed};"
        f" lost {told.lost}, duplicated {told.duplicated}"
    )
    print(f"{storm:.0f} s of faults, at rest {rest:.0f} s later")
    for violation in told.violations[:100]:
        print(f"VIOLATION {violation}")


def main() -> None:
    """Run it; exit status 1 for a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.real", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path, default=LOGS, help="folder for what the processes print")
    given = parser.parse_args()
    with catching():
        try:
            well = run(minutes=given.minutes, seed=given.seed, logs=given.logs)
        except Stopped as stopped:
            sys.exit(stopped.exit_status)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
