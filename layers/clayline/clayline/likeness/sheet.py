"""A contact sheet: chips side by side as they look, with what is said of each. Numpy alone: a function can make one."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.letters import letter_size, write

SIDE: Final = 128
"""Pixels of a chip on the sheet."""
MOST: Final = 1_000
"""Chips of a sheet: each is a read of every band that is shown."""
_GAP: Final = 12
_EDGE: Final = 3
_COLUMNS: Final = 6
_PAPER: Final = (250, 249, 246)
_INK: Final = (32, 33, 36)
_FAINT: Final = (96, 98, 102)
_LACKING: Final = (222, 220, 214)
_EDGES: Final = {"like": (34, 139, 84), "unlike": (190, 60, 50), "found": (200, 198, 192)}
_DARKEST, _BRIGHTEST = 2.0, 98.0
"""Percentiles of a scene's pixels on the sheet that become black and white."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A chip on the sheet."""

    pixels: NDArray[np.float32] | None
    """[C, SIDE, SIDE] of one or three bands, in the imagery's numbers; NaN is nodata. None: it could not be read."""
    why: str
    """Why not."""
    scene: str
    """Chips of one scene are stretched alike, so that they can be compared."""
    lines: tuple[str, ...]
    """What stands below it; one that is wider than the chip goes on below, broken after a hyphen where it has one."""
    kind: Literal["like", "unlike", "found"] = "found"


def sheet(chips: Sequence[Shown], *, title: Sequence[str]) -> NDArray[np.uint8]:
    """Draw chips in their order, six a row: [h, w, 3].

    A chip that could not be read stands in its place, with the reason. Raises ValueError for no chip, or over 1,000.
    """
    if not 1 <= len(chips) <= MOST:
        msg = f"a sheet has 1 to {MOST} chips, not {len(chips)}"
        raise ValueError(msg)
    letter, width = letter_size()
    columns = min(_COLUMNS, len(chips))
    wide = SIDE + 2 * _EDGE
    below = [_broken(chip.lines, wide // width) for chip in chips]
    tall = wide + letter * max(map(len, below)) + 4
    across = _GAP + max(columns, 3) * (wide + _GAP)
    lines = [part for line in title for part in wrap(line, max(1, (across - 2 * _GAP) // width))]
    top = _GAP + letter * len(lines) + _GAP
    rows = -(-len(chips) // columns)
    picture = np.empty((top + rows * (tall + _GAP), across, 3), np.uint8)
    picture[:] = _PAPER
    for number, line in enumerate(lines):
        write(picture, line, row=_GAP + number * letter, col=_GAP, colour=_INK if number == 0 else _FAINT)
    limits = _limits(chips)
    for number, (chip, said) in enumerate(zip(chips, below, strict=True)):
        row, col = top + number // columns * (tall + _GAP), _GAP + number % columns * (wide + _GAP)
        picture[row : row + wide, col : col + wide] = _EDGES[chip.kind]
        inner = picture[row + _EDGE : row + _EDGE + SIDE, col + _EDGE : col + _EDGE + SIDE]
        _draw(inner, chip, limits)
        for place, line in enumerate(said):
            write(picture, line, row=row + wide + 2 + place * letter, col=col, colour=_INK if place == 0 else _FAINT)
    return picture


def _broken(lines: Sequence[str], most: int) -> list[str]:
    """Break lines of over ``most`` letters: a name has hyphens and no spaces, and whoever types it off needs it all."""
    found = []
    for line in lines:
        rest = line
        while len(rest) > most:
            at = max(rest.rfind(each, 0, most) for each in "- ") + 1 or most
            found.append(rest[:at].rstrip())
            rest = rest[at:]
        found.append(rest)
    return found


def _draw(inner: NDArray[np.uint8], chip: Shown, limits: dict[str, NDArray[np.float64]]) -> None:
    letter, width = letter_size()
    inner[:] = _LACKING
    if chip.pixels is None:
        for number, line in enumerate(wrap(f"not shown: {chip.why}", (SIDE - 8) // width)[: (SIDE - 8) // letter]):
            write(inner, line, row=4 + number * letter, col=4, colour=_FAINT)
        return
    low, high = limits[chip.scene]
    shown = np.clip((chip.pixels - low[:, None, None]) / (high - low)[:, None, None], 0, 1)
    there = np.isfinite(chip.pixels).all(axis=0)
    colours = np.broadcast_to(shown, (3, *shown.shape[1:])).transpose(1, 2, 0)
    inner[there] = np.rint(255 * colours[there] ** 0.8).astype(np.uint8)


def _limits(chips: Sequence[Shown]) -> dict[str, NDArray[np.float64]]:
    """Give for each scene what is black and what is white: [2, C]."""
    found: dict[str, list[NDArray[Any]]] = {}
    for chip in chips:
        if chip.pixels is not None:
            there = np.isfinite(chip.pixels).all(axis=0)
            found.setdefault(chip.scene, []).append(chip.pixels[:, there])
    limits = {}
    for scene, parts in found.items():
        pixels = np.concatenate(parts, axis=1)
        if not pixels.shape[1]:
            pixels = np.zeros((pixels.shape[0], 1), np.float32)
        ends = np.percentile(pixels, [_DARKEST, _BRIGHTEST], axis=1)
        ends[1] = np.where(ends[1] > ends[0], ends[1], ends[0] + 1)
        limits[scene] = ends
    return limits
