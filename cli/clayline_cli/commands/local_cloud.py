"""``clayline local-cloud --out DIR``: the whole pipeline on this machine, until Ctrl-C."""

import argparse
from typing import NoReturn

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.hosting.host_options import DESCRIPTION, EPILOG, HostOptions, add_options
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands,
        "local-cloud",
        summary="keep the pipeline up on this machine, for scenes to land in",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = HostOptions.of(found)
    return Call(
        run=lambda console: _run(options, console),
        quiet=options.quiet,
        stopped=f"What was embedded lies in {options.out}; what was under way is gone.",
    )


def _run(options: HostOptions, console: Console) -> NoReturn:
    with stoppable():
        from clayline_cli.hosting.run import host  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
    host(options, console)
