"""Kinds of arguments: each is read, checked as far as that goes without anything heavy, and refused in a sentence.

They are argparse's types: what they raise is told as a usage error.
"""

import argparse
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from clayline.scene.recognition import of_sensor, sensor_names

if TYPE_CHECKING:
    from clayline.scene.sensor import Product

_MANIFEST: Final = "manifest.json"
_PARQUET: Final = (".parquet", ".geoparquet", ".gpq")
ENDINGS: Final = {
    "geoparquet": _PARQUET,
    "lgnd": _PARQUET,
    "lancedb": (".lance", ".lancedb", ".db"),
    "numpy": (".npy",),
    "geojson": (".geojson", ".json"),
    "sheet": (".png",),
    "PNG": (".png",),
    "HTML": (".html", ".htm"),
}
"""How the names of files of a form may end; a name without any of these endings may be anything."""
_KNOWN: Final = frozenset(end for each in ENDINGS.values() for end in each) | {
    ".csv", ".gpkg", ".shp", ".tif", ".tiff", ".jpg", ".jpeg", ".pdf", ".xlsx", ".arrow", ".feather",
}  # fmt: skip
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
OF_THE_BUCKET: Final = "of the bucket (default: the profile's)"
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")


def sensors() -> str:
    """Give the names of the sensors that are known, for people."""
    return ", ".join(sensor_names())


def sensor(text: str) -> str:
    """Take the name of a sensor, or of a product: whether it is known is for who knows all options to say."""
    return text if re.fullmatch(r"[A-Za-z0-9-]{1,64}", text) else refuse(f"{text!r} is no sensor that is known")


def check_sensor(text: str, products: "tuple[Product, ...] | None") -> None:
    """Refuse a sensor that is not among the products; None: of those that come with the package."""
    known = of_sensor(text) if products is None else [each for each in products if text in {each.sensor, each.name}]
    if not known:
        listed = sensors() if products is None else ", ".join(dict.fromkeys(product.sensor for product in products))
        refuse(f"argument --sensor: {text!r} is no sensor that is known: {listed}")


def moment(text: str) -> str:
    """Take a time of RFC 3339, or a day."""
    try:
        if _DAY.fullmatch(text) or _TIME.fullmatch(text):
            datetime.fromisoformat(text.upper())
            return text.upper()
    except ValueError:
        refuse(f"there is no time {text!r}")
    return refuse(f"{text!r} is no RFC 3339 time: give one such as 2020-05-18T13:34:02Z, or a day such as 2020-05-18")


def number[Number: (int, float)](kind: Callable[[str], Number], least: Number, most: Number) -> Callable[[str], Number]:
    """Give what takes a number from ``least`` to ``most``."""

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            return refuse(f"{text!r} is no number from {least} to {most}")
        return value if least <= value <= most else refuse(f"{text} is not from {least} to {most}")

    return read


fraction: Final = number(float, 0.0, 1.0)


def bucket(text: str) -> str:
    """Take the name of a bucket."""
    return (
        text if _BUCKET.fullmatch(text) else refuse(f"{text!r} is no bucket's name: give the name alone, without s3://")
    )


def name(text: str) -> str:
    """Take what is not empty."""
    return text if text.strip() else refuse("is empty: give a name")


def folder(text: str) -> Path:
    """Take a folder that is there."""
    path = Path(text)
    return path if path.is_dir() else refuse(f"{text} is no folder")


def local_path(text: str) -> Path:
    """Take a path on this machine: a URI would become a strange one."""
    if not text.strip():
        refuse("is empty: give a path")
    return refuse(f"{text} is no path on this machine: copy it here first") if "://" in text else Path(text)


def model_folder(text: str) -> Path:
    """Take a folder with a manifest; what it says is for later."""
    path = Path(text)
    if not (path / _MANIFEST).is_file():
        refuse(f"{text} is no model folder: it has no {_MANIFEST}. Give the folder that an export wrote")
    return path


def out_folder(text: str) -> Path:
    """Take a folder that can be written, or made: told before anything starts.

    What is true later is for the lock to say.
    """
    if not text.strip():
        refuse("is empty: give a folder")
    path = Path(text)
    there = next(part for part in (path.absolute(), *path.absolute().parents) if part.exists() or part.is_symlink())
    if not there.is_dir():
        refuse(f"{there} is {'a link that leads nowhere' if not there.exists() else 'a file'}. Give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        refuse(f"{there} cannot be written by you. Give another folder, or change its permissions")
    return path


def refuse(why: str) -> NoReturn:
    """Raise what argparse tells as a usage error."""
    raise argparse.ArgumentTypeError(why)


def check_ending(option: str, path: Path | None, form: str) -> None:
    """Refuse a file whose name says that it is something else than what is written: readers go by it."""
    own = ENDINGS[form]
    if path is not None and (end := path.suffix.lower()) in _KNOWN and end not in own:
        refuse(f"{option} {path}: {form} is written there, which is no {end}. Name it {path.stem}{own[0]}")


def add_reach(
    group: "argparse.ArgumentParser | argparse._ArgumentGroup",
    *,
    region: str = OF_THE_BUCKET,
) -> None:
    """Add how AWS is reached: ``profile`` and ``region``; what the latter is of is said in its help."""
    group.add_argument("--profile", type=name, metavar="NAME", help="AWS profile (default: AWS_PROFILE)")
    group.add_argument("--region", type=name, metavar="NAME", help=region)


def add_model_folder(
    group: "argparse.ArgumentParser | argparse._ArgumentGroup", *, default: Path, meaning: str
) -> None:
    """Add ``model_folder``: the bundled starter's, unless another is named; ``meaning`` says what it does."""
    group.add_argument(
        "--model-folder",
        type=model_folder,
        default=default,
        metavar="DIR",
        help=f"{meaning} (default: the bundled starter)",
    )
