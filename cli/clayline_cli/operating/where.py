"""Where something runs: a stack on AWS, or a local cloud that is up.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from clayline_cli import arguments


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """What a call was told of it: either a stack or a folder."""

    stack: str | None
    region: str | None
    profile: str | None
    local: Path | None

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError for options that do not go together."""
        if found.local is not None and (found.region or found.profile):
            arguments.refuse("--region and --profile are for --stack: the local cloud has neither")
        return cls(stack=found.stack, region=found.region, profile=found.profile, local=found.local)


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the options, one of which must be given."""
    group = parser.add_argument_group("where")
    one = group.add_mutually_exclusive_group(required=True)
    one.add_argument("--stack", type=arguments.name, metavar="NAME", help="the stack of this name on AWS")
    one.add_argument(
        "--local", type=Path, metavar="DIR", help="the local cloud that `clayline local-cloud --out DIR` keeps up"
    )
    arguments.add_reach(group, region="of the stack (default: the profile's)")
