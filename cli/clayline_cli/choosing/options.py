"""The options that decide what becomes of a scene, and what must hold of them.

Importing this loads nothing heavy: --help and a typo answer at once.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from clayline import __version__
from clayline_cli import arguments
from clayline_cli.staging.stage import Staging
from clayline_local.repository import SAMPLE, STARTER

if TYPE_CHECKING:
    from clayline.scene.recognition import Known

BUNDLED: Final = "sample:itaipu"
"""What the bundled scene is called, wherever it lies."""
MOST_CHIPS: Final = 4096
"""That plan's settings allow in a batch."""
CHIPS_OF_A_SCENE: Final = 400_000
"""That plan's settings allow unless told otherwise."""

MOST_MB: Final = 10_240
"""That the stack's parameters of collect allow: this machine's disk and memory are what they are."""

type Group = argparse._ArgumentGroup  # noqa: SLF001 - argparse has no other name for it
"""Of a parser: options under one heading of help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneOptions:
    """What a call was told of its scenes, checked as far as that goes without a look at one."""

    scenes: tuple[str, ...]
    """Files, folders and s3:// URIs, as they were given."""
    model: Path
    batch_chips: int | None
    """None: by the model's chip size."""
    max_chips: int
    assets: Path | None
    allow_bucket: tuple[str, ...]
    request_payer: bool
    sensor: str | None
    datetime: str | None
    tiff_datetime: bool
    boa: str
    implausible_units: str
    any_gsd: bool
    any_pixel_shape: bool
    untrained_sensors: bool
    sensors: Path | None
    min_valid_fraction: float
    max_cloud_fraction: float
    creator: str
    encoding: str
    json: bool
    quiet: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found."""
        values = {option.name: getattr(found, option.name) for option in fields(cls)}
        given: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        options = cls(**given)
        if options.sensor is not None:
            arguments.check_sensor(options.sensor, options.known().products if options.sensors else None)
        return options

    @property
    def metadata(self) -> Mapping[str, str]:
        """What is said of COGs without an Item."""
        given = {"sensor": self.sensor, "datetime": self.datetime}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def staging(self) -> Staging:
        """Where else than at its hrefs an Item's files may be."""
        return Staging(
            assets=self.assets,
            products=self.known().products if self.sensors else None,
            allowed_buckets=frozenset(self.allow_bucket),
            request_payer=self.request_payer,
        )

    def sensor_files(self) -> dict[str, Path]:
        """Give the files of the user's own sensors by name."""
        return {file.name: file for file in sorted(self.sensors.glob("*.yaml"))} if self.sensors else {}

    def known(self) -> "Known":
        """Give the sensors that are known, the user's own among them. Raises SensorFileError."""
        from clayline.scene.sensor_file import known_with  # noqa: PLC0415 - what loads slowly is for who has own ones

        return known_with({name: file.read_bytes() for name, file in self.sensor_files().items()})

    def parameters(self, *, chips_per_batch: int) -> dict[str, str]:
        """Give the stack's parameters that these options are."""
        return {
            "AnyGsd": flag(on=self.any_gsd),
            "AnyPixelShape": flag(on=self.any_pixel_shape),
            "Boa": self.boa,
            "SensorFiles": ",".join(self.sensor_files()),
            "ImplausibleUnits": self.implausible_units,
            "UntrainedSensors": flag(on=self.untrained_sensors),
            "TiffDatetime": flag(on=self.tiff_datetime),
            "MinValidFraction": f"{self.min_valid_fraction:g}",
            "MaxCloudFraction": f"{self.max_cloud_fraction:g}",
            "SourceCreator": self.creator,
            "VectorEncoding": self.encoding,
            "ChipsPerBatch": str(chips_per_batch),
            "MaxChips": str(self.max_chips),
            "CollectScratchMb": str(MOST_MB),
            "CollectMemory": str(MOST_MB),
        }


def add_scenes(parser: argparse.ArgumentParser, *, done: str) -> None:
    """Add the scenes, and --version; ``done`` says what is done to several."""
    parser.add_argument(
        "scenes",
        nargs="+",
        type=lambda text: str(SAMPLE) if text == BUNDLED else text,
        metavar="SCENE",
        help=f"a file, a folder, an s3:// URI, or {BUNDLED}, the bundled scene; several are {done}",
    )
    parser.add_argument(
        "--version", action="version", version=f"clayline {__version__}", help="tell the version and exit"
    )


def add_assets(parser: argparse.ArgumentParser) -> None:
    """Add where an Item's files are."""
    where = parser.add_argument_group("where an Item's files are")
    where.add_argument(
        "--assets",
        type=arguments.folder,
        metavar="DIR",
        help="folder in which the files are, matched by name (default: the Item's own)",
    )
    where.add_argument(
        "--allow-bucket", type=arguments.bucket, action="append", default=[], metavar="NAME",
        help="fetch files from this bucket of S3 as well, if an Item names it; may be repeated."
        " An Item in S3 may name its own bucket",
    )  # fmt: skip
    where.add_argument(
        "--request-payer", action="store_true", help="pay for what is fetched from S3 (usgs-landsat wants that)"
    )


def add_said(parser: argparse.ArgumentParser) -> Group:
    """Add what is said of a GeoTIFF without an Item; gives the group."""
    cog = parser.add_argument_group("what a GeoTIFF without an Item may not say (an Item says it itself)")
    cog.add_argument(
        "--sensor",
        type=arguments.sensor,
        metavar="NAME",
        help=f"its sensor, if the file's name does not say it: {arguments.sensors()}",
    )
    cog.add_argument(
        "--datetime", type=arguments.moment, metavar="TIME",
        help="when it was taken, if the name does not say it: 2020-05-18T13:34:02Z,"
        " or 2020-05-18 for some time that day",
    )  # fmt: skip
    return cog


def add_reading(parser: argparse.ArgumentParser, *, batch_chips: str = "64 of 64 px, 4 of 256 px") -> None:
    """Add what decides how a scene is found, read and cut, in the groups and order in which help tells them;
    ``batch_chips`` is the default that is told of a batch.
    """
    add_assets(parser)
    cog = add_said(parser)
    cog.add_argument(
        "--tiff-datetime",
        action="store_true",
        help="if all else fails, believe TIFFTAG_DATETIME, often the time of processing",
    )

    reading = parser.add_argument_group("how scenes are read")
    reading.add_argument("--boa", choices=("auto", "applied", "not-applied"), default="auto",
        help="whether Sentinel-2's BOA offset is taken off already (default: auto, as the Item says)")  # fmt: skip
    reading.add_argument("--implausible-units", choices=("warn", "fail"), default="warn",
        help="what happens to a scene whose numbers do not look like its sensor's (default: warn)")  # fmt: skip
    reading.add_argument(
        "--any-gsd",
        action="store_true",
        help="accept pixels more than 10 %% larger or smaller than the model's, and record it",
    )
    reading.add_argument(
        "--sensors",
        type=arguments.folder,
        metavar="DIR",
        help="recognise sensors of your own as well: a YAML file each (docs/how-to/add-a-sensor.md)",
    )
    reading.add_argument(
        "--any-pixel-shape",
        action="store_true",
        help="accept pixels that are not square on the ground within 1 %%, warn of it and record it",
    )
    reading.add_argument(
        "--untrained-sensors",
        action="store_true",
        help="accept scenes of instruments on which the sensor's models were not trained (Landsat's TM and ETM+, HLS),"
        " and record it",
    )
    reading.add_argument("--min-valid-fraction", type=arguments.fraction, default=0.0, metavar="0..1",
        help="skip chips with fewer valid pixels (default: 0, only those with none)")  # fmt: skip
    reading.add_argument(
        "--max-cloud-fraction",
        type=arguments.fraction,
        default=1.0,
        metavar="0..1",
        help="skip chips with more cloud (default: 1, none)",
    )

    model = parser.add_argument_group("the model")
    model.add_argument("--model", type=arguments.model_folder, default=STARTER, metavar="DIR",
        help="model folder, as `make clay` exports one (default: the bundled starter, which is not Clay)")  # fmt: skip
    model.add_argument(
        "--batch-chips",
        type=arguments.number(int, 1, MOST_CHIPS),
        metavar="N",
        help=f"chips in one request to the model, 1 to {MOST_CHIPS} (default: {batch_chips}; progress is by batch)",
    )
    model.add_argument(
        "--max-chips",
        type=arguments.number(int, 1, 10_000_000),
        default=CHIPS_OF_A_SCENE,
        metavar="N",
        help=f"refuse a scene of more chips before anything is computed (default: {CHIPS_OF_A_SCENE:,})",
    )


def add_record(result: Group) -> None:
    """Add what changes outputs and leaves chips as they are: part of a run's identity as well."""
    result.add_argument(
        "--encoding",
        choices=("portable", "compact"),
        default="portable",
        help="of the vectors: portable opens in every reader (default), compact is smaller"
        " (docs/schema.md says who reads it)",
    )
    result.add_argument(
        "--creator",
        type=arguments.name,
        default="clayline",
        metavar="NAME",
        help="for the column source_creator (default: clayline)",
    )


def add_telling(parser: argparse.ArgumentParser) -> None:
    """Add how results are told."""
    said = parser.add_argument_group("what is said")
    said.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a scene and line on standard output, everything else on standard error",
    )
    said.add_argument("-q", "--quiet", action="store_true", help="no progress: only results, warnings and errors")


def flag(*, on: bool) -> str:
    """Write a yes or no as the stack's parameters have it."""
    return str(on).lower()
