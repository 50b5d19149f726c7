"""The options of ``clayline explain``: those of its scenes, by which it decides as ``clayline embed`` does.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass

from clayline_cli.choosing.options import SceneOptions, add_reading, add_record, add_scenes, add_telling


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainOptions(SceneOptions):
    """What a call of ``clayline explain`` was told, checked as far as that goes without a look at a scene."""

    identity: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them, in the groups and order in which help tells them."""
    add_scenes(parser, done="explained one after the other")
    parser.add_argument(
        "--identity",
        action="store_true",
        help="also tell the run that `clayline embed` would make of it, for which every file is read whole",
    )
    add_reading(parser)
    add_record(parser.add_argument_group("what would come out (part of the run's identity)"))
    add_telling(parser)
