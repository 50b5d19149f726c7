"""``clayline search PLACE --like EXAMPLE``: where else it looks like this."""

import argparse
from typing import Final

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.searching.options import SearchOptions, add_options
from clayline_local.stopping import stoppable

DESCRIPTION: Final = """\
Find the chips that are most like some examples, and least like others, in a dataset, in scene files, or under a prefix
of them. An example is an identifier, a cell, a place, or a chip
of imagery of your own, which is embedded first.
Models are never compared, nor instruments unless asked. What was left out is counted (docs/search.md).
"""

EPILOG: Final = """\
examples:
  clayline search out --like -54.58,-25.37
  clayline search s3://my-embeddings --like 32UQD-r00000c00256s256g10000 --unlike 11.57,48.13 --time 2024-06-01/..
  clayline search out --like -54.58,-25.37 --count 24 --out alike.png
  clayline search out --like mine.tif@-54.58,-25.37 --out alike.geojson

exit status:
  0    there is an answer, be it that no chip takes part: then it says why
  2    there is none: the command line is wrong, an example is not there, examples are of several models, the chips are
       too few to centre by, a file that may have some cannot be read
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands,
        "search",
        summary="find the chips that are most like some examples",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = SearchOptions.of(found)
    return Call(
        run=lambda console: _run(options, console), quiet=options.quiet, stopped="Nothing was written; run it again."
    )


def _run(options: SearchOptions, console: Console) -> int:
    with stoppable():
        from clayline_cli.searching.run import search  # noqa: PLC0415 - seconds of imports, which a typo need not wait for

        return search(options, console)
