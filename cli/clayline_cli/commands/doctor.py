"""``clayline doctor``: whether a deployment can succeed, before it is tried."""

import argparse

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.checking.doctor_options import DESCRIPTION, EPILOG, DoctorOptions, add_options
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands,
        "doctor",
        summary="look whether a deployment to AWS can succeed",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = DoctorOptions.of(found)
    return Call(run=lambda _: _run(options), quiet=False, stopped="Nothing was changed; run it again.")


def _run(options: DoctorOptions) -> int:
    with stoppable():
        from clayline_cli.checking.run import doctor  # noqa: PLC0415 - seconds of imports, which a typo need not wait for

        return doctor(options)
