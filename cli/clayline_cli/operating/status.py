"""``clayline status``: what is on the way in all, or everything of one scene."""

import argparse
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Self

from clayline.errors import shown
from clayline_cli import arguments
from clayline_cli.errors import CommandError
from clayline_cli.operating.where import Where, add_where

DESCRIPTION: Final = """\
Tell what is on the way: how many runs are in each state, batches, queues, dead letters, the endpoint, and what of it
wants somebody. With a SCENE, each run of it: how far it is, which attempts failed and why, what the reconciler found
that no message had told of, how it ended, where its files lie, and what to do next.

A SCENE is a run's name (32 hex), the id of its Item, or what landed: a file on this machine, or its s3:// URI.
"""

EPILOG: Final = """\
examples:
  clayline status --stack clayline
  clayline status S2B_29RKH_20200219_0_L2A --stack clayline --region eu-central-1
  clayline status --local cloud --json | jq .batches
  clayline status scenes/item.json --local cloud

exit status:
  0    it was told; also of a scene that failed
  2    it could not run: the command line is wrong, there is no such stack or scene, AWS refuses. A sentence says why
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

It asks for cloudformation:DescribeStacks and ListStackResources, dynamodb:GetItem and Query on the ledger,
s3:GetObject on receipts and on Items that were refused, sqs:GetQueueAttributes, sagemaker:DescribeEndpoint and
cloudwatch:GetMetricData. What the last two do not tell is told as not known. docs/operations.md says what to do about
what it tells.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusOptions:
    """What a call was told."""

    where: Where
    scene: str | None
    json: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError."""
        return cls(where=Where.of(found), scene=found.scene, json=found.json)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    parser.add_argument(
        "scene", nargs="?", type=arguments.name, metavar="SCENE", help="a run, the Item's id, or what landed"
    )
    add_where(parser)
    parser.add_argument("--json", action="store_true", help="JSON: one object, or one a run and line")


def status(options: StatusOptions) -> int:
    """Tell it; gives the exit status. Raises ClaylineError."""
    from clayline_cli.operating import telling  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
    from clayline_cli.operating.naming import is_run, runs_of, superseded  # noqa: PLC0415 - see above
    from clayline_cli.operating.overview import Overview  # noqa: PLC0415 - see above
    from clayline_cli.operating.running import answering, find  # noqa: PLC0415 - see above
    from clayline_cli.operating.runs import Runs  # noqa: PLC0415 - see above
    from clayline_cli.operating.scene_run import SceneRun  # noqa: PLC0415 - see above

    running, now = find(options.where), datetime.now(UTC)
    with answering(f"reading the state of {running.name}"):
        if options.scene is None:
            found = Overview.look(running, now=now)
            print(json.dumps(found.values()) if options.json else shown(telling.overview(found)), flush=True)
            return 0
        runs = [] if is_run(options.scene) else runs_of(options.scene, running)
        past = superseded(runs, running)
        for run in [each.run for each in runs] or [options.scene]:
            one = SceneRun.look(run, running, now=now, followed=run in past)
            if one is None:
                raise CommandError(f"the {running.name} knows no run {run}. `clayline list` has those that it knows.")
            if not runs and one.row.outcome and one.row.outcome.status != "SceneEmbedded":
                since = Runs(running.table).begun(None, since=one.row.claimed, until=None)
                one = replace(one, followed=run in superseded(since, running))
            print(json.dumps(one.values()) if options.json else shown(telling.paragraph(one)), flush=True)
    return 0
