"""Which files of a folder are scenes.

A folder as it was downloaded also holds what is none: metadata, previews, other bands.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from clayline.scene.item import MAX_ITEM_BYTES
from clayline.scene.recognition import of_file_name
from clayline_cli.errors import CommandError
from clayline_cli.staging.assets import referred
from clayline_cli.staging.look import WANTED, is_json, is_tiff, read

_FEW: Final = 3
_SAMPLES_PER_PIXEL: Final = 277
_MOST_TAGS: Final = 4096
_BIG_TIFF: Final = 43


def scenes_of(folder: Path, *, sensor_said: bool, notice: Callable[[str], None]) -> list[Path]:
    """Give the scenes of a folder by name: its STAC Items, and GeoTIFFs that no Item there refers to.

    Beside Items, a GeoTIFF is one if it can be: with more than one band, and a sensor that ``sensor_said`` or its name
    gives. ``notice`` is told which are none. Hidden files are not looked at. Raises CommandError if there is no
    scene.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_file())
    except OSError as error:
        msg = f"{folder} cannot be read ({error.strerror}). Check its permissions."
        raise CommandError(msg) from error
    items = {entry: content for entry in entries if is_json(entry) and (content := _item_in(entry))}
    known = {file.resolve() for content in items.values() for file in referred(content, folder)}
    alone = [entry for entry in entries if is_tiff(entry) and entry.resolve() not in known]
    left_out = [entry for entry in alone if items and not _may_be_scene(entry, sensor_said=sensor_said)]
    if left_out:
        names = _few([entry.name for entry in left_out])
        notice(f"{folder}: left out {names}, to which no Item there refers and which cannot be a scene alone")
    scenes = sorted({*items, *alone} - set(left_out))
    if not scenes:
        below = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        hint = f"Folders in it are not searched: give them ({_few(below)})." if below else f"Give {WANTED}."
        msg = f"{folder} holds no STAC Item and no GeoTIFF. {hint}"
        raise CommandError(msg)
    return scenes


def _may_be_scene(tiff: Path, *, sensor_said: bool) -> bool:
    return (sensor_said or of_file_name(tiff.name) is not None) and _bands(tiff) != 1


def _bands(tiff: Path) -> int | None:
    """Give the number of bands that a TIFF's first directory says; None if it has no such directory."""
    try:
        with tiff.open("rb") as stream:
            head = stream.read(16)
            order = "<" if head.startswith(b"II") else ">"
            big = struct.unpack(f"{order}H", head[2:4])[0] == _BIG_TIFF
            place, number, size, value = ("Q", "Q", 20, 12) if big else ("I", "H", 12, 8)
            stream.seek(struct.unpack(f"{order}{place}", head[8:16] if big else head[4:8])[0])
            (tags,) = struct.unpack(f"{order}{number}", stream.read(struct.calcsize(f"={number}")))
            entries = stream.read(min(tags, _MOST_TAGS) * size)
    except (OSError, ValueError, OverflowError, struct.error):
        return None
    if len(entries) < min(tags, _MOST_TAGS) * size:
        return None
    for start in range(0, len(entries) - size + 1, size):
        entry = entries[start : start + size]
        if struct.unpack(f"{order}H", entry[:2])[0] == _SAMPLES_PER_PIXEL:
            return int(struct.unpack(f"{order}H", entry[value : value + 2])[0])
    return 1  # TIFF's default


def _few(names: list[str]) -> str:
    return f"{', '.join(names[:_FEW])}{', ...' if len(names) > _FEW else ''}"


def _item_in(path: Path) -> dict[str, Any] | None:
    """Give the Item, None if it is other JSON: a folder may hold that too."""
    try:
        return read(path.read_bytes(), str(path)) if path.stat().st_size <= MAX_ITEM_BYTES else None
    except (OSError, CommandError):
        return None
