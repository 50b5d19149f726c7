"""``clayline redrive SCENE``: what failed is computed again, on AWS or in the local cloud."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser, sent_call
from clayline_cli.operating.acting import Act, ActOptions, act_on, add_options

DESCRIPTION: Final = """\
Have computed again what failed: of a scene, or of all runs of a reason or a time. Each run that is over and of which
chips failed gets a successor, which takes over what is done and computes the rest; its file is written as the next
revision, whole or not at all. A scene that was refused is read again. A run that ended whole, or whose scene has a
later run, is left alone. Sent twice it is done once.

`--dry-run` first tells which runs it would be.
"""

EPILOG: Final = """\
examples:
  clayline redrive S2B_29RKH_20200219_0_L2A --stack clayline
  clayline redrive --reason request-expired --since 2026-11-20 --dry-run --stack clayline
  clayline redrive --state partial --local cloud

exit status:
  0    a message was sent for each; `clayline status RUN` tells what becomes of it
  2    it could not run: the command line is wrong, nothing of the scene failed, AWS refuses. A sentence says why
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

Beside reading (`clayline status --help`) it asks for sqs:SendMessage on the scene queue.
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "redrive", summary="have what failed computed again", description=DESCRIPTION, epilog=EPILOG
    )
    add_options(parser, Act.REDRIVE)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = ActOptions.of(found)
    return sent_call(lambda console: act_on(options, Act.REDRIVE, console))
