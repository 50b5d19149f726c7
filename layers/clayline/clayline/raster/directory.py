"""The directories of a TIFF, looked at before GDAL opens it: what GDAL would read as a whole, or parse in more than
linear time, must be of bounded length.

GDAL reads every tag of a directory when it opens the file, and parses GDAL_METADATA in the square of the number of its
items: 2.8 MB take 38 seconds, and nothing of it can be stopped. Masks and overviews are directories of their own, whose
tags it reads in the same way when somebody asks for a mask. Only lengths are looked at here, in the entries of the
directories; what they say is GDAL's to read.

Plan looks; tile opens only what plan looked at, by its ETag (``steps.tiling``).

Layout: TIFF 6.0, section 2, and the BigTIFF design (libtiff.gitlab.io/libtiff/specification/bigtiff.html).
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clayline.chips.cog import CogSource
from clayline.errors import SceneError, TransientError
from clayline.ports import ObjectForbiddenError, ObjectMissingError, Ranges
from clayline.raster.cog import forbidden, is_remote

MAX_TEXT_BYTES: Final = 262_144
"""Of one tag of text (ImageDescription, GDAL_METADATA): GDAL takes 0.3 seconds for that much of the worst."""
MAX_TAG_BYTES: Final = 4_194_304
"""Of any other tag (XMP, an ICC profile, tie points), and of an index of blocks that the declared size does not
explain."""
MAX_DIRECTORIES: Final = 64
"""Of one file: the image, its mask, and an overview and its mask for each halving, with room."""
FIRST_BYTES: Final = 32_768
"""Fetched at once from the file's start: in a Cloud Optimized GeoTIFF, every directory."""
_NEXT_BYTES: Final = 4_096
_MAX_ENTRIES: Final = 4_096
"""More, and libtiff takes the place for no directory."""
_TYPE_BYTES: Final = dict(
    zip((*range(1, 14), 16, 17, 18), (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 8, 8, 8), strict=True)
)
_TEXT: Final = frozenset({2})
_WIDTH, _HEIGHT, _SAMPLES, _ROWS_A_STRIP, _PLANES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 277, 278, 284, 322, 323
_GDAL_METADATA: Final = 42_112
_INDEX: Final = frozenset({273, 279, 324, 325})
"""StripOffsets, StripByteCounts, TileOffsets, TileByteCounts."""
_NAMES: Final = {270: "ImageDescription", 305: "Software", 315: "Artist", 33_432: "Copyright", 42_112: "GDAL_METADATA"}
_SEPARATE: Final = 2
_COMPRESSION: Final = 259
_JPEG2000: Final = frozenset({33_003, 33_004, 33_005, 34_712})
"""Compressions: Aperio's and Leica's three, and libtiff's COMPRESSION_JP2000."""
_JPEG2000_FILES: Final = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
"""How a JP2 file and a bare codestream begin (ISO/IEC 15444-1, I.5.1 and A.4.1)."""

ReadRange = Callable[[int, int], bytes]
"""Gives the bytes from ``start`` up to ``stop`` of a file; fewer where it ends before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One tag of a directory: what kind, how much, and its value if that is one small number."""

    tag: int
    kind: int
    """TIFF's type of the values."""
    count: int
    size: int
    """Bytes of all values."""
    end: int | None
    """Where they end in the file; None where they stand in the entry itself."""
    value: int | None
    """The first value of an entry that holds whole numbers itself."""


@dataclass(kw_only=True)
class _Window:
    """Bytes of a file, fetched a window at a time."""

    read: ReadRange
    size: int
    start: int = 0
    held: bytes = field(default=b"")

    def bytes(self, start: int, length: int) -> bytes:
        """Give ``length`` bytes, or fewer where the file ends."""
        stop = min(start + length, self.size)
        if stop <= start:
            return b""
        if not (self.start <= start and stop <= self.start + len(self.held)):
            ahead = FIRST_BYTES if start == 0 else _NEXT_BYTES
            self.held = self.read(start, min(max(stop, start + ahead), self.size))
            self.start = start
        return self.held[start - self.start : stop - self.start]


def look(source: CogSource, objects: Ranges | None) -> None:
    """Refuse a file that GDAL should not open: see ``check_directories``.

    An object is read as it was when it was found (its ETag). Raises SceneError, also ``source-forbidden``, and
    TransientError.
    """
    if not is_remote(source):
        _look_here(source)
        return
    if objects is None or source.etag is None:
        msg = f"{source.uri} cannot be looked at: no objects were given, or no ETag"
        raise RuntimeError(msg)
    etag, uri = source.etag, f"s3://{source.path.removeprefix('/vsis3/')}"
    try:
        check_directories(
            lambda start, stop: objects.get_range(uri, start=start, stop=stop, etag=etag),
            size=source.size,
            uri=source.uri,
        )
    except ObjectForbiddenError as error:
        raise forbidden(source) from error
    except ObjectMissingError as error:
        msg = f"{source.uri} was replaced or deleted while it was planned. It is tried again."
        raise TransientError(msg) from error


def _look_here(source: CogSource) -> None:
    """Look at a file on this machine; what cannot be opened, GDAL explains."""
    try:
        file = Path(source.path).open("rb")  # noqa: SIM115 - closed below; only opening may fail here
    except OSError:
        return
    with file:

        def read(start: int, stop: int) -> bytes:
            file.seek(start)
            return file.read(stop - start)

        check_directories(read, size=source.size, uri=source.uri)


def check_directories(read: ReadRange, *, size: int, uri: str) -> None:
    """Look at the directories of a TIFF of ``size`` bytes; ``uri`` names it in messages.

    What is no TIFF, or ends inside its directory, passes: GDAL says so itself. Only JPEG 2000 is told, with or without
    a TIFF around it: no driver that we let GDAL use reads it. Raises SceneError (``tags-too-large``,
    ``too-many-directories``, ``truncated``, ``jpeg2000``), and what ``read`` raises.
    """
    number = -1
    for number, entries in enumerate(directories(read, size=size)):
        if number == 0 and any(entry.tag == _COMPRESSION and entry.value in _JPEG2000 for entry in entries):
            raise _jpeg2000(uri)
        if number >= MAX_DIRECTORIES:
            msg = (
                f"{uri} has more than {MAX_DIRECTORIES} directories (images, overviews, masks). Deliver one image a"
                " file, as a Cloud Optimized GeoTIFF."
            )
            raise SceneError(msg, reason="too-many-directories")
        for entry in entries:
            _check_length(entry, uri)
            if number == 0 and entry.end is not None and entry.end > size:
                msg = (
                    f"{uri}: its directory names tags beyond the end of the file (tag {_called(entry.tag)} ends at byte"
                    f" {entry.end}, the object has {size}). Deliver the whole file again."
                )
                raise SceneError(msg, reason="truncated")
        _check_index(entries, uri)
    if number < 0 and size > 0 and read(0, min(size, 12)).startswith(_JPEG2000_FILES):
        raise _jpeg2000(uri)


def _jpeg2000(uri: str) -> SceneError:
    msg = (
        f"{uri} is JPEG 2000, which is not read here. Convert it without loss:"
        " `gdal_translate -of COG -co COMPRESS=DEFLATE IN OUT.tif`."
    )
    return SceneError(msg, reason="jpeg2000")


def directories(read: ReadRange, *, size: int) -> Iterator[list[Entry]]:
    """Go through a TIFF's directories, in their order; a chain that comes back to itself ends there."""
    window = _Window(read=read, size=size)
    head = window.bytes(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:  # noqa: PLR2004 - the shortest header
        return
    version = struct.unpack(f"{order}H", head[2:4])[0]
    if version == 42:  # noqa: PLR2004 - TIFF
        place, form = struct.unpack(f"{order}I", head[4:8])[0], _Form(order=order, big=False)
    elif version == 43 and len(head) == 16:  # noqa: PLR2004 - BigTIFF
        place, form = struct.unpack(f"{order}Q", head[8:16])[0], _Form(order=order, big=True)
    else:
        return
    seen: set[int] = set()
    while place and place not in seen and place < size:
        seen.add(place)
        if (found := form.directory(window, place)) is None:
            return
        entries, place = found
        yield entries


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """How numbers lie in the file."""

    order: str
    """struct's sign of the byte order."""
    big: bool
    """Whether it is a BigTIFF, with 8 bytes where TIFF has 4."""

    def directory(self, window: _Window, place: int) -> tuple[list[Entry], int] | None:
        """Read the directory at ``place``, and where the next one lies; None if the file ends within."""
        start = 8 if self.big else 2
        number = window.bytes(place, start)
        if len(number) < start:
            return None
        (count,) = struct.unpack(f"{self.order}{'Q' if self.big else 'H'}", number)
        each, link = (20, 8) if self.big else (12, 4)
        if count > _MAX_ENTRIES:
            return None
        body = window.bytes(place + start, count * each + link)
        if len(body) < count * each:
            return None
        entries = [self._entry(body[at : at + each]) for at in range(0, count * each, each)]
        last = body[count * each :]
        following = struct.unpack(f"{self.order}{'Q' if self.big else 'I'}", last)[0] if len(last) == link else 0
        return [entry for entry in entries if entry], following

    def _entry(self, raw: bytes) -> Entry | None:
        """Read an entry; None where its type is not known, so that libtiff passes over it."""
        wide = "Q" if self.big else "I"
        tag, kind, count = struct.unpack(f"{self.order}HH{wide}", raw[: 12 if self.big else 8])
        if (each := _TYPE_BYTES.get(kind)) is None:
            return None
        own = raw[12 if self.big else 8 :]
        size = each * count
        end = None if size <= len(own) else struct.unpack(f"{self.order}{wide}", own)[0] + size
        letter = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        value = struct.unpack(f"{self.order}{letter}", own[:each])[0] if letter and end is None and count else None
        return Entry(tag=tag, kind=kind, count=count, size=size, end=end, value=value)


def _check_length(entry: Entry, uri: str) -> None:
    if entry.tag in _INDEX:
        return
    most = MAX_TEXT_BYTES if entry.kind in _TEXT or entry.tag in {270, _GDAL_METADATA} else MAX_TAG_BYTES
    if entry.size > most:
        msg = (
            f"{uri}: its tag {_called(entry.tag)} has {entry.size} bytes; the limit is {most}. Write the file again"
            " without it (gdal_translate copies the pixels; -nomd leaves metadata out)."
        )
        raise SceneError(msg, reason="tags-too-large")


def _check_index(entries: list[Entry], uri: str) -> None:
    """Refuse a long index of blocks that the declared size does not explain. How many blocks there may be is checked in
    the open file.
    """
    values = {entry.tag: entry.value for entry in entries}
    width, height = values.get(_WIDTH) or 1, values.get(_HEIGHT) or 1
    block_width = values.get(_TILE_WIDTH) or width
    block_height = values.get(_TILE_HEIGHT) or min(values.get(_ROWS_A_STRIP) or height, height)
    planes = (values.get(_SAMPLES) or 1) if values.get(_PLANES) == _SEPARATE else 1
    blocks = -(-width // block_width) * -(-height // block_height) * planes
    for entry in entries:
        if entry.tag in _INDEX and entry.count > blocks and entry.size > MAX_TAG_BYTES:
            msg = (
                f"{uri}: its index lists {entry.count} blocks, {width} x {height} px in blocks of {block_width} x"
                f" {block_height} px have {blocks}. The file is damaged; deliver it again."
            )
            raise SceneError(msg, reason="tags-too-large")


def _called(tag: int) -> str:
    return _NAMES.get(tag, str(tag))
