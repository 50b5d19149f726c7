"""Options of examples, which search and watches have alike. Importing this loads nothing heavy."""

import argparse
from collections.abc import Sequence
from typing import Final

from clayline.errors import DatasetError
from clayline_cli import arguments
from clayline_cli.choosing.options import CHIPS_OF_A_SCENE, SceneOptions, add_assets, add_said
from clayline_local.repository import STARTER

FORMS: Final = "UCI, CELL, LON,LAT or FILE@LON,LAT"
_READING: Final = ("--any-gsd", "--any-pixel-shape", "--untrained-sensors")


def add_examples(group: "argparse._ArgumentGroup", *, more: str = "") -> None:
    """Add ``like``, ``unlike`` and ``model_folder``; ``more`` is said of the first."""
    for name, meaning in (("--like", f"an example that is like it{more}"), ("--unlike", "an example that is not")):
        group.add_argument(
            name, action="append", default=[], metavar="EXAMPLE",
            help=f"{meaning}: an identifier, a cell, LON,LAT, or FILE@LON,LAT, a chip of a GeoTIFF or Item of yours;"
            " may be repeated",
        )  # fmt: skip
    arguments.add_model_folder(
        group,
        default=STARTER,
        meaning="embeds FILE@LON,LAT; centres by its statistics, where it is of the examples' model",
    )


def add_imagery(parser: argparse.ArgumentParser) -> None:
    """Add how imagery that is an example is found and read."""
    add_assets(parser)
    said = add_said(parser)
    for name in _READING:
        said.add_argument(name, action="store_true", help="as of `clayline embed`")


def _check(text: str) -> None:
    """Refuse what is no example. Raises ArgumentTypeError."""
    from clayline.likeness.examples import example_of  # noqa: PLC0415 - loads numpy, which --help need not

    try:
        example_of(text)
    except DatasetError as error:
        arguments.refuse(str(error))


def check_examples(like: Sequence[str], unlike: Sequence[str]) -> None:
    """Refuse what is no example, and what is given as both, before imagery is embedded. Raises ArgumentTypeError."""
    for text in (*like, *unlike):
        _check(text)
    if both := set(like) & set(unlike):
        arguments.refuse(f"{min(both)} is given as like it and as not: it can be one. Leave it out of one of the two")


def imagery_of(found: argparse.Namespace) -> SceneOptions:
    """Give how imagery is found and read: all of its chips are looked at, however valid or cloudy."""
    return SceneOptions(
        scenes=(),
        model=found.model_folder,
        batch_chips=1,
        max_chips=CHIPS_OF_A_SCENE,
        assets=found.assets,
        allow_bucket=tuple(found.allow_bucket),
        request_payer=found.request_payer,
        sensor=found.sensor,
        datetime=found.datetime,
        tiff_datetime=False,
        boa="auto",
        implausible_units="warn",
        any_gsd=found.any_gsd,
        any_pixel_shape=found.any_pixel_shape,
        untrained_sensors=found.untrained_sensors,
        sensors=None,
        min_valid_fraction=0.0,
        max_cloud_fraction=1.0,
        creator="clayline",
        encoding="portable",
        json=found.json,
        quiet=found.quiet,
    )
