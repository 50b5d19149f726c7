"""``clayline plan-cost SCENE...``: what embedding scenes on AWS would cost, before anything runs."""

import argparse
from dataclasses import replace

from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.choosing.scenes import find
from clayline_cli.console import Console
from clayline_cli.costing.cost_options import CostOptions, add_options
from clayline_cli.costing.help import DESCRIPTION, EPILOG
from clayline_local.stopping import stoppable


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands,
        "plan-cost",
        summary="tell what embedding scenes on AWS would cost",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add_options(parser)
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    options = CostOptions.of(found)
    return Call(
        run=lambda console: _run(options, console), quiet=options.quiet, stopped="Nothing was written; run it again."
    )


def _run(options: CostOptions, console: Console) -> int:
    with stoppable():
        here = find(replace(options, scenes=options.here), console) if options.here else []
        from clayline_cli.costing.run import plan_cost  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
    return plan_cost(options, here, console)
