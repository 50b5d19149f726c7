"""The options of ``clayline embed``: those of its scenes, and what is done with what comes out.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import override

from clayline_cli import arguments
from clayline_cli.choosing.options import SceneOptions, add_reading, add_record, add_scenes, add_telling, flag


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedOptions(SceneOptions):
    """What a call of ``clayline embed`` was told, checked as far as that goes without a look at a scene."""

    out: Path
    retry: bool
    picture: bool
    report: bool

    @override
    def parameters(self, *, chips_per_batch: int) -> dict[str, str]:
        return {
            **SceneOptions.parameters(self, chips_per_batch=chips_per_batch),
            "RetryFailed": flag(on=self.retry),
            # The longest there is: this machine may be slow, and nobody pays for an instance that hangs.
            "InvocationTimeoutSeconds": "3600",
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them, in the groups and order in which help tells them."""
    add_scenes(parser, done="embedded one after the other")
    parser.add_argument(
        "--out",
        type=arguments.out_folder,
        required=True,
        metavar="DIR",
        help="folder for what comes out; made if need be",
    )
    add_reading(parser)
    result = parser.add_argument_group("what comes out")
    result.add_argument(
        "--retry",
        action="store_true",
        help="compute scenes again of which chips failed in an earlier call, as their next revision",
    )
    add_record(result)
    result.add_argument("--no-picture", dest="picture", action="store_false", help="draw no PNG")
    result.add_argument("--no-report", dest="report", action="store_false", help="make no page of HTML")
    add_telling(parser)
