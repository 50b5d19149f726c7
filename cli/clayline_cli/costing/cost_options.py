"""The options of ``clayline plan-cost``: those of its scenes, and of what they would run on.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass
from typing import Final

from clayline_cli import arguments
from clayline_cli.choosing.options import SceneOptions, add_reading, add_record, add_scenes, add_telling

CHIPS_A_BATCH: Final = 64
"""The parameter's default in template.yaml."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CostOptions(SceneOptions):
    """What a call of ``clayline plan-cost`` was told, checked as far as that goes without a look at a scene."""

    instance: str | None
    """None: the template's."""
    chips_per_second: float | None
    """None: as far as is known of the model."""

    @property
    def here(self) -> tuple[str, ...]:
        """Targets on this machine."""
        return tuple(target for target in self.scenes if target not in self.in_s3)

    @property
    def in_s3(self) -> tuple[str, ...]:
        """Targets in S3."""
        return tuple(target for target in self.scenes if target.startswith("s3://"))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them, in the groups and order in which help tells them."""
    add_scenes(parser, done="added up")
    endpoint = parser.add_argument_group("the endpoint")
    endpoint.add_argument(
        "--instance",
        metavar="TYPE",
        help="instance type of the endpoint, such as ml.g6.xlarge (default: InstanceType of template.yaml)",
    )
    endpoint.add_argument(
        "--chips-per-second",
        type=arguments.number(float, 0.001, 1_000_000.0),
        metavar="N",
        help="chips that one instance does in a second, where you have measured it (default: what is known of Clay)",
    )
    add_reading(parser, batch_chips=str(CHIPS_A_BATCH))
    add_record(parser.add_argument_group("what would come out (costs the same)"))
    add_telling(parser)
