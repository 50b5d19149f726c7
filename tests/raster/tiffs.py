"""TIFFs written byte by byte: what no library would write."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Tag = tuple[int, int, bytes]
"""TIFF's type, how many values, and the values' bytes."""
SIDE: Final = 64
PIXELS: Final[NDArray[Any]] = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)


def numbers(order: str, kind: int, *values: float) -> Tag:
    """Give a tag of whole numbers or doubles."""
    letter = {3: "H", 4: "I", 12: "d", 16: "Q"}[kind]
    return kind, len(values), struct.pack(f"{order}{len(values)}{letter}", *values)


def text(content: bytes) -> Tag:
    """Give a tag of text."""
    return 2, len(content) + 1, content + b"\0"


def tiff(
    order: str = "<",
    *,
    big: bool = False,
    at_the_end: bool = False,
    extra: Sequence[Mapping[int, Tag]] = ({},),
    declared: tuple[int, int] = (SIDE, SIDE),
    link: int | None = None,
) -> bytes:
    """Write a north-up image of 64 x 64 uint16 in EPSG:32629, one directory for each of ``extra``, which goes over its
    tags; directories after the first are masks.

    ``declared`` is the width and height that it says it has, ``link`` what the last directory says lies next.
    """
    start = 16 if big else 8
    strip = PIXELS.astype(f"{order}u2").tobytes()
    image_at = start
    body = bytearray(start) + strip
    if at_the_end:
        body += bytes(100_000)
    offset, wide = (8, "Q") if big else (4, "I")
    links = [offset]
    for number, tags in enumerate(extra):
        content: dict[int, Tag] = {
            254: numbers(order, 4, 4 if number else 0),
            256: numbers(order, 4, declared[0]),
            257: numbers(order, 4, declared[1]),
            258: numbers(order, 3, 16),
            259: numbers(order, 3, 1),
            262: numbers(order, 3, 1),
            273: numbers(order, 4, image_at),
            277: numbers(order, 3, 1),
            278: numbers(order, 4, declared[1]),
            279: numbers(order, 4, len(strip)),
            33_550: numbers(order, 12, 10.0, 10.0, 0.0),
            33_922: numbers(order, 12, 0.0, 0.0, 0.0, 600_000.0, 5_000_000.0, 0.0),
            34_735: numbers(order, 3, 1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32_629),
            **tags,
        }
        entries = []
        for tag, (kind, count, data) in sorted(content.items()):
            if len(data) > offset:
                body += bytes(-len(body) % 8)
                place, body = struct.pack(f"{order}{wide}", len(body)), body + data
            else:
                place = data.ljust(offset, b"\0")
            entries.append(struct.pack(f"{order}HH{wide}", tag, kind, count) + place)
        body += bytes(-len(body) % 8)
        directory = len(body)
        body[links[-1] : links[-1] + offset] = struct.pack(f"{order}{wide}", directory)
        body += struct.pack(f"{order}{'Q' if big else 'H'}", len(entries)) + b"".join(entries)
        links.append(len(body))
        body += bytes(offset)
    if link is not None:
        body[links[-1] : links[-1] + offset] = struct.pack(f"{order}{wide}", link)
    first = body[links[0] : links[0] + offset]
    mark = {"<": b"II", ">": b"MM"}[order]
    version = struct.pack(f"{order}HHH", 43, 8, 0) if big else struct.pack(f"{order}H", 42)
    return mark + version + bytes(first) + bytes(body[start:])
