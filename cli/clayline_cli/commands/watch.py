"""``clayline watch add|list|show|remove|test``: be told of scenes that hold what is looked for."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.watching.help import EPILOG
from clayline_cli.watching.options import TestOptions, WatchOptions, add_options, refuse_what_does_not_fit
from clayline_local.stopping import stoppable

DESCRIPTION: Final = """\
Watch for what some chips look like (docs/watches.md). A watch is kept under ROOT as watches/NAME/vNNN.json: a direction
in one model's vectors, made of examples that are like it and of others that are not, and a threshold. The stack's
function holds each new scene against it and puts WatchMatched on the event bus. A watch without --threshold is a draft
and calls nobody; `test` says how often it would have called over the scenes that are there, and proposes a threshold.
Examples are given as to `clayline search`: an identifier, a cell, LON,LAT, or FILE@LON,LAT.
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "watch", summary="be told when a new scene holds what you look for",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    refuse_what_does_not_fit(found)
    options = TestOptions.of(found) if found.doing == "test" else WatchOptions.of(found)

    def run(console: Console) -> int:
        with stoppable():
            from clayline_cli.watching.run import watch  # noqa: PLC0415 - seconds of imports, which no typo waits for

            return watch(options, console)

    return Call(run=run, quiet=options.quiet, stopped="Nothing was written; run it again.")
