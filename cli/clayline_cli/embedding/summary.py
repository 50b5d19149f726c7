"""What is told at the end: a paragraph a scene, a table of all, or JSON; and the exit status."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from clayline.run.measured import Measured
from clayline_cli.kept.watches import line_of

EMBEDDED: Final = "SceneEmbedded"
NOT_RUN: Final = "NotRun"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a scene."""

    scene: str
    """As the user named it."""
    detail: Mapping[str, Any] | None = None
    """Of the event that answered it; None if it could not be tried to the end."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Outputs by kind, picture and report among them."""
    seconds: float = 0.0
    error: str | None = None
    """Why it could not be tried."""
    watched: Sequence[Mapping[str, Any]] = ()
    """What each watch in OUT says of it, as WatchMatched has it."""

    @property
    def status(self) -> str:
        """SceneEmbedded, ScenePartial, SceneFailed, or NotRun."""
        return str(self.detail["status"]) if self.detail else NOT_RUN

    @property
    def already_there(self) -> bool:
        """Whether an earlier call had done it all."""
        return bool(self.detail and self.detail.get("repeated"))

    @property
    def exit_status(self) -> int:
        """The scene's own: 0 embedded, 1 refused or chips failed, 2 not run."""
        return 2 if self.detail is None else int(self.status != EMBEDDED)


def exit_status(outcomes: Iterable[Outcome]) -> int:
    """Give the worst."""
    return max((outcome.exit_status for outcome in outcomes), default=2)


def paragraph(outcome: Outcome) -> str:
    """Say what became of a scene and where its files are."""
    detail = outcome.detail
    if detail is None:
        return f"{NOT_RUN}: {outcome.scene}\n  {outcome.error}"
    lines = [f"{'already there: ' if outcome.already_there else ''}{outcome.status}: {detail['scene']}"]
    if detail["reason"]:
        lines.append(f"  {detail['reason']}: {detail['message']}")
    if detail["source_model"]:
        lines.append(f"  model {detail['source_model']}{', UNTRAINED' if detail['untrained'] else ''}")
    lines.append(f"  {_counts(detail['counts'])}   in {outcome.seconds:.1f} s")
    if (measured := detail.get("measured")) and measured["requests"]:
        lines.append(f"  took {Measured.model_validate(measured).told()}")
    if outcome.already_there and detail["counts"]["failed"]:
        lines.append("  Chips of it failed in an earlier call: --retry computes it again.")
    lines += [f"  {warning['reason']}: {warning['message']}" for warning in detail["warnings"]]
    lines += [f"  {kind:10} {path}" for kind, path in outcome.files.items()]
    lines += [f"  {'watch':10} {line_of(each)}" for each in outcome.watched]
    return "\n".join(lines)


def table(outcomes: Sequence[Outcome]) -> str:
    """Give a line a scene, and their sum."""
    head = ("written", "skipped", "failed", "seconds", "outcome", "scene")
    rows = [(*_numbers(outcome), f"{outcome.seconds:.1f}", _word(outcome), outcome.scene) for outcome in outcomes]
    sums = [sum(int(row[column]) for row in rows) for column in range(3)]
    good = sum(outcome.exit_status == 0 for outcome in outcomes)
    total = f"{sum(outcome.seconds for outcome in outcomes):.1f}"
    written, skipped, failed = map(str, sums)
    rows.append((written, skipped, failed, total, f"{good} of {len(outcomes)}", "embedded or already there"))
    wide = max(len(row[4]) for row in (head, *rows))
    return "\n".join(
        f"{written:>9} {skipped:>9} {failed:>8} {seconds:>9}  {word:<{wide}}  {scene}"
        for written, skipped, failed, seconds, word, scene in (head, *rows)
    )


def as_json(outcome: Outcome) -> str:
    """Give a scene's outcome as an object in one line."""
    return json.dumps(
        {
            "scene": outcome.scene,
            "status": outcome.status,
            "already_there": outcome.already_there,
            "exit_status": outcome.exit_status,
            "seconds": round(outcome.seconds, 1),
            "message": outcome.error or (outcome.detail or {}).get("message"),
            "files": {kind: str(path.absolute()) for kind, path in outcome.files.items()},
            "event": outcome.detail,
            "watched": list(outcome.watched),
        }
    )


def _word(outcome: Outcome) -> str:
    return f"{outcome.status}, already there" if outcome.already_there else outcome.status


def _numbers(outcome: Outcome) -> tuple[str, str, str]:
    if outcome.detail is None:
        return "0", "0", "0"
    counts = outcome.detail["counts"]
    return str(counts["written"]), str(sum(counts["skipped"].values())), str(sum(counts["failed"].values()))


def _counts(counts: Mapping[str, Any]) -> str:
    parts = [
        f"{state} {number} ({reason})" for state in ("skipped", "failed") for reason, number in counts[state].items()
    ]
    return " + ".join((f"planned {counts['planned']} = written {counts['written']}", *parts))
