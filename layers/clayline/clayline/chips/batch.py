"""Jobs and batches along the COG's own blocks.

Within a job every block is decoded once, across jobs as few as possible are decoded again.

A job is a rectangle of chips whose pixels are held in memory together; a batch is a run of a job's chips. The
rectangles of all jobs form a table: the same column borders in every row of jobs. Then the blocks of a band that are
decoded are (sum over the row bands of jobs of block rows touched) x (the same for columns), and each axis can be cut by
itself.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, lcm

import numpy as np
from numpy.typing import NDArray

from clayline.chips.cog import Affine, CogHeader
from clayline.chips.grid import ChipGrid, ChipWindow

CENTRE_TOLERANCE = 1e-6
"""Pixels. A centre this close before a border between source pixels is there by rounding: it counts as the pixel after
the border."""

SWIFT_JOB_BYTES = 128_000_000
"""Jobs stay below this where that costs no block: memory that a process touches first is slow, and larger jobs touch
more of it."""

MOST_REPEATED = 0.25
"""Share of blocks that may be decoded again to have enough jobs side by side (docs/benchmarks.md)."""

_SIZES = 11
"""Sizes of a job that are tried, each the larger one over the root of two: the memory budget to a 32nd of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockGrid:
    """One band's blocks, seen from the scene's finest grid.

    The band is taken to start at the scene's upper-left corner.
    """

    height: int
    """Rows of a block, pixels of the band."""
    width: int
    """Columns of a block, pixels of the band."""
    scale_y: float = 1.0
    """Finest pixels in one pixel of the band, downwards: a 20 m band over a 10 m grid has 2."""
    scale_x: float = 1.0
    """The same to the right."""

    def rows(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the block row that the centre of each finest pixel row falls into."""
        return _source_pixels(pixels, self.scale_y) // self.height

    def cols(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the block column that the centre of each finest pixel column falls into."""
        return _source_pixels(pixels, self.scale_x) // self.width


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A rectangle of chip positions whose pixels are read and held together."""

    number: int
    row_start: int
    """First chip row."""
    row_stop: int
    """One after the last chip row."""
    col_start: int
    """First chip column."""
    col_stop: int
    """One after the last chip column."""

    @property
    def chips(self) -> int:
        """Number of chips."""
        return (self.row_stop - self.row_start) * (self.col_stop - self.col_start)

    def windows(self, grid: ChipGrid) -> tuple[ChipWindow, ...]:
        """Give the job's windows row by row, so that their indices ascend."""
        return tuple(
            grid.window(row * grid.cols + col)
            for row in range(self.row_start, self.row_stop)
            for col in range(self.col_start, self.col_stop)
        )

    def pixel_window(self, grid: ChipGrid) -> tuple[int, int, int, int]:
        """Give (row0, row1, col0, col1), the union of the job's windows clipped to the scene, pixels of the finest
        grid.
        """
        first = grid.window(self.row_start * grid.cols + self.col_start)
        last = grid.window((self.row_stop - 1) * grid.cols + self.col_stop - 1)
        rows, cols = (max(0, first.row), last.row + grid.size), (max(0, first.col), last.col + grid.size)
        return rows[0], min(rows[1], grid.height), cols[0], min(cols[1], grid.width)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A run of a job's chips that travel to the endpoint together."""

    name: str
    """``b00042``, numbered through the plan."""
    job: int
    """The job's number."""
    start: int
    """First chip, counted within the job's windows."""
    stop: int
    """One after the last."""


def block_grid(header: CogHeader, *, finest: Affine) -> BlockGrid:
    """Give a band's blocks as seen from the grid whose transform is ``finest``."""
    return BlockGrid(
        height=header.block_height,
        width=header.block_width,
        scale_y=header.transform[4] / finest[4],
        scale_x=header.transform[0] / finest[0],
    )


def lay_jobs(
    grid: ChipGrid, blocks: Sequence[BlockGrid], *, bytes_per_pixel: int, memory_budget: int, chips_per_batch: int
) -> tuple[Job, ...]:
    """Cut the grid into jobs whose pixels fit ``memory_budget``, weighing blocks decoded twice against jobs.

    ``bytes_per_pixel`` counts all bands on the finest grid, so that a job needs height x width x bytes_per_pixel bytes;
    where a single chip needs more than the budget, jobs are single chips. Chips on a lattice do not end with blocks, so
    that each border between jobs decodes a row of blocks twice, and more jobs mean more of that. Of the cuts that
    repeat at most MOST_REPEATED, those with enough jobs win: two batches of ``chips_per_batch`` chips each, or half of
    SWIFT_JOB_BYTES, whichever are fewer. Among equals it is the one with the fewest blocks, then jobs below
    SWIFT_JOB_BYTES, then the fewest batches, then the fewest jobs. Several sizes and widths of a job are tried; for
    each, both axes are cut with the fewest blocks.
    """
    if min(bytes_per_pixel, memory_budget, chips_per_batch, len(blocks)) < 1:
        msg = "lay_jobs needs at least one band and positive sizes"
        raise ValueError(msg)
    rows = _axis([grid.row(at) for at in range(grid.rows)], grid.size, grid.height, [block.rows for block in blocks])
    cols = _axis([grid.col(at) for at in range(grid.cols)], grid.size, grid.width, [block.cols for block in blocks])
    enough = min(
        ceil(len(grid) / (2 * chips_per_batch)), ceil(2 * grid.height * grid.width * bytes_per_pixel / SWIFT_JOB_BYTES)
    )
    bearable = (1 + MOST_REPEATED) * int(rows.blocks([0, grid.rows]) @ cols.blocks([0, grid.cols]))
    ranked: list[tuple[tuple[int, ...], list[int], list[int]]] = []
    swift = min(SWIFT_JOB_BYTES, memory_budget)
    for budget in sorted({swift, *(int(memory_budget / 2 ** (step / 2)) for step in range(_SIZES))}):
        for chips in _widths(grid, blocks):
            col_cuts = cols.cut(chips * grid.size, rows.blocks([0, grid.rows]), most=chips)
            row_limit = budget // (bytes_per_pixel * cols.widest(col_cuts))
            row_cuts = rows.cut(row_limit, cols.blocks(col_cuts))
            if chips > 1 and rows.widest(row_cuts) > row_limit:
                continue
            decoded = int(rows.blocks(row_cuts) @ cols.blocks(col_cuts))
            sizes = [(r1 - r0) * (c1 - c0) for r0, r1 in pairwise(row_cuts) for c0, c1 in pairwise(col_cuts)]
            batches = sum(ceil(size / chips_per_batch) for size in sizes)
            weighed = (0, -min(enough, len(sizes))) if decoded <= bearable else (decoded, 0)
            ranked.append(((*weighed, decoded, max(budget, swift), batches, len(sizes)), row_cuts, col_cuts))
    _, row_cuts, col_cuts = min(ranked)
    rectangles = [(r0, r1, c0, c1) for r0, r1 in pairwise(row_cuts) for c0, c1 in pairwise(col_cuts)]
    return tuple(
        Job(number=number, row_start=r0, row_stop=r1, col_start=c0, col_stop=c1)
        for number, (r0, r1, c0, c1) in enumerate(rectangles)
    )


def lay_batches(jobs: Sequence[Job], chips_per_batch: int) -> tuple[Batch, ...]:
    """Cut each job's chips into the fewest batches of at most ``chips_per_batch``, of sizes that differ by one chip at
    most.
    """
    batches: list[Batch] = []
    for job in jobs:
        count = ceil(job.chips / chips_per_batch)
        borders = [job.chips * part // count for part in range(count + 1)]
        batches += [
            Batch(name=f"b{number:05d}", job=job.number, start=start, stop=stop)
            for number, (start, stop) in enumerate(pairwise(borders), start=len(batches))
        ]
    return tuple(batches)


def repeated_fraction(jobs: Sequence[Job], grid: ChipGrid, blocks: Sequence[BlockGrid]) -> float:
    """Give the number of block decodings beyond the first of each block, over the number of distinct blocks decoded,
    all bands together.
    """
    decoded = distinct = 0
    for block in blocks:
        seen = np.zeros(
            (int(block.rows(np.array([grid.height - 1]))[0]) + 1, int(block.cols(np.array([grid.width - 1]))[0]) + 1),
            np.bool_,
        )
        for job in jobs:
            row0, row1, col0, col1 = job.pixel_window(grid)
            top, bottom = block.rows(np.array([row0, row1 - 1]))
            left, right = block.cols(np.array([col0, col1 - 1]))
            part = seen[top : bottom + 1, left : right + 1]
            decoded += part.size
            part[...] = True
        distinct += int(np.count_nonzero(seen))
    return (decoded - distinct) / distinct


@dataclass(frozen=True, kw_only=True, slots=True)
class _Axis:
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


def _axis(
    pixels: Sequence[int], size: int, length: int, blocks: Sequence[Callable[[NDArray[np.int64]], NDArray[np.int64]]]
) -> _Axis:
    """Describe chips of ``size`` that start at ``pixels`` on an axis of ``length`` pixels."""
    first = np.array(pixels, np.int64)
    starts, stops = np.maximum(first, 0), np.minimum(first + size, length)
    return _Axis(
        starts=starts.tolist(),
        stops=stops.tolist(),
        first=np.array([block(starts) for block in blocks]),
        last=np.array([block(stops - 1) for block in blocks]),
    )


def _widths(grid: ChipGrid, blocks: Sequence[BlockGrid]) -> list[int]:
    """Offer widths of a job in chips.

    Every division of the grid into equal parts, and each rounded up to the blocks' common multiple.
    """
    common = lcm(grid.size, *(round(block.width * block.scale_x) or 1 for block in blocks)) // grid.size
    equal = {ceil(grid.cols / parts) for parts in range(1, grid.cols + 1)}
    return sorted(equal | {min(grid.cols, ceil(chips / common) * common) for chips in equal})


def _source_pixels(pixels: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
    return np.floor((pixels + 0.5) / scale + CENTRE_TOLERANCE).astype(np.int64)
