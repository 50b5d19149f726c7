"""``clayline compact ROOT``: a dataset's chips in an order that small reads like."""

import argparse
from typing import Final

from clayline_cli import arguments
from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.compacting.place import add_place
from clayline_cli.console import Console

DESCRIPTION: Final = """\
Compact the dataset under ROOT (docs/dataset.md): rows of the index are put together, and the chips of each square and
year are written again in one order, with int8 and bit tiers of them, until nothing is left to gain. Scene files stay as
they are. Readers see the same before, meanwhile and after; stopped or killed anywhere, it has changed nothing that they
see.
"""

EPILOG: Final = """\
examples:
  clayline index out && clayline compact out
  clayline compact s3://my-embeddings --spool-gb 20

exit status:
  0    nothing is left to gain
  1    scenes were left out: their file is lost or damaged, or has another's identifiers. A line each says why; all the
       others are done
  2    it could not run. A sentence says why
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "compact", summary="compact a dataset for small reads", description=DESCRIPTION, epilog=EPILOG
    )
    add_place(parser)
    parser.add_argument(
        "--grace-hours",
        type=arguments.number(int, 1, 8_760),
        default=24,
        metavar="N",
        help="how long readers may use a state of the dataset that they have opened (default: 24)",
    )
    parser.add_argument(
        "--spool-gb",
        type=arguments.number(int, 1, 1_000),
        default=4,
        metavar="N",
        help="how much of the folder for temporary files a pass may take for vectors (default: 4)",
    )
    parser.add_argument(
        "--row-group-rows",
        type=arguments.number(int, 1_024, 4_096),
        default=1_024,
        metavar="N",
        help="chips of a row group (default: 1024)",
    )
    parser.add_argument("--no-tiers", action="store_true", help="make no int8 and bit tiers of the files")
    parser.add_argument(
        "--new-codebook",
        metavar="TOKEN",
        help="make this model's tiers again, by a codebook from the chips that are there now",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a pass and line")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    def run(console: Console) -> int:
        from clayline_cli.asking.opening import root_at  # noqa: PLC0415 - a second of imports, for which no typo waits
        from clayline_cli.compacting.compact import CompactOptions, compact  # noqa: PLC0415 - the same

        options = CompactOptions(
            grace_hours=found.grace_hours,
            spool_gb=found.spool_gb,
            row_group_rows=found.row_group_rows,
            tiers=not found.no_tiers,
            new_codebook=found.new_codebook,
            as_json=found.json,
        )
        return compact(root_at(found.root, profile=found.profile, region=found.region), console, options)

    return Call(run=run, quiet=found.quiet, stopped="Readers see what they saw; run it again to go on.")
