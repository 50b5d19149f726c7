"""``clayline verify``: whether files of embeddings hold what they should."""

import argparse

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.verifying.verify_options import DESCRIPTION, EPILOG, VerifyOptions, add_options
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "verify", summary="check files of embeddings, ours and others'", description=DESCRIPTION,
        epilog=EPILOG,
    )  # fmt: skip
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = VerifyOptions.of(found)
    return Call(run=lambda console: _run(options, console), quiet=options.quiet, stopped="Nothing was changed.")


def _run(options: VerifyOptions, console: Console) -> int:
    from clayline_cli.verifying.run import verify  # noqa: PLC0415 - seconds of imports, which a typo need not wait for

    with stoppable():
        return verify(options, console)
