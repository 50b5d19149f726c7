"""A look at a scene's file before anything is started: is it what its name says, and if not, in one sentence, what."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from clayline.scene.item import MAX_ITEM_BYTES, is_item
from clayline_cli.errors import CommandError

ITEMS: Final = {".json", ".geojson"}
TIFFS: Final = {".tif", ".tiff"}
WANTED: Final = "a STAC Item (.json), a Cloud-Optimized GeoTIFF (.tif), a folder of them, or an s3:// URI of either"
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHERS: Final[Mapping[bytes, str]] = {
    b"\0\0\0\x0cjP": "a JPEG 2000 image. Convert it: gdal_translate -of COG",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image. Convert it: gdal_translate -of COG",
    b"\x89HDF": "an HDF5 or netCDF file. Convert its bands: gdal_translate -of COG",
    b"PK\x03\x04": "a ZIP archive. Unpack it",
    b"\x1f\x8b": "a gzip archive. Unpack it",
    b"version https://git-lfs": "a Git LFS pointer. Fetch the file itself: git lfs pull",
    b"<": "HTML or XML, perhaps an error page. Download the file again",
    b"{": "JSON, perhaps an error message. Download the file again",
}


def look(path: Path, *, called: str | None = None) -> dict[str, Any] | None:
    """Give the STAC Item in a file, or None for a TIFF; ``called`` is what people call it. Raises CommandError."""
    called = called or str(path)
    try:
        if path.is_dir():
            msg = f"{called} is a folder. Give {WANTED}."
            raise CommandError(msg)
        if not path.is_file():
            msg = f"{called} is no file, or there is none of that name. Give {WANTED}."
            raise CommandError(msg)
        size = path.stat().st_size
        with path.open("rb") as stream:
            body = stream.read(MAX_ITEM_BYTES if is_json(path) else 64)
    except OSError as error:
        msg = f"{called} cannot be read ({error.strerror}). Check its path and permissions."
        raise CommandError(msg) from error
    if not size:
        msg = f"{called} is empty (0 bytes). Download it again."
        raise CommandError(msg)
    if is_tiff(path):
        _check_tiff(body, called)
        return None
    if not is_json(path):
        msg = (
            f"{called} is neither a STAC Item (.json, .geojson) nor a GeoTIFF (.tif, .tiff) by its name. Give {WANTED}."
        )
        raise CommandError(msg)
    if size > MAX_ITEM_BYTES:
        msg = (
            f"{called} has {size} bytes of JSON; a STAC Item has at most {MAX_ITEM_BYTES} here. Give one scene's Item."
        )
        raise CommandError(msg)
    return read(body, called)


def is_json(path: Path) -> bool:
    """Tell by the name what may be an Item."""
    return path.suffix.lower() in ITEMS


def is_tiff(path: Path) -> bool:
    """Tell by the name what may be a COG."""
    return path.suffix.lower() in TIFFS


def read(body: bytes, called: str) -> dict[str, Any]:
    """Give the STAC Item. Raises CommandError that says what it is instead, and what to give."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f"{called} is not valid JSON ({error}). Download it again."
        raise CommandError(msg) from error
    if isinstance(content, dict) and is_item(content):
        return content
    msg = f"{called} is no STAC Item but {_what(content)}."
    raise CommandError(msg)


def _check_tiff(body: bytes, called: str) -> None:
    if body.startswith(_TIFF):
        return
    found = next(
        (what for start, what in _OTHERS.items() if body.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(start)), None
    )
    found = found or next((what for start, what in _OTHERS.items() if body.startswith(start)), None)
    msg = f"{called} is no TIFF but {found or 'something else. Download it again'}."
    raise CommandError(msg)


def _what(content: object) -> str:
    if not isinstance(content, dict):
        return f"a JSON {'list' if isinstance(content, list) else 'value'}. Give one scene's Item"
    kind = content.get("type")
    if kind == "FeatureCollection":
        features = content.get("features")
        number = f" of {len(features)}" if isinstance(features, list) else ""
        return f"a FeatureCollection{number}. Write each Item of its features to a file of its own, and give those"
    if kind in {"Collection", "Catalog"}:
        return f"a STAC {kind}, which describes many scenes. Give an Item of it"
    if "LANDSAT_METADATA_FILE" in content:
        return "Landsat's own metadata (MTL). Give the scene's STAC Item, named like *_stac.json"
    if kind == "Feature":
        lacking = "assets" if "stac_version" in content else "stac_version"
        return f"a Feature without `{lacking}`. Give the Item as its catalogue publishes it"
    return "other JSON. Give the scene's STAC Item"
