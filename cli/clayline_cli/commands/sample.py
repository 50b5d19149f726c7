"""``clayline sample ROOT POINTS``: what a dataset has at points."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.reading.options import SampleOptions, add_sample
from clayline_local.stopping import stoppable

DESCRIPTION: Final = """\
Give the chips at points, at every date or at the nearest one: a row for each point and chip, with the point's name and
place before the chip's columns. A point that has no chip is listed with the reason. --explain tells first what it
takes, and after a reading the same figures are told as they were measured.

POINTS is CSV with the columns lon and lat (and perhaps id and datetime), GeoJSON or GeoParquet of points, in WGS 84.
"""

EPILOG: Final = """\
examples:
  clayline sample out points.csv --explain
  clayline sample out points.csv --out at-points.parquet
  clayline sample s3://my-embeddings farms.geojson --time 2024-06-15 --out in-june.parquet

exit status:
  0    every point has a chip, or the figures were foretold
  1    some have none: each is listed with the reason, the others are written
  2    it could not: the command line is wrong, the list cannot be read, a file is damaged
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "sample", summary="give what a dataset has at points", description=DESCRIPTION, epilog=EPILOG
    )
    add_sample(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = SampleOptions.of(found)
    return Call(
        run=lambda console: _run(options, console), quiet=options.quiet, stopped="Nothing was written; run it again."
    )


def _run(options: SampleOptions, console: Console) -> int:
    with stoppable():
        from clayline_cli.reading.run import sample  # noqa: PLC0415 - seconds of imports, a typo need not wait for

        return sample(options, console)
