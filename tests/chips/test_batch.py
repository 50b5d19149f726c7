"""Jobs and batches: every chip once, the memory budget kept, blocks repeated as little as can be."""

from fractions import Fraction
from itertools import combinations, pairwise
from math import ceil, lcm
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clayline.chips.axis import Axis
from clayline.chips.batch import MOST_REPEATED, BlockGrid, Job, block_grid, lay_batches, lay_jobs, repeated_fraction
from clayline.chips.cog import CogHeader
from clayline.chips.grid import ChipGrid

BYTES = 2
COUNTED = settings(deadline=None, max_examples=60)
"""Counting every block takes its time."""


@st.composite
def layouts(draw: st.DrawFn) -> tuple[ChipGrid, list[BlockGrid]]:
    size = draw(st.integers(8, 128))
    starts = st.one_of(st.none(), st.tuples(st.integers(1 - size, 0), st.integers(1 - size, 0)))
    grid = ChipGrid(height=draw(st.integers(1, 400)), width=draw(st.integers(1, 400)), size=size, start=draw(starts))
    blocks = draw(
        st.lists(
            st.builds(
                BlockGrid,
                height=st.integers(1, 200),
                width=st.integers(8, 700),
                scale_y=st.sampled_from([1.0, 2.0, 6.0, 1.5]),
                scale_x=st.sampled_from([1.0, 2.0, 6.0, 1.5]),
            ),
            min_size=1,
            max_size=3,
        )
    )
    return grid, blocks


def touched(first: int, stop: int, scale: float, side: int) -> set[int]:
    """Blocks along one axis, pixel by pixel and in exact arithmetic."""
    up, down = Fraction(scale).as_integer_ratio()
    return {(2 * pixel + 1) * down // (2 * up * side) for pixel in range(first, stop)}


def counted(jobs: tuple[Job, ...], grid: ChipGrid, blocks: list[BlockGrid]) -> float:
    """The repeated fraction, by writing down every block that every job decodes."""
    decoded, distinct = 0, 0
    for block in blocks:
        every: list[tuple[int, int]] = []
        for job in jobs:
            windows = job.windows(grid)
            tops, lefts = {window.row for window in windows}, {window.col for window in windows}
            rows = {
                y
                for top in tops
                for y in touched(max(0, top), min(top + grid.size, grid.height), block.scale_y, block.height)
            }
            cols = {
                x
                for left in lefts
                for x in touched(max(0, left), min(left + grid.size, grid.width), block.scale_x, block.width)
            }
            every += [(y, x) for y in rows for x in cols]
        decoded += len(every)
        distinct += len(set(every))
    return (decoded - distinct) / distinct


@COUNTED
@given(layouts(), st.integers(1, 2_000_000), st.integers(1, 40))
def test_every_chip_is_in_exactly_one_batch(
    layout: tuple[ChipGrid, list[BlockGrid]], budget: int, chips_per_batch: int
) -> None:
    grid, blocks = layout
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=BYTES, memory_budget=budget, chips_per_batch=chips_per_batch)
    batches = lay_batches(jobs, chips_per_batch)
    indices = [window.index for batch in batches for window in jobs[batch.job].windows(grid)[batch.start : batch.stop]]
    assert sorted(indices) == list(range(len(grid)))
    assert all(1 <= batch.stop - batch.start <= chips_per_batch for batch in batches)
    assert [batch.name for batch in batches] == [f"b{number:05d}" for number in range(len(batches))]
    assert [job.number for job in jobs] == list(range(len(jobs)))


@COUNTED
@given(layouts(), st.integers(1, 500_000))
def test_a_job_fits_the_budget_or_is_one_chip(layout: tuple[ChipGrid, list[BlockGrid]], budget: int) -> None:
    grid, blocks = layout
    for job in lay_jobs(grid, blocks, bytes_per_pixel=BYTES, memory_budget=budget, chips_per_batch=16):
        row0, row1, col0, col1 = job.pixel_window(grid)
        windows = job.windows(grid)
        assert (row0, col0) == (max(0, min(w.row for w in windows)), max(0, min(w.col for w in windows)))
        assert (row1, col1) == (
            min(grid.height, max(w.row for w in windows) + grid.size),
            min(grid.width, max(w.col for w in windows) + grid.size),
        )
        assert (row1 - row0) * (col1 - col0) * BYTES <= budget or job.chips == 1


@COUNTED
@given(layouts(), st.integers(1, 300_000))
def test_the_repeated_fraction_is_what_counting_gives(layout: tuple[ChipGrid, list[BlockGrid]], budget: int) -> None:
    grid, blocks = layout
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=BYTES, memory_budget=budget, chips_per_batch=16)
    assert repeated_fraction(jobs, grid, blocks) == pytest.approx(counted(jobs, grid, blocks))


@COUNTED
@given(layouts(), st.data())
def test_a_tenth_at_most_where_a_job_may_hold_ten_block_rows(
    layout: tuple[ChipGrid, list[BlockGrid]], data: st.DataObject
) -> None:
    grid, blocks = layout
    tallest = max(ceil(block.height * block.scale_y) for block in blocks)
    chip_rows = max(2, ceil(10 * tallest / grid.size)) + data.draw(st.integers(0, 3))
    budget = chip_rows * grid.size * grid.width * BYTES
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=BYTES, memory_budget=budget, chips_per_batch=16)
    assert counted(jobs, grid, blocks) <= 0.1


@COUNTED
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(8, 32),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(0, 7),
    st.data(),
)
def test_aligned_chips_repeat_nothing_but_what_the_shifted_last_row_and_column_must(
    rows: int, cols: int, size: int, multiples: list[int], cut_off: int, data: st.DataObject
) -> None:
    grid = ChipGrid(height=rows * size - cut_off, width=cols * size - cut_off, size=size)
    blocks = [BlockGrid(height=size * k, width=size * k) for k in multiples]
    common = lcm(*multiples)
    budget = (common * size) ** 2 * BYTES * data.draw(st.integers(1, 6))
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=BYTES, memory_budget=budget, chips_per_batch=16)
    borders_of_common_blocks = tuple(
        Job(number=0, row_start=r, row_stop=min(r + common, rows), col_start=c, col_stop=min(c + common, cols))
        for r in range(0, rows, common)
        for c in range(0, cols, common)
    )
    repeated = counted(jobs, grid, blocks)
    assert repeated <= counted(borders_of_common_blocks, grid, blocks)
    assert cut_off or repeated == 0


@COUNTED
@given(st.integers(1, 200), st.integers(26, 60), st.integers(1, 90), st.integers(1, 90), st.integers(10, 300))
def test_no_other_cut_of_one_column_repeats_less(height: int, size: int, side: int, other: int, limit: int) -> None:
    grid = ChipGrid(height=height, width=1, size=size)
    blocks = [BlockGrid(height=side, width=1), BlockGrid(height=other, width=1)]
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=1, memory_budget=limit, chips_per_batch=1000)
    best = None
    for count in range(grid.rows):
        for inner in combinations(range(1, grid.rows), count):
            layout = tuple(
                Job(number=0, row_start=start, row_stop=stop, col_start=0, col_stop=1)
                for start, stop in pairwise((0, *inner, grid.rows))
            )
            spans = [job.pixel_window(grid) for job in layout]
            if all(
                stop - start <= limit or job.chips == 1 for job, (start, stop, _, _) in zip(layout, spans, strict=True)
            ):
                rank = (counted(layout, grid, blocks), len(layout))
                best = rank if best is None else min(best, rank)
    if best is not None:
        assert counted(jobs, grid, blocks) == pytest.approx(best[0])
        assert len(jobs) == best[1]


def test_a_sentinel_2_scene_is_cut_where_blocks_of_10_and_20_m_bands_end_together() -> None:
    grid = ChipGrid(height=10_980, width=10_980, size=256)
    blocks = [BlockGrid(height=1024, width=1024), BlockGrid(height=1024, width=1024, scale_y=2, scale_x=2)]
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=20, memory_budget=400_000_000, chips_per_batch=64)
    windows = [job.pixel_window(grid) for job in jobs]
    assert all((row1 - row0) * (col1 - col0) * 20 <= 128_000_000 for row0, row1, col0, col1 in windows)
    assert all(row0 % 2048 == 0 and col0 % 2048 == 0 for row0, _, col0, _ in windows)
    assert repeated_fraction(jobs, grid, blocks) == 0


def test_strips_are_not_cut_across() -> None:
    grid = ChipGrid(height=4000, width=4000, size=256)
    jobs = lay_jobs(
        grid, [BlockGrid(height=16, width=4000)], bytes_per_pixel=2, memory_budget=20_000_000, chips_per_batch=64
    )
    assert {(job.col_start, job.col_stop) for job in jobs} == {(0, grid.cols)}
    assert len(jobs) > 1
    assert repeated_fraction(jobs, grid, [BlockGrid(height=16, width=4000)]) == 0


@pytest.mark.parametrize("start", [None, (-100, -77)])
def test_strips_of_a_very_wide_scene_are_not_cut_across(start: tuple[int, int] | None) -> None:
    """Its typical part is as wide as its strips."""
    grid, blocks = ChipGrid(height=20_000, width=40_000, size=256, start=start), [BlockGrid(height=16, width=40_000)]
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=20, memory_budget=512_000_000, chips_per_batch=64)
    assert {(job.col_start, job.col_stop) for job in jobs} == {(0, grid.cols)}
    assert len(jobs) > 1


def test_a_bands_blocks_are_seen_from_the_finest_grid() -> None:
    header = CogHeader(
        geographic=False,
        width=549,
        height=549,
        band_count=1,
        dtype="uint16",
        crs="EPSG:32629",
        epsg=32629,
        transform=(20.0, 0.0, 0.0, 0.0, -20.0, 0.0),
        nodata=0.0,
        block_height=512,
        block_width=256,
        pixel_interleaved=False,
        sparse=False,
        descriptions=(None,),
        tags={},
        pixel_size_m=20.0,
    )
    assert block_grid(header, finest=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0)) == BlockGrid(
        height=512, width=256, scale_y=2.0, scale_x=2.0
    )


SENTINEL, MIXED = (
    [BlockGrid(height=512, width=512)],
    [
        BlockGrid(height=512, width=512),
        BlockGrid(height=512, width=512, scale_y=2, scale_x=2),
    ],
)
LANDSAT = [BlockGrid(height=256, width=256)]
GIVEN = {"memory_budget": 512_000_000, "chips_per_batch": 64}
PHASES = [(-100, -77), (-1, -255), (-128, -200)]
"""Chips of 256 px that nowhere end with a block of 256 or 512 px."""


def sizes(jobs: tuple[Job, ...], grid: ChipGrid) -> list[int]:
    """Give the pixels of each job."""
    return [(row1 - row0) * (col1 - col0) for row0, row1, col0, col1 in (job.pixel_window(grid) for job in jobs)]


@pytest.mark.parametrize(
    ("side", "blocks", "bytes_per_pixel", "jobs", "repeated", "megabytes"),
    [
        (10_980, SENTINEL, 20, (12, 33), 0.25, 220),
        (10_980, MIXED, 20, (9, 33), 0.25, 300),
        (7_800, LANDSAT, 12, (6, 8), 0.1, 140),
        (7_800, SENTINEL, 12, (6, 8), 0.2, 140),
    ],
)
@pytest.mark.parametrize("start", PHASES)
def test_the_lattices_price_is_bounded(
    side: int,
    blocks: list[BlockGrid],
    bytes_per_pixel: int,
    jobs: tuple[int, int],
    repeated: float,
    megabytes: int,
    start: tuple[int, int],
) -> None:
    """docs/benchmarks.md, The lattice's price: jobs, repeats and sizes; aligned, nothing is repeated."""
    aligned = ChipGrid(height=side, width=side, size=256)
    whole = lay_jobs(aligned, blocks, bytes_per_pixel=bytes_per_pixel, **GIVEN)
    assert (len(whole), repeated_fraction(whole, aligned, blocks)) == (jobs[1], 0)
    lattice = ChipGrid(height=side, width=side, size=256, start=start)
    cut = lay_jobs(lattice, blocks, bytes_per_pixel=bytes_per_pixel, **GIVEN)
    assert len(cut) == jobs[0]
    assert repeated_fraction(cut, lattice, blocks) <= repeated
    assert max(sizes(cut, lattice)) * bytes_per_pixel <= megabytes * 1e6
    assert min(sizes(cut, lattice)) >= max(sizes(cut, lattice)) / 2, "a sliver is no job beside the others"


@pytest.mark.parametrize("start", [(-25, -20), (-1, -63), (-32, -50)])
def test_small_chips_on_a_lattice_repeat_few_blocks(start: tuple[int, int]) -> None:
    """The starter's 64 px chips, three bands, on a Landsat frame."""
    aligned, lattice = (ChipGrid(height=7_800, width=7_800, size=64, start=at) for at in (None, start))
    whole, cut = (lay_jobs(grid, LANDSAT, bytes_per_pixel=6, **GIVEN) for grid in (aligned, lattice))
    assert repeated_fraction(whole, aligned, LANDSAT) == 0
    assert repeated_fraction(cut, lattice, LANDSAT) <= 0.1
    assert len(cut) >= len(whole) / 2
    assert max(sizes(cut, lattice)) * 6 <= 128e6


@pytest.mark.parametrize(("side", "blocks"), [(10_980, SENTINEL), (7_800, LANDSAT), (7_800, SENTINEL)])
@pytest.mark.parametrize("start", PHASES)
@pytest.mark.parametrize("bytes_per_pixel", [6, 12, 20, 60])
def test_no_partition_into_equal_jobs_repeats_much_less(
    side: int, blocks: list[BlockGrid], start: tuple[int, int], bytes_per_pixel: int
) -> None:
    """docs/architecture.md, Blocks and jobs: n x n blocks are decoded (n - 1 + sqrt(jobs))^2 times at least."""
    grid = ChipGrid(height=side, width=side, size=256, start=start)
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=bytes_per_pixel, **GIVEN)
    across = ceil(side / blocks[0].width)
    least = ((across - 1 + len(jobs) ** 0.5) / across) ** 2 - 1
    assert least - 1e-9 <= repeated_fraction(jobs, grid, blocks) <= least + 0.035


@settings(deadline=None, max_examples=25)
@given(
    st.one_of(st.none(), st.tuples(st.integers(-255, 0), st.integers(-255, 0))),
    st.sampled_from([SENTINEL, MIXED, LANDSAT, [BlockGrid(height=1024, width=1024)]]),
    st.sampled_from([6, 12, 20]),
    st.integers(10_981, 40_000),
)
@example((-100, -77), MIXED, 20, 40_000)
@example(None, SENTINEL, 20, 40_000)
def test_jobs_of_a_larger_scene_are_no_larger(
    start: tuple[int, int] | None, blocks: list[BlockGrid], bytes_per_pixel: int, side: int
) -> None:
    """Memory of tile follows the largest job: it must not grow with the scene beyond a Sentinel-2 tile's."""
    tile, large = (ChipGrid(height=length, width=length, size=256, start=start) for length in (10_980, side))
    usual, cut = (lay_jobs(grid, blocks, bytes_per_pixel=bytes_per_pixel, **GIVEN) for grid in (tile, large))
    assert max(sizes(cut, large)) <= max(sizes(usual, tile))


@pytest.mark.parametrize(("blocks", "repeated"), [(SENTINEL, 0.33), (MIXED, 0.33), (LANDSAT, 0.19)])
@pytest.mark.parametrize("start", PHASES)
def test_a_very_large_scene_repeats_at_most_a_third(
    blocks: list[BlockGrid], repeated: float, start: tuple[int, int]
) -> None:
    """docs/architecture.md, Blocks and jobs: the price of jobs that do not grow with the scene."""
    grid = ChipGrid(height=40_000, width=40_000, size=256, start=start)
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=20, **GIVEN)
    assert repeated_fraction(jobs, grid, blocks) <= repeated


def test_a_scene_of_ten_million_chips_is_cut_in_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = ChipGrid(height=200_000, width=200_000, size=64, start=(-3, -5))
    tries: list[int] = []
    cut = Axis.cut

    def counted_cut(axis: Axis, *limits: Any, **most: Any) -> list[int]:
        tries.append(len(axis.starts))
        return cut(axis, *limits, **most)

    monkeypatch.setattr(Axis, "cut", counted_cut)
    lay_jobs(grid, SENTINEL, bytes_per_pixel=6, memory_budget=512_000_000, chips_per_batch=1024)
    assert 0 < len(tries) < 300


def test_a_budget_that_is_too_small_for_few_repeats_has_the_fewest_that_it_allows() -> None:
    """Over MOST_REPEATED blocks count and nothing else: jobs grow to the budget."""
    grid = ChipGrid(height=10_980, width=10_980, size=224)
    small, large = (
        lay_jobs(grid, SENTINEL, bytes_per_pixel=20, memory_budget=budget, chips_per_batch=64)
        for budget in (64_000_000, 128_000_000)
    )
    assert MOST_REPEATED < repeated_fraction(large, grid, SENTINEL) < repeated_fraction(small, grid, SENTINEL)
    assert len(large) < len(small)
