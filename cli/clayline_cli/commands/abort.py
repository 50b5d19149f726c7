"""``clayline abort SCENE``: a run is ended as it is, on AWS or in the local cloud."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser, sent_call
from clayline_cli.operating.acting import Act, ActOptions, act_on, add_options

DESCRIPTION: Final = """\
End runs as they are: what was embedded is written, every other chip fails with the reason `aborted`, and the event goes
out as for any run. A run whose batches have all ended is left alone. Sent twice it is done once.

`clayline redrive` goes on from there. `--dry-run` first tells which runs it would be.
"""

EPILOG: Final = """\
examples:
  clayline abort S2B_29RKH_20200219_0_L2A --stack clayline
  clayline abort --state waiting --since 2026-11-20 --dry-run --stack clayline
  clayline abort 01d60c8f0cf5a8b2751d84c8724f4501 --local cloud

exit status:
  0    a message was sent for each; `clayline status RUN` tells what becomes of it
  2    it could not run: the command line is wrong, no run of the scene is under way, AWS refuses. A sentence says why
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

Beside reading (`clayline status --help`) it asks for sqs:SendMessage on the scene queue.
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(commands, "abort", summary="end runs as they are", description=DESCRIPTION, epilog=EPILOG)
    add_options(parser, Act.ABORT)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = ActOptions.of(found)
    return sent_call(lambda console: act_on(options, Act.ABORT, console))
