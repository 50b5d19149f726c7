"""``clayline explain SCENE...``: what embedding scenes would do, and why, without doing it."""

import argparse

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.choosing.scenes import find
from clayline_cli.console import Console
from clayline_cli.explaining.explain_options import ExplainOptions, add_options
from clayline_cli.explaining.help import DESCRIPTION, EPILOG
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands,
        "explain",
        summary="tell what embedding scenes would do, and why",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = ExplainOptions.of(found)
    return Call(
        run=lambda console: _run(options, console), quiet=options.quiet, stopped="Nothing was written; run it again."
    )


def _run(options: ExplainOptions, console: Console) -> int:
    with stoppable():
        scenes = find(options, console)
        from clayline_cli.explaining.run import explain  # noqa: PLC0415 - a second of imports, which a typo need not wait for
    return explain(options, scenes, console)
