"""``clayline list``: runs by state, reason and time, on AWS or in the local cloud."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.operating.listing import ListOptions, add_options, list_runs
from clayline_local.stopping import stoppable

DESCRIPTION: Final = """\
List runs, a line each, in the order in which they began: when, in which state or how they ended, the reasons of what
failed, the run, the scene. `clayline status RUN` tells everything of one.
"""

EPILOG: Final = """\
examples:
  clayline list --state partial,failed --since 2026-11-20 --stack clayline
  clayline list --reason request-expired --stack clayline --json | jq -r .run
  clayline list --state waiting,running --local cloud

exit status:
  0    they were listed, if there are any
  2    it could not run: the command line is wrong, there is no such stack, AWS refuses. A sentence says why
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "list", summary="list runs by state, reason and time", description=DESCRIPTION, epilog=EPILOG
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = ListOptions.of(found)
    return Call(run=lambda console: _run(options, console), quiet=False, stopped="Nothing was changed.")


def _run(options: ListOptions, console: Console) -> int:
    with stoppable():
        return list_runs(options, console)
