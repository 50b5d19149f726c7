"""The command line of ``clayline``: every command is registered here."""

import argparse
from collections.abc import Callable, Sequence
from typing import Final

from clayline import __version__
from clayline.errors import ClaylineError
from clayline_cli.call import Call, Commands, Parser
from clayline_cli.commands import (
    abort,
    backfill,
    change,
    compact,
    doctor,
    embed,
    explain,
    index,
    land,
    local_cloud,
    plan_cost,
    read,
    redrive,
    report,
    sample,
    search,
    sensors,
    status,
    vectors,
    verify,
    watch,
)
from clayline_cli.commands import list as list_runs

COMMANDS: Final[tuple[Callable[[Commands], None], ...]] = (
    embed.add,
    explain.add,
    verify.add,
    report.add,
    index.add,
    compact.add,
    vectors.add,
    sensors.add,
    plan_cost.add,
    backfill.add,
    doctor.add,
    local_cloud.add,
    land.add,
    status.add,
    list_runs.add,
    redrive.add,
    abort.add,
    read.add,
    sample.add,
    search.add,
    change.add,
    watch.add,
)
"""In the order in which help lists them."""


def parse(arguments: Sequence[str] | None) -> Call:
    """Read a command line.

    Exits with status 0 after --help and --version, and with 2 and a sentence if anything in it is wrong.
    """
    parser = Parser(
        prog="clayline",
        description="Embeddings of satellite scenes, by the very functions that run on AWS, on this machine.",
        epilog="`clayline embed --help` says all about it.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clayline {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for add in COMMANDS:
        add(commands)
    found = parser.parse_args(arguments)
    try:
        call: Call = found.call(found)
    except (argparse.ArgumentTypeError, ClaylineError) as error:  # what only all options together can tell
        parser.asked(found).error(str(error))
    return call
