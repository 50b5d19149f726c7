"""The options of ``clayline verify``.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from clayline_cli import arguments

DESCRIPTION: Final = """\
Check files of embeddings: one FILE, or every one under a folder or prefix. Schema and header, identifiers, footprints
against the provenance, vectors (NaN, zero, equal, absurd), the receipt, gaps, models and revisions. Files of others
(Clay v0, LGND, Earth Index, any GeoParquet) are checked as far as they can be; what cannot is named, with the reason.
If PREFIX is a dataset's root, its index and compact files are compared with the scene files. Nothing is written.
"""
EPILOG: Final = """\
examples:
  clayline verify out/starter-v1.0-l1-rgb/2b0a42a6b915/21JYM_20200518_20200518_v001.parquet
  clayline verify out
  clayline verify s3://my-embeddings/clay-v1.5-cls/ --model clay-v1.5 --json | jq .
  clayline verify s3://EMBEDDINGS-BUCKET/ --local cloud

exit status:
  0    no error was found; warnings may have been
  1    there are errors (with --strict: or warnings)
  2    it could not run: the command line is wrong, there is no such file, S3 refuses. A sentence says why
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

In S3 it asks for s3:GetObject, and for a prefix s3:ListBucket. docs/verify.md has every check.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """What a call was told."""

    target: str
    models: tuple[Path, ...]
    local: Path | None
    region: str | None
    profile: str | None
    request_payer: bool
    strict: bool
    json: bool
    quiet: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError for options that do not go together."""
        if found.target.startswith("s3://"):
            arguments.bucket(found.target.removeprefix("s3://").partition("/")[0])
        elif "://" in found.target and not found.target.startswith("file:"):
            arguments.refuse(f"{found.target} is no path, file:// or s3:// URI. Copy it here first")
        if not found.target.startswith("s3://"):
            given = {"--local": found.local, "--region": found.region, "--profile": found.profile}
            if wrong := [name for name, value in given.items() if value is not None]:
                arguments.refuse(f"{wrong[0]} is for s3:// URIs: {found.target} lies on this machine")
        if found.local is not None and (found.region or found.profile):
            arguments.refuse("--region and --profile are for AWS: the local cloud has neither")
        return cls(
            target=found.target,
            models=tuple(found.model),
            local=found.local,
            region=found.region,
            profile=found.profile,
            request_payer=found.request_payer,
            strict=found.strict,
            json=found.json,
            quiet=found.quiet,
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    parser.add_argument(
        "target", type=arguments.name, metavar="FILE|PREFIX", help="a file, a folder, a file:// or an s3:// URI"
    )
    parser.add_argument(
        "--model",
        type=arguments.model_folder,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a model folder: its digests and its card's spread are compared; may be repeated (the bundled starter is"
        " always known)",
    )
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--json", action="store_true", help="one JSON object a file and line, then one of all together")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    group = parser.add_argument_group("in S3")
    group.add_argument("--local", type=Path, metavar="DIR", help="the local cloud that is up in DIR, not AWS")
    arguments.add_reach(group)
    group.add_argument("--request-payer", action="store_true", help="agree to pay, where the owner has readers pay")
