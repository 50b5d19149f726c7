"""The options of ``clayline embed``, and what must hold of them.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn, override

from clayline import __version__
from clayline.scene.sensor import PRODUCTS, of_sensor
from clayline_local.command.help import DESCRIPTION, EPILOG
from clayline_local.repository import STARTER
from clayline_local.stage import Staging

MOST_CHIPS: Final = 4096
"""That plan's settings allow in a batch."""
_MANIFEST: Final = "manifest.json"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedOptions:
    """What a call of ``clayline embed`` was told, checked as far as that goes without a look at a scene."""

    scenes: tuple[str, ...]
    """Files, folders and s3:// URIs, as they were given."""
    out: Path
    model: Path
    batch_chips: int | None
    """None: by the model's chip size."""
    assets: Path | None
    allow_bucket: tuple[str, ...]
    request_payer: bool
    sensor: str | None
    datetime: str | None
    tiff_datetime: bool
    boa: str
    any_gsd: bool
    min_valid_fraction: float
    max_cloud_fraction: float
    creator: str
    encoding: str
    retry: bool
    picture: bool
    json: bool
    quiet: bool

    @property
    def metadata(self) -> Mapping[str, str]:
        """What is said of COGs without an Item."""
        given = {"sensor": self.sensor, "datetime": self.datetime}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def staging(self) -> Staging:
        """Where else than at its hrefs an Item's files may be."""
        return Staging(
            assets=self.assets, allowed_buckets=frozenset(self.allow_bucket), request_payer=self.request_payer
        )

    def parameters(self, *, chips_per_batch: int) -> dict[str, str]:
        """Give the stack's parameters that these options are."""
        return {
            "AnyGsd": _flag(on=self.any_gsd),
            "Boa": self.boa,
            "TiffDatetime": _flag(on=self.tiff_datetime),
            "MinValidFraction": f"{self.min_valid_fraction:g}",
            "MaxCloudFraction": f"{self.max_cloud_fraction:g}",
            "SourceCreator": self.creator,
            "RetryFailed": _flag(on=self.retry),
            "VectorEncoding": self.encoding,
            "ChipsPerBatch": str(chips_per_batch),
            # The longest there is: this machine may be slow, and nobody pays for an instance that hangs.
            "InvocationTimeoutSeconds": "3600",
        }


def parse(arguments: Sequence[str] | None) -> EmbedOptions:
    """Read a command line.

    Exits with status 0 after --help and --version, and with 2 and a sentence if anything in it is wrong.
    """
    parser = _Parser(
        prog="clayline",
        description="Embeddings of satellite scenes, by the very functions that run on AWS, on this machine.",
        epilog="`clayline embed --help` says all about it.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clayline {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_embed(commands)
    found: Any = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(parser.parse_args(arguments)).items()
    }
    return EmbedOptions(**found)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, without the whole usage."""

    @override
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n`{self.prog} --help` explains every option.\n")


def _add_embed(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "embed",
        help="embed scenes on this machine",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "scenes",
        nargs="+",
        metavar="SCENE",
        help="a file, a folder, or an s3:// URI; several are embedded one after the other",
    )
    parser.add_argument(
        "--out", type=_out, required=True, metavar="DIR", help="folder for what comes out; made if need be"
    )
    parser.add_argument(
        "--version", action="version", version=f"clayline {__version__}", help="tell the version and exit"
    )

    where = parser.add_argument_group("where an Item's files are")
    where.add_argument(
        "--assets",
        type=_folder,
        metavar="DIR",
        help="folder in which the files are, matched by name (default: the Item's own)",
    )
    where.add_argument(
        "--allow-bucket", type=_bucket, action="append", default=[], metavar="NAME",
        help="fetch files from this bucket of S3 as well, if an Item names it; may be repeated."
        " An Item in S3 may name its own bucket",
    )  # fmt: skip
    where.add_argument(
        "--request-payer", action="store_true", help="pay for what is fetched from S3 (usgs-landsat wants that)"
    )

    cog = parser.add_argument_group("what a GeoTIFF without an Item may not say (an Item says it itself)")
    cog.add_argument(
        "--sensor", type=_sensor, metavar="NAME", help=f"its sensor, if the file's name does not say it: {_sensors()}"
    )
    cog.add_argument(
        "--datetime", type=_datetime, metavar="TIME",
        help="when it was taken, if the name does not say it: 2020-05-18T13:34:02Z,"
        " or 2020-05-18 for some time that day",
    )  # fmt: skip
    cog.add_argument(
        "--tiff-datetime",
        action="store_true",
        help="if all else fails, believe TIFFTAG_DATETIME, often the time of processing",
    )

    reading = parser.add_argument_group("how scenes are read")
    reading.add_argument("--boa", choices=("auto", "applied", "not-applied"), default="auto",
        help="whether Sentinel-2's BOA offset is taken off already (default: auto, as the Item says)")  # fmt: skip
    reading.add_argument(
        "--any-gsd",
        action="store_true",
        help="accept pixels more than 10 %% larger or smaller than the model's, and record it",
    )
    reading.add_argument("--min-valid-fraction", type=_fraction, default=0.0, metavar="0..1",
        help="skip chips with fewer valid pixels (default: 0, only those with none)")  # fmt: skip
    reading.add_argument(
        "--max-cloud-fraction",
        type=_fraction,
        default=1.0,
        metavar="0..1",
        help="skip chips with more cloud (default: 1, none)",
    )

    model = parser.add_argument_group("the model")
    model.add_argument("--model", type=_model, default=STARTER, metavar="DIR",
        help="model folder, as `make clay` exports one (default: the bundled starter, which is not Clay)")  # fmt: skip
    model.add_argument(
        "--batch-chips",
        type=_chips,
        metavar="N",
        help=f"chips in one request to the model, 1 to {MOST_CHIPS} (default: 64 of 64 px, 4 of 256 px;"
        " progress is by batch)",
    )

    result = parser.add_argument_group("what comes out")
    result.add_argument(
        "--retry",
        action="store_true",
        help="compute scenes again of which chips failed in an earlier call, as their next revision",
    )
    result.add_argument(
        "--encoding",
        choices=("portable", "compact"),
        default="portable",
        help="of the vectors: portable opens in every reader (default), compact is smaller"
        " (docs/schema.md says who reads it)",
    )
    result.add_argument(
        "--creator",
        type=_creator,
        default="clayline",
        metavar="NAME",
        help="for the column source_creator (default: clayline)",
    )
    result.add_argument("--no-picture", dest="picture", action="store_false", help="draw no PNG")

    said = parser.add_argument_group("what is said")
    said.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a scene and line on standard output, everything else on standard error",
    )
    said.add_argument("--quiet", action="store_true", help="no progress: only results, warnings and errors")


def _flag(*, on: bool) -> str:
    return str(on).lower()


def _sensors() -> str:
    return ", ".join(dict.fromkeys(product.sensor for product in PRODUCTS))


def _sensor(text: str) -> str:
    return text if of_sensor(text) else _refuse(f"{text!r} is no sensor that is known: {_sensors()}")


def _datetime(text: str) -> str:
    try:
        if _DAY.fullmatch(text) or _TIME.fullmatch(text):
            datetime.fromisoformat(text.upper())
            return text.upper()
    except ValueError:
        _refuse(f"there is no time {text!r}")
    return _refuse(f"{text!r} is no RFC 3339 time: give one such as 2020-05-18T13:34:02Z, or a day such as 2020-05-18")


def _number[Number: (int, float)](
    kind: Callable[[str], Number], least: Number, most: Number
) -> Callable[[str], Number]:
    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            return _refuse(f"{text!r} is no number from {least} to {most}")
        return value if least <= value <= most else _refuse(f"{text} is not from {least} to {most}")

    return read


_fraction = _number(float, 0.0, 1.0)
_chips = _number(int, 1, MOST_CHIPS)


def _bucket(text: str) -> str:
    return (
        text
        if _BUCKET.fullmatch(text)
        else _refuse(f"{text!r} is no bucket's name: give the name alone, without s3://")
    )


def _creator(text: str) -> str:
    return text if text.strip() else _refuse("is empty: give a name")


def _folder(text: str) -> Path:
    path = Path(text)
    return path if path.is_dir() else _refuse(f"{text} is no folder")


def _model(text: str) -> Path:
    path = Path(text)
    if not (path / _MANIFEST).is_file():
        _refuse(f"{text} is no model folder: it has no {_MANIFEST}. Give the folder that an export wrote")
    return path


def _out(text: str) -> Path:
    """Take a folder that can be written, or made: told before anything starts.

    What is true later is for the lock to say.
    """
    if not text.strip():
        _refuse("is empty: give a folder")
    path = Path(text)
    there = next(part for part in (path.absolute(), *path.absolute().parents) if part.exists() or part.is_symlink())
    if not there.is_dir():
        _refuse(f"{there} is {'a link that leads nowhere' if not there.exists() else 'a file'}. Give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        _refuse(f"{there} cannot be written by you. Give another folder, or change its permissions")
    return path


def _refuse(why: str) -> NoReturn:
    raise argparse.ArgumentTypeError(why)
