"""``clayline report FILE``: a scene's embeddings as one page of HTML."""

import argparse

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.reporting.report_options import DESCRIPTION, EPILOG, ReportOptions, add_options
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "report", summary="make a page of a scene's embeddings: look at them, search by example",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = ReportOptions.of(found)
    return Call(run=lambda console: _run(options, console), quiet=options.quiet, stopped="No page was written.")


def _run(options: ReportOptions, console: Console) -> int:
    with stoppable():
        from clayline_cli.reporting.run import report  # noqa: PLC0415 - seconds of imports, which a typo need not wait for

        return report(options, console)
