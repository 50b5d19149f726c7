"""``clayline status [SCENE]``: what is on the way, on AWS or in the local cloud."""

import argparse

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.operating.status import DESCRIPTION, EPILOG, StatusOptions, add_options, status
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "status", summary="tell what is on the way, or of a scene", description=DESCRIPTION, epilog=EPILOG
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = StatusOptions.of(found)
    return Call(run=lambda _: _run(options), quiet=False, stopped="Nothing was changed.")


def _run(options: StatusOptions) -> int:
    with stoppable():
        return status(options)
