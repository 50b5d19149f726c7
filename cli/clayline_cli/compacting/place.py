"""Where a dataset is written: a folder, or a bucket's prefix."""

import argparse
from typing import Final

from clayline_cli import arguments

_S3: Final = "s3://"
HELP: Final = "a folder into which scenes were embedded, or s3://BUCKET[/PREFIX]"


def add_place(parser: argparse.ArgumentParser, *, region: str = arguments.OF_THE_BUCKET) -> None:
    """Add the place, and how S3 is reached: ``root``, ``profile``, ``region``."""
    parser.add_argument("root", type=root, metavar="ROOT", help=HELP)
    arguments.add_reach(parser, region=region)


def root(text: str) -> str:
    """Take the name of a root: a folder that is there, or an S3 URI."""
    if text.startswith(_S3):
        arguments.bucket(text.removeprefix(_S3).partition("/")[0])
        return text
    if "://" in text:
        arguments.refuse(f"{text!r} is no place of a dataset: give a folder or s3://BUCKET/PREFIX")
    return str(arguments.folder(text))
