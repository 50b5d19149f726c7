"""One axis of the chip grid, cut between chips with the fewest blocks."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, lcm

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One axis of the chip grid, to be cut between chip positions. Cuts are given as [0, ..., number of positions]."""

    starts: list[int]
    """First pixel inside the scene of the chip at each position."""
    stops: list[int]
    """One after its last pixel inside the scene."""
    first: NDArray[np.int64]
    """[B, positions] block of each band at the chip's first pixel."""
    last: NDArray[np.int64]
    """[B, positions] block at its last pixel."""

    def cut(self, limit: int, weights: NDArray[np.int64], *, most: int | None = None) -> list[int]:
        """Cut into segments of at most ``limit`` pixels (or one chip), and ``most`` chips, with the least weighted
        number of blocks, then the fewest segments.

        A segment from q to p decodes last[p - 1] - first[q] + 1 blocks of a band, a term of p plus a term of q: the
        best cut before p is a minimum over a window that only moves forward, and the whole takes linear time.
        """
        close = (weights @ self.last).tolist()
        reopen = (weights @ (1 - self.first)).tolist()
        best = [(0, 0)]
        came_from = [0]
        offers: deque[tuple[tuple[int, int], int]] = deque()
        for stop in range(1, len(self.starts) + 1):
            offer = (best[-1][0] + reopen[stop - 1], best[-1][1] + 1)
            while offers and offers[-1][0] > offer:
                offers.pop()
            offers.append((offer, stop - 1))
            while offers[0][1] < stop - 1 and (
                self.stops[stop - 1] - self.starts[offers[0][1]] > limit or stop - offers[0][1] > (most or stop)
            ):
                offers.popleft()
            (cost, segments), start = offers[0]
            best.append((cost + close[stop - 1], segments))
            came_from.append(start)
        cuts = [len(self.starts)]
        while cuts[-1]:
            cuts.append(came_from[cuts[-1]])
        return cuts[::-1]

    def blocks(self, cuts: Sequence[int]) -> NDArray[np.int64]:
        """Give for each band the blocks that the segments decode together."""
        starts, stops = np.array(cuts[:-1]), np.array(cuts[1:])
        return np.sum(self.last[:, stops - 1] - self.first[:, starts] + 1, axis=1)

    def widest(self, cuts: Sequence[int]) -> int:
        """Give the pixels of the longest segment."""
        return max(self.stops[stop - 1] - self.starts[start] for start, stop in pairwise(cuts))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """One axis, cut."""

    at: list[int]
    """[0, ..., number of positions]."""
    blocks: NDArray[np.int64]
    """[B] blocks of each band that the segments decode together."""
    longest: int
    """Pixels of the longest segment."""
    lengths: Counter[int]
    """How many segments have how many chips."""

    @classmethod
    def of(cls, axis: Axis, at: list[int]) -> "Cut":
        """Count what the cut makes."""
        lengths = Counter(stop - start for start, stop in pairwise(at))
        return cls(at=at, blocks=axis.blocks(at), longest=axis.widest(at), lengths=lengths)


def lay_axis(
    pixels: Sequence[int], size: int, length: int, blocks: Sequence[Callable[[NDArray[np.int64]], NDArray[np.int64]]]
) -> Axis:
    """Describe chips of ``size`` that start at ``pixels`` on an axis of ``length`` pixels."""
    first = np.array(pixels, np.int64)
    starts, stops = np.maximum(first, 0), np.minimum(first + size, length)
    return Axis(
        starts=starts.tolist(),
        stops=stops.tolist(),
        first=np.array([block(starts) for block in blocks]),
        last=np.array([block(stops - 1) for block in blocks]),
    )


def lengths_of(positions: int, size: int, blocks: Sequence[float]) -> list[int]:
    """Offer lengths of a job on one axis, in chips.

    Divisions of the axis into equal parts, from eight parts on each a quarter more of them, and each length rounded up
    to the common multiple of the ``blocks``' pixels.
    """
    common = lcm(size, *(round(pixels) or 1 for pixels in blocks)) // size
    lengths, parts = set(), 1
    while parts <= positions:
        equal = ceil(positions / parts)
        lengths |= {equal, min(positions, ceil(equal / common) * common)}
        parts += max(1, parts // 4)
    return sorted(lengths | {1})
