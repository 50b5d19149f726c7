"""The chip grid against a plain picture of the scene: every pixel painted, every edge reached."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.chips.grid import ChipGrid

sides = st.integers(1, 90)


@given(height=sides, width=sides, size=st.integers(1, 40))
def test_every_pixel_lies_in_at_least_one_chip_and_no_chip_is_spare(height: int, width: int, size: int) -> None:
    grid = ChipGrid(height=height, width=width, size=size)
    painted = np.zeros((height, width), np.int64)
    for window in grid:
        painted[window.row : window.row + size, window.col : window.col + size] += 1
    assert painted.min() >= 1
    assert len(grid) == -(-height // size) * -(-width // size)


@given(height=sides, width=sides, size=st.integers(1, 40))
def test_only_a_scene_smaller_than_a_chip_has_windows_over_its_edge(height: int, width: int, size: int) -> None:
    for window in ChipGrid(height=height, width=width, size=size):
        assert window.row + size <= height or (window.row == 0 and height < size)
        assert window.col + size <= width or (window.col == 0 and width < size)


@given(height=sides, width=sides, size=st.integers(1, 40))
def test_all_but_the_last_row_and_column_lie_at_multiples_of_the_size(height: int, width: int, size: int) -> None:
    grid = ChipGrid(height=height, width=width, size=size)
    for window in grid:
        row, col = window.index // grid.cols, window.index % grid.cols
        assert window.row == (row * size if row < grid.rows - 1 else max(0, height - size))
        assert window.col == (col * size if col < grid.cols - 1 else max(0, width - size))


@given(height=sides, width=sides, size=st.integers(1, 40))
def test_the_index_names_the_window(height: int, width: int, size: int) -> None:
    grid = ChipGrid(height=height, width=width, size=size)
    windows = list(grid)
    assert [window.index for window in windows] == list(range(len(grid)))
    assert all(grid.window(window.index) == window for window in windows)
    places = [(window.row, window.col) for window in windows]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_the_sample_is_32_by_30_chips() -> None:
    grid = ChipGrid(height=1860, width=2041, size=64)
    assert (grid.cols, grid.rows, len(grid)) == (32, 30, 960)
    assert (grid.window(959).row, grid.window(959).col) == (1860 - 64, 2041 - 64)
    assert (grid.window(32).row, grid.window(32).col) == (64, 0)


def test_a_sentinel_2_tile_is_1849_chips() -> None:
    assert len(ChipGrid(height=10980, width=10980, size=256)) == 1849


def test_a_scene_smaller_than_a_chip_is_one_window() -> None:
    [window] = ChipGrid(height=40, width=63, size=64)
    assert (window.index, window.row, window.col, window.size) == (0, 0, 0, 64)


@st.composite
def on_a_lattice(draw: st.DrawFn) -> ChipGrid:
    size = draw(st.integers(1, 40))
    start = (draw(st.integers(1 - size, 0)), draw(st.integers(1 - size, 0)))
    return ChipGrid(height=draw(sides), width=draw(sides), size=size, start=start)


@given(on_a_lattice())
def test_on_a_lattice_every_pixel_lies_in_exactly_one_chip_and_no_chip_is_empty(grid: ChipGrid) -> None:
    assert grid.start
    painted = np.zeros((grid.height, grid.width), np.int64)
    for window in grid:
        row, col = divmod(window.index, grid.cols)
        assert (window.row, window.col) == (grid.start[0] + row * grid.size, grid.start[1] + col * grid.size)
        part = painted[max(0, window.row) : window.row + grid.size, max(0, window.col) : window.col + grid.size]
        assert part.size
        part += 1
    assert (painted == 1).all()


def test_a_small_scene_may_become_more_chips_on_a_lattice() -> None:
    """docs/scenes.md says so: 512 px at 256."""
    assert len(ChipGrid(height=512, width=512, size=256)) == 4
    assert len(ChipGrid(height=512, width=512, size=256, start=(-1, -100))) == 9


@pytest.mark.parametrize("start", [(1, 0), (0, -64), (-65, 0)])
def test_a_lattice_must_hold_the_corner(start: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="corner"):
        ChipGrid(height=100, width=100, size=64, start=start)


@pytest.mark.parametrize("index", [-1, 960, 10**9])
def test_no_window_outside_the_grid(index: int) -> None:
    with pytest.raises(IndexError, match=r"30 x 32 chips"):
        ChipGrid(height=1860, width=2041, size=64).window(index)


@pytest.mark.parametrize(("height", "width", "size"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-5, 3, 2)])
def test_an_empty_scene_is_refused(height: int, width: int, size: int) -> None:
    with pytest.raises(ValueError, match="positive sides"):
        ChipGrid(height=height, width=width, size=size)
