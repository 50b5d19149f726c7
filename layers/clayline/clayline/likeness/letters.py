"""Letters for pictures made where no font is: DejaVu Sans Mono at one size, as ``data/letters.json`` has it."""

import base64
import json
import zlib
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray


@cache
def _letters() -> tuple[int, NDArray[np.uint8]]:
    """Give the code of the first letter, and how opaque each is: [count, height, width]."""
    found: dict[str, Any] = json.loads((files("clayline") / "data" / "letters.json").read_bytes())
    alpha = zlib.decompress(base64.b64decode(found["alpha"]))
    shape = (found["count"], found["height"], found["width"])
    return found["first"], np.frombuffer(alpha, np.uint8).reshape(shape)


def letter_size() -> tuple[int, int]:
    """Give height and width of a letter, pixels."""
    _, height, width = _letters()[1].shape
    return height, width


def write(picture: NDArray[np.uint8], text: str, *, row: int, col: int, colour: tuple[int, int, int]) -> None:
    """Write a line of text into a picture [h, w, 3], its upper left at ``row`` and ``col``.

    What reaches over the picture is cut off; a letter that is not of ASCII is a question mark.
    """
    first, alpha = _letters()
    height, width = letter_size()
    for letter in text:
        at = ord(letter) - first
        glyph = alpha[at] if 0 <= at < len(alpha) else alpha[ord("?") - first]
        area = picture[row : row + height, col : col + width]
        if row < 0 or not area.size:
            return
        share = glyph[: area.shape[0], : area.shape[1], None].astype(np.float32) / 255
        area[:] = np.rint(area * (1 - share) + np.array(colour, np.float32) * share).astype(np.uint8)
        col += width
