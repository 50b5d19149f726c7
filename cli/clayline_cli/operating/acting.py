"""``clayline redrive`` and ``abort``: a message a run on the scene queue, which plan takes up (docs/states.md)."""

import argparse
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Self

from clayline.errors import shown
from clayline_cli import arguments
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.operating.listing import EVERY, Chosen, add_chosen
from clayline_cli.operating.where import Where, add_where

if TYPE_CHECKING:  # loaded as the command runs: help need not wait for boto3
    from clayline_cli.operating.choosing import Found
    from clayline_cli.operating.running import Running
    from clayline_cli.operating.runs import Listed


class Act(Enum):
    """What is done to runs."""

    REDRIVE = "clayline-redrive/1"
    ABORT = "clayline-abort/1"

    @property
    def takes(self) -> tuple[str, ...]:
        """States, or ends, of the runs to which it can be done."""
        return ("partial", "failed", "refused") if self is Act.REDRIVE else ("claimed", "waiting", "running")

    @property
    def done(self) -> str:
        """What is said of a run for which the message was sent."""
        return "redriven" if self is Act.REDRIVE else "told to end"

    def message(self, run: str) -> dict[str, str]:
        """Give what plan is told."""
        return {"kind": self.value, "run": run}

    def why_not(self, run: "Listed", *, followed: bool) -> str | None:
        """Say why it is not done to a run; None if it is."""
        if run.kind not in self.takes:
            return f"is {run.kind}"
        if self is Act.REDRIVE and followed:
            return f"is {run.kind}, and the scene has a later run"
        if self is Act.REDRIVE and run.kind != "refused" and not (run.outcome and run.outcome.failed):
            return f"is {run.kind}, and no chip of it failed"
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class ActOptions:
    """What a call was told."""

    where: Where
    scene: str | None
    chosen: Chosen
    dry_run: bool
    json: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError unless a scene or some runs are chosen."""
        chosen = Chosen.of(found)
        if (chosen == EVERY) == (found.scene is None):
            arguments.refuse("give either a SCENE, or choose runs by --state, --reason, --since or --until")
        return cls(where=Where.of(found), scene=found.scene, chosen=chosen, dry_run=found.dry_run, json=found.json)


def add_options(parser: argparse.ArgumentParser, act: Act) -> None:
    """Add all of them."""
    parser.add_argument(
        "scene", nargs="?", type=arguments.name, metavar="SCENE", help="a run, the Item's id, or what landed"
    )
    add_where(parser)
    add_chosen(parser, act.takes)
    parser.add_argument("--dry-run", action="store_true", help="tell which runs it would be, and send nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object a run and line")


def act_on(options: ActOptions, act: Act, console: Console) -> int:
    """Send a message for every run that is meant; gives the exit status. Raises ClaylineError."""
    from clayline.aws.queues import SqsQueue  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
    from clayline_cli.operating.running import answering, find  # noqa: PLC0415 - see above

    running = find(options.where)
    with answering(f"reading the ledger of {running.name}"):
        found = _meant(options, act, running, console)
    if not options.dry_run:
        queue = SqsQueue(running.client("sqs"), running.resources["SceneQueue"])
        queue.send([act.message(each.run.run) for each in found])
    for each in found:
        run = each.run
        what = f"would be {act.done}" if options.dry_run else act.done
        told = {**each.values(), "sent": not options.dry_run}
        print(json.dumps(told) if options.json else shown(f"{what}: {run.run}  {run.kind}  {run.scene}"), flush=True)
    console.notice(f"{len(found)} run(s){'; nothing was sent' if options.dry_run else ''}")
    return 0


def _meant(options: ActOptions, act: Act, running: "Running", console: Console) -> "list[Found]":
    """Give the runs that are meant and to which it can be done. Raises CommandError if a scene has none."""
    from clayline_cli.operating.choosing import found_of, matching  # noqa: PLC0415 - see above
    from clayline_cli.operating.naming import is_run, runs_of, superseded  # noqa: PLC0415 - see above
    from clayline_cli.operating.runs import Runs  # noqa: PLC0415 - see above

    every = Runs(running.table).begun(None, since=None, until=None)
    past = superseded(every, running) if act is Act.REDRIVE else frozenset()
    if options.scene is None:
        can = [run for run in every if act.why_not(run, followed=run.run in past) is None]
        return matching(options.chosen, can, running, console.notice)
    if is_run(options.scene):
        meant = [run for run in every if run.run == options.scene]
    else:
        meant = runs_of(options.scene, running)
    why = {run.run: act.why_not(run, followed=run.run in past) for run in meant}
    if can := [run for run in meant if why[run.run] is None]:
        return found_of(can, running)
    told = "; ".join(f"run {run} {words}" for run, words in why.items()) or f"there is no run {options.scene}"
    raise CommandError(f"nothing of {options.scene} can be {act.done}: {told}. `clayline status` says what to do.")
