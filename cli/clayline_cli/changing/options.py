"""The options of ``clayline change``. Importing this loads nothing heavy."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from clayline_cli import arguments
from clayline_cli.asking.options import add_box, add_model, add_place, time
from clayline_local.repository import STARTER

CLOUD_MOST: Final = 0.2
VALID_LEAST: Final = 0.9
"""As ``clayline.likeness`` has them: a test compares the two."""
_MOST_SHOWN: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeOptions:
    """What a call of ``clayline change`` was told."""

    root: str
    profile: str | None
    region: str | None
    box: tuple[float, ...] | None
    dates: tuple[str, ...] | None
    """Two or more; None: each cell's own."""
    model: str | None
    folder: Path
    """Of the model: its statistics centre the vectors, where it is of theirs."""
    cloud_most: float
    cloud_known: bool
    valid_least: float
    across_instruments: bool
    out: Path | None
    picture: Path | None
    top: int
    explain: bool
    json: bool
    quiet: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError for options that do not go together."""
        ends = [each for each in (found.earlier, found.later) if each is not None]
        if len(ends) == 1:
            arguments.refuse("give both --from and --to, or --time with two dates or more")
        if ends and found.time is not None:
            arguments.refuse("give --from and --to, or --time, not both")
        dates = ends or (None if found.time is None else found.time.split(","))
        if dates is not None and len(dates) < 2:  # noqa: PLR2004 - a change has two
            arguments.refuse("--time with one date says of no change: give two or more, with commas between")
        arguments.check_ending("--out", found.out, "geoparquet")
        arguments.check_ending("--picture", found.picture, "PNG")
        return cls(
            root=found.root,
            profile=found.profile,
            region=found.region,
            box=found.bbox,
            dates=None if dates is None else tuple(dates),
            model=found.model,
            folder=found.model_folder,
            cloud_most=found.max_cloud,
            cloud_known=found.known_cloud,
            valid_least=found.min_valid,
            across_instruments=found.across_instruments,
            out=found.out,
            picture=found.picture,
            top=found.top,
            explain=found.explain,
            json=found.json,
            quiet=found.quiet,
        )


def add_change(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``clayline change``."""
    add_place(parser, what="a dataset, or scene files without an index: a folder, or s3://BUCKET/PREFIX")
    group = parser.add_argument_group("what is compared")
    add_box(group)
    group.add_argument("--from", dest="earlier", type=time, metavar="A", help="the earlier date: a day, or from/until")
    group.add_argument("--to", dest="later", type=time, metavar="B", help="the later one")
    group.add_argument(
        "--time",
        type=time,
        metavar="A,B,C",
        help="two dates or more in their order, each compared with the next (default: each cell's own dates, each with"
        " its next)",
    )
    add_model(group)
    arguments.add_model_folder(
        group,
        default=STARTER,
        meaning="centres by its statistics, where it is of the chips' model, else by the dataset's codebook or its"
        " chips",
    )
    group.add_argument(
        "--max-cloud",
        type=arguments.fraction,
        default=CLOUD_MOST,
        metavar="F",
        help=f"of a chip whose cloud is known; 1 lets every chip take part (default: {CLOUD_MOST})",
    )
    group.add_argument("--known-cloud", action="store_true", help="leave out chips of which nobody knows the cloud")
    group.add_argument(
        "--min-valid",
        type=arguments.fraction,
        default=VALID_LEAST,
        metavar="F",
        help=f"chips that are mostly outside of their scene look changed by it (default: {VALID_LEAST})",
    )
    group.add_argument(
        "--across-instruments",
        action="store_true",
        help="compare chips of different families of instruments (default: never)",
    )
    group = parser.add_argument_group("what comes out")
    group.add_argument("--out", type=arguments.local_path, metavar="FILE", help="GeoParquet; nothing is overwritten")
    group.add_argument("--picture", type=arguments.local_path, metavar="PNG", help="a map; nothing is overwritten")
    group.add_argument(
        "--top",
        type=arguments.number(int, 0, _MOST_SHOWN),
        default=10,
        metavar="N",
        help="the most changed cells that are listed (default: 10)",
    )
    group.add_argument(
        "--explain",
        action="store_true",
        help="tell also which files were read, what for, and why the others were not, and what that took",
    )
    group.add_argument("--json", action="store_true", help="tell it as JSON")
    group.add_argument("-q", "--quiet", action="store_true", help="no notices")
