"""The options of ``clayline read`` and ``clayline sample``.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from clayline.dataset.asking import AskedTime, Revisions, moment
from clayline.errors import DatasetError
from clayline_cli import arguments
from clayline_cli.asking.options import add_box, add_model, add_place, time

FORMS: Final = ("geoparquet", "lgnd", "lancedb", "numpy")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceOptions:
    """Where a dataset lies, and how S3 is reached."""

    root: str
    profile: str | None
    region: str | None
    model: str | None
    columns: tuple[str, ...] | None
    explain: bool
    json: bool
    quiet: bool
    out: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOptions(PlaceOptions):
    """What a call of ``clayline read`` was told."""

    box: tuple[float, ...] | None
    time: str | None
    revisions: Revisions
    form: Literal["geoparquet", "lgnd", "lancedb", "numpy"]

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError for options that do not go together."""
        if found.out is None and not found.explain:
            arguments.refuse("give --out FILE, or --explain to see what it would take")
        arguments.check_ending("--out", found.out, getattr(found, "as"))
        return cls(
            **_place(found), box=found.bbox, time=found.time, revisions=found.revisions, form=getattr(found, "as")
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleOptions(PlaceOptions):
    """What a call of ``clayline sample`` was told."""

    points: Path
    time: str

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError for options that do not go together."""
        if found.out is None and not found.explain:
            arguments.refuse("give --out FILE, or --explain to see what it would take")
        arguments.check_ending("--out", found.out, "geoparquet")
        return cls(**_place(found), points=found.points, time=found.time)


def add_read(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``clayline read``."""
    add_place(parser)
    group = parser.add_argument_group("what is read")
    add_box(group)
    group.add_argument(
        "--time",
        type=time,
        metavar="A/B",
        help="acquired from A to B, days or moments, .. is open; several with commas between",
    )
    _add_model(group)
    group.add_argument(
        "--revisions",
        choices=("newest", "all"),
        default="newest",
        help="of each scene: the newest, or every one (default: newest)",
    )
    group = parser.add_argument_group("what comes out")
    group.add_argument(
        "--as",
        choices=FORMS,
        default=FORMS[0],
        help="GeoParquet of our columns, LGND's published layout, a LanceDB folder, or numpy's NAME.npy with NAME.json"
        " (default: geoparquet)",
    )
    _add_out(group)


def add_sample(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``clayline sample``."""
    add_place(parser)
    parser.add_argument(
        "points",
        type=arguments.local_path,
        metavar="POINTS",
        help="CSV (lon, lat), GeoJSON or GeoParquet of points; WGS 84",
    )
    group = parser.add_argument_group("what is read")
    group.add_argument(
        "--time",
        type=_sample_time,
        default="all",
        metavar="WHEN",
        help="all (every date), A/B (every date from A to B), nearest (to each point's own column datetime), or a day"
        " or moment (the date nearest to it) (default: all)",
    )
    _add_model(group)
    _add_out(parser.add_argument_group("what comes out"))


def _add_model(group: "argparse._ArgumentGroup") -> None:
    add_model(group)
    group.add_argument(
        "--columns",
        type=lambda text: tuple(each.strip() for each in text.split(",") if each.strip()),
        metavar="A,B",
        help="columns of docs/schema.md, scene and revision (default: all)",
    )


def _add_out(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--out", type=arguments.local_path, metavar="FILE", help="where to write; nothing is overwritten"
    )
    group.add_argument(
        "--explain", action="store_true", help="tell files, bytes, requests and cents, and read no chips"
    )
    group.add_argument("--json", action="store_true", help="tell the figures as JSON")
    group.add_argument("-q", "--quiet", action="store_true", help="no notices, and no figures after a reading")


def _place(found: argparse.Namespace) -> dict[str, Any]:
    names = ("root", "profile", "region", "model", "columns", "explain", "json", "quiet", "out")
    return {name: getattr(found, name) for name in names}


def _sample_time(text: str) -> AskedTime:
    if text in {"all", "nearest"}:
        return text
    try:
        return time(text) if set(text) & set("/,") else (moment(text) and text)
    except DatasetError as error:
        arguments.refuse(str(error))
