"""Options that every question to a dataset has. Importing this loads nothing heavy."""

import argparse
import re
from typing import Final

from clayline.dataset.asking import Asked4, Span, box_of
from clayline.errors import DatasetError
from clayline_cli import arguments

NEGATIVE: Final = re.compile(r"-[\d.][\d.,eE+-]*")
"""What begins with a minus and is no option: a box in the west."""


def add_place(parser: argparse.ArgumentParser, *, what: str = "the dataset: a folder, or s3://BUCKET/PREFIX") -> None:
    """Add where a dataset lies, and how S3 is reached: ``root``, ``profile``, ``region``."""
    parser._negative_number_matcher = NEGATIVE  # noqa: SLF001 - argparse would take a box in the west for an option
    parser.add_argument("root", metavar="ROOT", help=what)
    group = parser.add_argument_group("where")
    arguments.add_reach(group)


def add_box(group: "argparse._ArgumentGroup") -> None:
    """Add ``bbox``."""
    group.add_argument(
        "--bbox", type=box, metavar="W,S,E,N", help="chips whose footprint meets it; degrees (default: everywhere)"
    )


def add_model(group: "argparse._ArgumentGroup") -> None:
    """Add ``model``."""
    group.add_argument(
        "--model", type=arguments.name, metavar="TOKEN", help="where there are several; models are never mixed"
    )


def box(text: str) -> Asked4:
    """Take west, south, east, north with commas between."""
    try:
        west, south, east, north = (float(each) for each in text.split(","))
        box_of((west, south, east, north))
    except (ValueError, DatasetError) as error:
        arguments.refuse(f"{text!r} is no box west,south,east,north in degrees ({str(error).rstrip('.')})")
    return (west, south, east, north)


def time(text: str) -> str:
    """Take A/B, a moment, or several with commas between."""
    try:
        Span.of(text)
    except DatasetError as error:
        arguments.refuse(str(error))
    return text
