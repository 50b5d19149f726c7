"""``clayline backfill SOURCE``: scenes that are there already, sent to a stack as if they landed now."""

import argparse

from clayline_cli.backfilling.backfill_options import DESCRIPTION, EPILOG, BackfillOptions, add_options
from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands,
        "backfill",
        summary="send scenes that are there already to a stack",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = BackfillOptions.of(found)
    return Call(
        run=lambda console: _run(options, console),
        quiet=options.quiet,
        stopped="A backfill that was begun goes on: --status tells how far it is.",
    )


def _run(options: BackfillOptions, console: Console) -> int:
    with stoppable():
        from clayline_cli.backfilling.run import backfill  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
    return backfill(options, console)
