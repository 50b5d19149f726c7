"""``clayline read ROOT``: the chips of a place and a time out of a dataset."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.reading.options import ReadOptions, add_read
from clayline_local.stopping import stoppable

DESCRIPTION: Final = """\
Read the chips of a place and a time, of one model, out of a dataset: a folder into which scenes were embedded, or a
bucket. Only the parts of files that may hold some are fetched. --explain tells first what that takes: files, bytes,
requests and cents, to the byte, for it reads the index and the files' footers; after a reading the same figures are
told as they were measured.
"""

EPILOG: Final = """\
examples:
  clayline read out --bbox -54.6,-25.5,-54.5,-25.4 --explain
  clayline read out --bbox -54.6,-25.5,-54.5,-25.4 --time 2020-05-01/2020-05-31 --out window.parquet
  clayline read s3://my-embeddings --model clay-v1.5-large --bbox 9,48,9.1,48.1 --as lancedb --out window.lance

exit status:
  0    it was read, or foretold
  2    it could not: the command line is wrong, several models lie there and none was named, a file is damaged
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands,
        "read",
        summary="read the chips of a place and a time out of a dataset",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add_read(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = ReadOptions.of(found)
    return Call(
        run=lambda console: _run(options, console), quiet=options.quiet, stopped="Nothing was written; run it again."
    )


def _run(options: ReadOptions, console: Console) -> int:
    with stoppable():
        from clayline_cli.reading.run import read  # noqa: PLC0415 - seconds of imports, which a typo need not wait for

        return read(options, console)
