"""``clayline embed SCENE... --out DIR``: scenes become GeoParquet on this machine."""

import argparse

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.choosing.scenes import find
from clayline_cli.console import Console
from clayline_cli.embedding.embed_options import EmbedOptions, add_options
from clayline_cli.embedding.help import DESCRIPTION, EPILOG
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "embed", summary="embed scenes on this machine", description=DESCRIPTION, epilog=EPILOG
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = EmbedOptions.of(found)
    return Call(
        run=lambda console: _run(options, console),
        quiet=options.quiet,
        stopped=f"What was finished stays in {options.out}; run again to go on.",
    )


def _run(options: EmbedOptions, console: Console) -> int:
    with stoppable():
        scenes = find(options, console)
        from clayline_cli.embedding.run import embed  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
    return embed(options, scenes, console)
