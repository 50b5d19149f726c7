"""Jobs and batches along the COG's own blocks.

Within a job every block is decoded once, across jobs as few as possible are decoded again.

A job is a rectangle of chips whose pixels are held in memory together; a batch is a run of a job's chips. The
rectangles of all jobs form a table: the same column borders in every row of jobs. Then the blocks of a band that are
decoded are (sum over the row bands of jobs of block rows touched) x (the same for columns), and each axis can be cut by
itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from clayline.chips.axis import Cut, lay_axis, lengths_of
from clayline.chips.cog import Affine, CogHeader
from clayline.chips.grid import ChipGrid, ChipWindow

CENTRE_TOLERANCE = 1e-6
"""Pixels. A centre this close before a border between source pixels is there by rounding: it counts as the pixel after
the border."""

SWIFT_JOB_BYTES = 128_000_000
"""Jobs stay about this small where that costs few blocks: memory that a process touches first is slow, and smaller jobs
are more of them side by side."""

MOST_REPEATED = 0.25
"""Share of blocks that may be decoded again to have more jobs side by side (docs/architecture.md, Blocks and jobs)."""

TYPICAL_SIDE = 10_980
"""Pixels, a Sentinel-2 tile's. A larger scene has more jobs, and no larger ones."""


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
    where a single chip needs more than the budget, jobs are single chips. A scene larger than TYPICAL_SIDE has no
    larger jobs than a part of it of that size has: its edges, where nothing is repeated, weigh less, and larger jobs
    would make up for that, so that memory grew with the scene. How jobs are cut: ``_cheapest``.
    """
    if min(bytes_per_pixel, memory_budget, chips_per_batch, len(blocks)) < 1:
        msg = "lay_jobs needs at least one band and positive sizes"
        raise ValueError(msg)
    limit, typical = memory_budget, _typical(grid, blocks)
    if typical != grid:
        high, wide = _cheapest(typical, blocks, bytes_per_pixel, limit, chips_per_batch)
        limit = min(limit, high.longest * wide.longest * bytes_per_pixel)
    high, wide = _cheapest(grid, blocks, bytes_per_pixel, limit, chips_per_batch)
    rectangles = [(r0, r1, c0, c1) for r0, r1 in pairwise(high.at) for c0, c1 in pairwise(wide.at)]
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


def _typical(grid: ChipGrid, blocks: Sequence[BlockGrid]) -> ChipGrid:
    """Give the grid's upper-left part of TYPICAL_SIDE, or of a block where that is larger: a strip is read whole."""
    height = max(TYPICAL_SIDE, *(ceil(block.height * block.scale_y) for block in blocks))
    width = max(TYPICAL_SIDE, *(ceil(block.width * block.scale_x) for block in blocks))
    return replace(grid, height=min(grid.height, height), width=min(grid.width, width))


def _cheapest(
    grid: ChipGrid, blocks: Sequence[BlockGrid], bytes_per_pixel: int, memory_budget: int, chips_per_batch: int
) -> tuple[Cut, Cut]:
    """Give the cuts of rows and columns that cost least, of those whose jobs fit ``memory_budget`` or are single chips.

    Chips on a lattice do not end with blocks, so that each border between jobs decodes a row of blocks twice, and more
    jobs mean more of that. Of the cuts that repeat at most MOST_REPEATED, those win whose largest job fits into the
    scene often enough: as often as a job of SWIFT_JOB_BYTES, or of two batches of ``chips_per_batch`` chips each. Among
    equals it is the one with the fewest blocks, then jobs below SWIFT_JOB_BYTES, then the fewest batches, the fewest
    jobs, and the smallest. Where none repeats so little, blocks alone count. Several heights and widths of a job are
    tried, among them the tallest that fit.
    """
    rows = lay_axis([grid.row(at) for at in range(grid.rows)], grid.size, grid.height, [block.rows for block in blocks])
    cols = lay_axis([grid.col(at) for at in range(grid.cols)], grid.size, grid.width, [block.cols for block in blocks])
    all_rows, all_cols = rows.blocks([0, grid.rows]), cols.blocks([0, grid.cols])
    heights = [
        Cut.of(rows, rows.cut(grid.height, all_cols, most=most))
        for most in lengths_of(grid.rows, grid.size, [block.height * block.scale_y for block in blocks])
    ]
    widths = [
        Cut.of(cols, cols.cut(grid.width, all_rows, most=most))
        for most in lengths_of(grid.cols, grid.size, [block.width * block.scale_x for block in blocks])
    ]
    scene_bytes = grid.height * grid.width * bytes_per_pixel
    enough = min(len(grid) // (2 * chips_per_batch), scene_bytes // SWIFT_JOB_BYTES)
    bearable = (1 + MOST_REPEATED) * int(all_rows @ all_cols)

    def rank(high: Cut, wide: Cut) -> tuple[int, ...]:
        decoded, largest = int(high.blocks @ wide.blocks), high.longest * wide.longest * bytes_per_pixel
        weighed = (0, -min(enough, scene_bytes // largest)) if decoded <= bearable else (decoded, 0)
        batches = sum(
            down * across * ceil(height * width / chips_per_batch)
            for height, down in high.lengths.items()
            for width, across in wide.lengths.items()
        )
        count = (len(high.at) - 1) * (len(wide.at) - 1)
        return (*weighed, decoded, max(largest, SWIFT_JOB_BYTES), batches, count, largest)

    found: list[tuple[tuple[int, ...], list[int], list[int], Cut, Cut]] = []
    for wide in widths:
        limits = [budget // (bytes_per_pixel * wide.longest) for budget in (SWIFT_JOB_BYTES, memory_budget)]
        tallest = [Cut.of(rows, rows.cut(limit, wide.blocks)) for limit in limits if limit <= limits[-1]]
        found += [
            (rank(high, wide), high.at, wide.at, high, wide)
            for high in (*heights, *tallest)
            if high.longest <= limits[-1] or max((*high.lengths, *wide.lengths)) == 1
        ]
    *_, high, wide = min(found, key=lambda each: each[:3])
    return high, wide


def _source_pixels(pixels: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
    return np.floor((pixels + 0.5) / scale + CENTRE_TOLERANCE).astype(np.int64)
