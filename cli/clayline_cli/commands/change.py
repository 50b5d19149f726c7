"""``clayline change ROOT``: what changed between two dates, and what could not be compared."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.changing.options import ChangeOptions, add_change
from clayline_cli.console import Console
from clayline_local.stopping import stoppable

DESCRIPTION: Final = """\
Compare the same cells of a dataset, or of scene files without an index, at two dates or more. Each pair has a distance
(1 - cosine of the centred vectors) and a percentile: of how many of a hundred pairs of the same instrument, model,
place and season, from the dataset itself, it is the greater one. Beside it stand cloud and valid fraction at both
dates, and how much the neighbours changed. With under 200 such pairs the answer says that it is uncalibrated. What
could not be compared is listed with its reason, and is never told as unchanged.
"""

EPILOG: Final = """\
examples:
  clayline change out --from 2020-05-18 --to 2020-06-03 --out change.parquet --picture change.png
  clayline change out --bbox -54.6,-25.5,-54.5,-25.4 --time 2020-05-01/2020-05-31,2020-06-01/2020-06-30
  clayline change s3://my-embeddings --bbox 9,48,9.1,48.1 --max-cloud 0.05 --json

exit status:
  0    cells were compared, and every file could be read; cells that were not compared are listed
  1    nothing could be compared, or a file could not be read: the answer says so, and which
  2    it could not: the command line is wrong, several models lie there and none was named, the index is damaged
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "change", summary="tell what changed between two dates", description=DESCRIPTION, epilog=EPILOG
    )
    add_change(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = ChangeOptions.of(found)
    return Call(
        run=lambda console: _run(options, console), quiet=options.quiet, stopped="Nothing was written; run it again."
    )


def _run(options: ChangeOptions, console: Console) -> int:
    with stoppable():
        from clayline_cli.changing.run import change  # noqa: PLC0415 - seconds of imports, a typo need not wait for

        return change(options, console)
