"""Contenders of one benchmark run: processes that take turns, and what their times say."""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[1]
LAST_MINUTE = 60.0
"""Seconds before a deadline in which no further round begins."""
LOG_LINES, LOG_CHARACTERS = 6, 1500
"""Of a contender's log, in what is said of its failure: why a library did not load stands there, and not in its
error."""


class ContenderError(Exception):
    """A contender could not do what it was asked; its text says why."""


class Contender:
    """A process that runs the module benchmarks.clay_onnx or benchmarks.clay_torch (torch).

    Raises ContenderError where it cannot start: a missing library, no GPU.
    """

    def __init__(
        self,
        program: str,
        order: Mapping[str, Any],
        *,
        folder: Path,
        python: str = sys.executable,
        seconds: float = 600,
    ) -> None:
        self._deadline = time.monotonic() + seconds
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=folder, delete=False) as file:
            json.dump(order, file)
        paths = [
            ROOT,
            ROOT / "model",
            ROOT / "layers/clayline",
            *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        self._log = Path(file.name).with_suffix(".log")
        command = [python, "-m", program, file.name]
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, text=True
                )
        except OSError as error:
            raise ContenderError(f"{python} cannot be started: {error}") from error
        try:
            self.started = self._answer()
        except ContenderError:
            self.stop()
            raise

    def ask(self, do: str, **order: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
        """Have it do something and give its answer. Raises ContenderError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ContenderError(self._last_words()) from error
        return self._answer()

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # an order that it died before reading is still to be written
            self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._process.kill)
        late.start()
        try:
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        if not line.endswith("\n"):  # nothing, or what it was writing when it ended
            raise ContenderError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            said = last_lines(self._log)
            raise ContenderError(f"{answer['error']}; its log ends: {said}" if said else answer["error"])
        return answer

    def _last_words(self) -> str:
        late = "took too long; " if time.monotonic() >= self._deadline else ""
        try:
            status = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f"{late}it ended with status {status}: {last_lines(self._log) or 'it said nothing'}"


def last_lines(log: Path) -> str:
    """Give the end of a log, in one line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return " | ".join([line for line in lines if line][-LOG_LINES:])[-LOG_CHARACTERS:]


def alternate(
    work: Mapping[str, Callable[[], Mapping[str, float]]],
    *,
    rounds: int,
    dropped: Callable[[str, ContenderError], None],
    deadline: float = math.inf,
) -> dict[str, list[Mapping[str, float]]]:
    """Have each do its part once a round, in turn and every other round in reverse: a shared machine's speed drifts.

    One that fails has no further round, of which ``dropped`` is told; the others go on. No round but the first begins
    that would, at the longest one's pace, end within a minute of ``deadline`` (of ``time.monotonic``). Gives the
    completed rounds of each that has any.
    """
    results: dict[str, list[Mapping[str, float]]] = {name: [] for name in work}
    left, longest = list(work), 0.0
    for number in range(rounds):
        started = time.monotonic()
        if not left or (number and started + longest > deadline - LAST_MINUTE):
            break
        for name in left[:: 1 if number % 2 == 0 else -1]:
            try:
                results[name].append(work[name]())
            except ContenderError as error:
                left.remove(name)
                dropped(name, error)
        longest = max(longest, time.monotonic() - started)
    return {name: found for name, found in results.items() if found}


def rates(results: Sequence[Mapping[str, float]], *, chips: int) -> list[float]:
    """Give chips a second of each round."""
    return [chips / result["seconds"] for result in results]


def compare(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Give the median of the rounds' ratios of speed on the same chips, all ratios, and the one by CPU time, which
    others disturb less.

    Only rounds that both completed count.
    """
    count = min(len(ours), len(theirs))
    ours, theirs = ours[:count], theirs[:count]
    ratios = sorted(other["seconds"] / one["seconds"] for one, other in zip(ours, theirs, strict=True))
    line: dict[str, Any] = {
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
    if all("cpu_seconds" in each for each in (*ours, *theirs)):
        cpu = [statistics.median(each["cpu_seconds"] for each in side) for side in (ours, theirs)]
        line["ratio_by_cpu_time"] = round(cpu[1] / max(cpu[0], 1e-9), 3)
    return line


def judge(
    name: str,
    ours: Sequence[Mapping[str, float]],
    theirs: Sequence[Mapping[str, float]],
    *,
    target: float | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Print a comparison, with its target if it has one, and give it."""
    line = {"name": name, **(more or {}), **compare(ours, theirs)}
    if target is not None:
        line |= {"target": target, "met": line["ratio"] >= target}
    report(line)
    return line


def report(line: Mapping[str, Any]) -> None:
    """Print a line of JSON, at once."""
    print(json.dumps(line), flush=True)
