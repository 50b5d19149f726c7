"""Nearest neighbour along one axis: which pixels of a file a window of the finest grid takes."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.chips.batch import CENTRE_TOLERANCE

ROWS_AT_A_TIME: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Which pixels of a file a window needs along one axis."""

    inside: slice
    """Part of the window that the file covers."""
    start: int
    """First pixel of the file needed."""
    index: NDArray[np.int64]
    """For each pixel of ``inside`` its pixel in the file, counted from ``start``; ascending from 0."""

    @property
    def length(self) -> int:
        """Pixels of the file needed."""
        return int(self.index[-1]) + 1 if self.index.size else 0

    @property
    def one_to_one(self) -> bool:
        """Whether each pixel of ``inside`` is the file's next."""
        return self.length == self.index.size and bool((np.diff(self.index) == 1).all())

    def covered(self, start: int, stop: int) -> slice:
        """Give the window's pixels that take one of the file's needed pixels [start, stop), counted like ``index``."""
        first, last = np.searchsorted(self.index, [start, stop]).tolist()
        return slice(self.inside.start + first, self.inside.start + last)

    def blocks(self, side: int) -> range:
        """Give the blocks of ``side`` pixels that are touched."""
        return self.blocks_of(0, self.length, side)

    def blocks_of(self, start: int, stop: int, side: int) -> range:
        """Give the blocks that needed pixels [start, stop) touch."""
        return range((self.start + start) // side, (self.start + stop - 1) // side + 1)


def spread(plane: NDArray[Any], rows: NDArray[np.int64], cols: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Lay pixels of ``plane`` [h, w] into ``out``: out[i, j] = plane[rows[i], cols[j]]. ``rows`` ascend.

    Some rows at a time, so that what lies between the two steps stays in the processor's cache. An index in brackets
    would lay rows apart: five times slower.
    """
    for top in range(0, len(rows), ROWS_AT_A_TIME):
        wanted = rows[top : top + ROWS_AT_A_TIME]
        first, last = wanted[0], wanted[-1]
        wide = np.take(plane[first : last + 1], cols, axis=1, mode="clip")
        np.take(wide, wanted - first, axis=0, out=out[top : top + ROWS_AT_A_TIME], mode="clip")


def find_span(start: int, stop: int, scale: float, offset: float, *, length: int, upwards: bool = False) -> Span:
    """Find for finest pixels [start, stop) the file's pixel that contains each centre, floor((pixel + 1/2) * scale +
    offset).

    ``scale`` is a finest pixel's side in the file's pixels, ``offset`` where the finest grid starts in them, ``length``
    their number. ``upwards``: all of them are counted from the other end, and a centre on a border still belongs to the
    same pixel.
    """
    centres = (np.arange(start, stop) + 0.5) * scale + offset
    found = np.ceil(centres - CENTRE_TOLERANCE) - 1 if upwards else np.floor(centres + CENTRE_TOLERANCE)
    pixels = found.astype(np.int64)
    first, last = np.searchsorted(pixels, [0, length]).tolist()
    if first == last:
        return Span(inside=slice(0, 0), start=0, index=pixels[:0])
    return Span(inside=slice(first, last), start=int(pixels[first]), index=pixels[first:last] - pixels[first])
