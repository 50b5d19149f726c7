"""``clayline land SCENE... --local DIR``: scenes land in the local cloud."""

import argparse

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.hosting.land import DESCRIPTION, EPILOG, LandOptions, add_options, land


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "land", summary="let scenes land in a local cloud", description=DESCRIPTION, epilog=EPILOG
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = LandOptions.of(found)
    return Call(run=lambda console: land(options, console), quiet=False, stopped="Scenes that were told have landed.")
