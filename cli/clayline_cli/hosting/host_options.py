"""The options of ``clayline local-cloud``.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from clayline_cli import arguments
from clayline_local.repository import STARTER

DESCRIPTION: Final = """\
Keep the whole pipeline up on this machine until Ctrl-C: moto_server for AWS, the endpoint's own server behind an
emulator of SageMaker's asynchronous contract, a worker a function, the reconciler by the clock. Scenes land by
`clayline land`, `clayline status` tells how far they are, and what comes out is copied to DIR.

What ends is started again, as AWS would: a function's worker at once, the endpoint after --endpoint-down seconds. What
the endpoint computed as it ended has failed and is tried again; what is queued waits.
"""

EPILOG: Final = """\
examples:
  clayline local-cloud --out cloud
  clayline local-cloud --out cloud --drop-notifications 0.5        nobody is told of half of the answers
  clayline local-cloud --out cloud --parameter ChipsPerBatch=4 --parameter MaxBatchesInFlight=8
in another shell:
  clayline land scenes/item.json --local cloud
  clayline status --local cloud
  source cloud/.clayline/cloud.env; aws s3 ls                      any program that takes AWS_ENDPOINT_URL

exit status:
  0    never: it stays up until it is told to end
  2    it could not run, or moto ended. A sentence says what to do
  130  ended by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

docs/operations.md, Break it on purpose, leads through what can be broken.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostOptions:
    """What a call was told."""

    out: Path
    model: Path
    patience: int
    endpoint_down: float
    drop_notifications: float
    parameter: dict[str, str]
    json: bool
    quiet: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found."""
        values: dict[str, Any] = {option.name: getattr(found, option.name) for option in fields(cls)}
        return cls(**(values | {"parameter": dict(values["parameter"])}))

    def parameters(self, *, chips_per_batch: int) -> dict[str, str]:
        """Give the stack's parameters."""
        return {
            "ChipsPerBatch": str(chips_per_batch),
            # The longest there is: this machine may be slow, and nobody pays for an instance that hangs.
            "InvocationTimeoutSeconds": "3600",
            "PatienceSeconds": str(self.patience),
            **self.parameter,
        }


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return (name, value) if name and equals else arguments.refuse(f"{text!r} is not NAME=VALUE")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    parser.add_argument(
        "--out",
        type=arguments.out_folder,
        required=True,
        metavar="DIR",
        help="folder for what comes out, logs, and how other commands find this cloud; made if need be",
    )
    parser.add_argument("--model", type=arguments.model_folder, default=STARTER, metavar="DIR",
        help="model folder, as `make clay` exports one (default: the bundled starter, which is not Clay)")  # fmt: skip
    parser.add_argument(
        "--parameter",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of template.yaml; may be repeated",
    )
    broken = parser.add_argument_group("what goes wrong")
    broken.add_argument(
        "--drop-notifications",
        type=arguments.fraction,
        default=0.0,
        metavar="0..1",
        help="share of the endpoint's notifications that are never published (default: 0)",
    )
    broken.add_argument(
        "--endpoint-down",
        type=arguments.number(float, 0.0, 86_400.0),
        default=60.0,
        metavar="SECONDS",
        help="how long the endpoint stays away when it was killed (default: 60)",
    )
    broken.add_argument(
        "--patience",
        type=arguments.number(int, 1, 86_400),
        default=30,
        metavar="SECONDS",
        help="how long a scene may stand still before the reconciler looks why (default: 30; on AWS 900)",
    )
    said = parser.add_argument_group("what is said")
    said.add_argument("--json", action="store_true", help="one JSON object an event and line on standard output")
    said.add_argument("-q", "--quiet", action="store_true", help="no notices: only events, warnings and errors")
