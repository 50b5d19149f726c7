"""The options of ``clayline doctor``.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

from clayline_cli import arguments
from clayline_local.repository import STARTER

DESCRIPTION: Final = """\
Look, before `sam deploy`, whether the deployment can succeed: the stack's parameters (samconfig.toml), tools and their
versions, the model folder and its digests; and by your credentials: who you are, whether you may do what the deployment
does, quotas of the endpoint's instance type and of Lambda, the container's image, the model in its bucket. Nothing is
changed. Each check ends as ok, warning, failed or unknown, with what to do about it: what AWS does not tell, or these
credentials may not ask, is unknown, never ok.
"""

EPILOG: Final = """\
examples:
  clayline doctor                                        what `sam deploy` would deploy
  clayline doctor --config-env prod --profile prod --model models/clay-v1.5
  clayline doctor --offline                              only what this machine can tell
  clayline doctor --json | jq -r 'select(.status != "ok") | .name'

exit status:
  0    nothing failed; warnings and unknowns are told
  1    something failed: it says what to do
  2    it could not run: the command line is wrong. A sentence says what to do
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

docs/how-to/deploy.md leads through the deployment. None of it was tried in an AWS account.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorOptions:
    """What a call of ``clayline doctor`` was told."""

    config_env: str
    model: Path
    profile: str | None
    region: str | None
    offline: bool
    json: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found."""
        return cls(**{option.name: getattr(found, option.name) for option in fields(cls)})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    parser.add_argument(
        "--config-env",
        type=arguments.name,
        default="default",
        metavar="NAME",
        help="the part of samconfig.toml to deploy by, as `sam deploy --config-env` takes it (default: default)",
    )
    parser.add_argument(
        "--model", type=arguments.model_folder, default=STARTER, metavar="DIR",
        help="model folder that is to be served (default: the bundled starter, which is not Clay)",
    )  # fmt: skip
    arguments.add_reach(parser, region="AWS region (default: samconfig.toml's, AWS_REGION, the profile's)")
    parser.add_argument("--offline", action="store_true", help="ask AWS nothing: only what this machine can tell")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a check and line: name, status, said, remedy"
    )
