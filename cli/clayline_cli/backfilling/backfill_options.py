"""The options of ``clayline backfill``.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

from clayline_cli import arguments
from clayline_cli.operating.where import Where, add_where
from clayline_local.repository import STARTER

_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,60}")

DESCRIPTION: Final = """\
Send scenes that are there already to a stack: the very messages that S3 and an archive's topic send when a scene lands,
so that each is planned, embedded, announced and deduplicated as if it had landed now. A SOURCE is

  s3://bucket/prefix/    every Item and COG under a prefix that would start a scene by landing
  FILE.csv               URIs in its first column or in `uri`, or the columns `bucket` and `key`
  FILE.json, .ndjson     a STAC search's result: a FeatureCollection, or an Item a line
  s3://.../manifest.json an S3 Inventory (CSV)

The list is made here and kept in the work bucket; a state machine of the stack then sends it, ten messages at a time,
while fewer than --ahead messages and runs wait. --dry-run makes the list, counts it, estimates what it costs from a few
of its scenes, and sends nothing: do that first.
"""

EPILOG: Final = """\
examples:
  clayline backfill s3://my-scenes/2025/ --stack clayline --dry-run --model models/clay-v1.5
  clayline backfill s3://my-scenes/2025/ --stack clayline --name year-2025 --watch
  clayline backfill search.json --stack clayline --name search --ahead 500
  clayline backfill --status year-2025 --stack clayline --json
  clayline backfill --stop year-2025 --stack clayline
  clayline backfill --resume year-2025 --stack clayline
  clayline backfill s3://clayline-scenesbucket/ --local cloud --name again     in the local cloud

exit status:
  0    it was begun, goes on, or has ended well; or the dry run found no scene that would be refused
  1    it has stopped before its end (--resume goes on); or a scene of the dry run would be refused
  2    it could not run: the command line is wrong, or source or stack cannot be read. A sentence says what to do
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n. What was begun goes on

docs/backfill.md says what is sent, what happens when it is sent again, and what bounds it. Not tried in an AWS account.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackfillOptions:
    """What a call of ``clayline backfill`` was told."""

    source: str | None
    where: Where
    name: str | None
    resume: str | None
    status: str | None
    stop: str | None
    only: str | None
    dry_run: bool
    watch: bool
    ahead: int
    pause: int
    sample: int
    model: Path
    instance: str | None
    chips_per_second: float | None
    request_payer: bool
    json: bool
    quiet: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises argparse.ArgumentTypeError for what does not go together."""
        values = {option.name: getattr(found, option.name) for option in fields(cls) if option.name != "where"}
        options = cls(where=Where.of(found), **values)
        if bool(options.source) == bool(options.made):
            arguments.refuse("give a SOURCE, or --resume, --status or --stop with the name of a backfill")
        if options.source and not (options.name or options.dry_run):
            arguments.refuse("give the backfill a --name, by which it is resumed; or --dry-run, which sends nothing")
        if options.dry_run and not options.source:
            arguments.refuse("--dry-run is about a SOURCE")
        return options

    @property
    def made(self) -> str | None:
        """Name of the backfill that was begun before and is meant; None for a new one."""
        return self.resume or self.status or self.stop


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them, in the groups and order in which help tells them."""
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="where the scenes are named")
    add_where(parser)
    what = parser.add_argument_group("what is done")
    what.add_argument(
        "--name", type=_name, metavar="NAME", help="what the backfill is called; letters, digits, hyphens"
    )
    again = what.add_mutually_exclusive_group()
    again.add_argument("--resume", type=_name, metavar="NAME", help="go on with one that has stopped")
    again.add_argument("--stop", type=_name, metavar="NAME", help="send no more of one; --resume goes on")
    again.add_argument("--status", type=_name, metavar="NAME", help="tell how far one is")
    what.add_argument(
        "--only", type=arguments.name, metavar="PATTERN",
        help="of objects only those whose keys are like that, such as '*_stac.json' (a * matches slashes too)",
    )  # fmt: skip
    what.add_argument("--dry-run", action="store_true", help="count and estimate; send nothing")
    what.add_argument(
        "--watch", action="store_true", help="wait until everything is on the queue, and tell how far it is"
    )
    what.add_argument(
        "--ahead", type=arguments.number(int, 1, 10_000), default=200, metavar="N",
        help="send only while fewer messages wait for plan, and fewer runs for admission (default: 200)",
    )  # fmt: skip
    what.add_argument(
        "--pause", type=arguments.number(int, 1, 3_600), default=300, metavar="SECONDS",
        help="look again after so long where there is no room (default: 300)",
    )  # fmt: skip
    what.add_argument(
        "--request-payer", action="store_true", help="pay for what is listed and looked at (usgs-landsat wants that)"
    )
    cost = parser.add_argument_group("what it costs (--dry-run)")
    cost.add_argument(
        "--sample", type=arguments.number(int, 0, 1_000), default=3, metavar="N",
        help="plan so many of the scenes dry, evenly spread, to estimate all (default: 3; 0: none)",
    )  # fmt: skip
    cost.add_argument("--model", type=arguments.model_folder, default=STARTER, metavar="DIR",
        help="model folder that the stack serves (default: the bundled starter, which is not Clay)")  # fmt: skip
    cost.add_argument("--instance", metavar="TYPE", help="instance type of the endpoint (default: the stack's)")
    cost.add_argument(
        "--chips-per-second", type=arguments.number(float, 0.001, 1_000_000.0), metavar="N",
        help="chips that one instance does in a second, where you have measured it (default: what is known of Clay)",
    )  # fmt: skip
    said = parser.add_argument_group("what is said")
    said.add_argument("--json", action="store_true", help="one JSON object on standard output")
    said.add_argument("-q", "--quiet", action="store_true", help="no progress: only results, warnings and errors")


def _name(text: str) -> str:
    return text if _NAME.fullmatch(text) else arguments.refuse(f"{text!r} is no name: 1 to 60 letters, digits, hyphens")
