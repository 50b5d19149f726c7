"""The options of ``clayline report``.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from clayline_cli import arguments

DESCRIPTION: Final = """\
Make one page of HTML of a scene's embeddings: the scene, its chips over it in the colours of their vectors, loss, cloud
or valid fraction, and a search by example: click a chip, and those that are most like it are ranked and marked. The
page is one file, asks no network for anything, and opens in any browser, on a phone too.
"""
EPILOG: Final = """\
examples:
  clayline report out/starter-v1.0-l1-rgb/2b0a42a6b915/21JYM_20200518_20200518_v001.parquet
  clayline report scene.parquet --assets ~/Downloads/landsat --model models/clay-v1.5 --out ~/scene.html

exit status:
  0    the page is there
  2    it could not be made: the command line is wrong, there is no such file, it is no scene's, the page's name is
       taken. A sentence says what to do
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

`clayline embed` makes the page of each scene. docs/report.md says what stands in it and how it is used.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """What a call was told."""

    file: Path
    page: Path
    assets: Path | None
    models: tuple[Path, ...]
    quiet: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError for a page that is the file itself."""
        page = found.out or found.file.with_suffix(".html")
        if page == found.file:
            arguments.refuse(f"{page} is the file of embeddings: name another page with --out")
        arguments.check_ending("--out", found.out, "HTML")
        return cls(file=found.file, page=page, assets=found.assets, models=tuple(found.model), quiet=found.quiet)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    parser.add_argument(
        "file", type=arguments.local_path, metavar="FILE", help="a scene's Parquet file, as `clayline embed` wrote it"
    )
    parser.add_argument(
        "--out",
        type=arguments.local_path,
        metavar="PAGE.html",
        help="the page (default: beside FILE, with its name); what is there already is never overwritten",
    )
    parser.add_argument(
        "--assets",
        type=arguments.folder,
        metavar="DIR",
        help="where the scene's own files lie, if no longer where they were when it was embedded",
    )
    parser.add_argument(
        "--model",
        type=arguments.model_folder,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a model folder: its statistics.json says what to centre vectors by; may be repeated (the bundled starter"
        " is always known)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no notices")
