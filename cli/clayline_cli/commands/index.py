"""``clayline index ROOT``: scenes become rows of a dataset's index."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.compacting.place import add_place
from clayline_cli.console import Console

DESCRIPTION: Final = """\
Give every scene under ROOT its row in the dataset's index (docs/dataset.md): each receipt that has neither fragment nor
row. On AWS each scene is indexed as it is committed; this is for folders, and for scenes whose event was lost. Rows
whose scene's file is gone, or another one, are told.
"""

EPILOG: Final = """\
examples:
  clayline index out
  clayline index s3://my-embeddings
  clayline index s3://my-embeddings --look

exit status:
  0    every scene that has a file has its row
  1    some scenes have files that contradict each other, or lack one, and be it since they were indexed; with --look:
       or have no row. A line each says which
  2    it could not run: the command line is wrong, or ROOT may not be read or written. A sentence says why
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "index", summary="index scenes as a dataset", description=DESCRIPTION, epilog=EPILOG
    )
    add_place(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--look", action="store_true", help="tell what lacks a row, or its file, and write nothing")
    which.add_argument(
        "--forget-lost",
        action="store_true",
        help="take rows out of the index whose scene's file is gone or another one; what is there is indexed anew",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a scene and line")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    def run(console: Console) -> int:
        from clayline_cli.asking.opening import root_at  # noqa: PLC0415 - a second of imports, for which no typo waits
        from clayline_cli.compacting.index import index, look  # noqa: PLC0415 - the same

        root = root_at(found.root, profile=found.profile, region=found.region)
        if found.look:
            return look(root, as_json=found.json)
        return index(root, console, as_json=found.json, forget_lost=found.forget_lost)

    return Call(run=run, quiet=found.quiet, stopped="What is indexed stays so; run it again to go on.")
