"""Chips: masks, digital numbers, cutting, fractions; against loops in Python's own integers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from clayline.chips.batch import Job
from clayline.chips.chip import cut, fractions, prepare, touched, valid_mask
from clayline.chips.cloud import SCL, Cloud, find_cloud
from clayline.chips.grid import ChipGrid

INTEGERS = ("uint8", "int16", "uint16", "int32")
STACKS = st.sampled_from(INTEGERS).flatmap(lambda dtype: hnp.arrays(dtype, (2, 3, 5)))


def test_a_pixel_below_the_boa_offset_becomes_1_and_nodata_stays_nodata() -> None:
    pixels = np.array([[[200, 0, 1000, 1001, 65535]]], np.uint16)
    valid = valid_mask(pixels, [[0]])
    assert valid.tolist() == [[True, False, True, True, True]]
    ready = prepare(pixels, valid, offsets=[-1000], fill=0, dtype="uint16")
    assert ready.tolist() == [[[1, 0, 1, 1, 64535]]]


@given(
    STACKS,
    hnp.arrays(np.bool_, (3, 5)),
    st.lists(st.integers(-70_000, 70_000), min_size=2, max_size=2),
    st.sampled_from((*INTEGERS, "float32")),
)
def test_numbers_are_shifted_without_wrapping(
    pixels: NDArray[Any], valid: NDArray[np.bool_], offsets: list[int], dtype: str
) -> None:
    before = pixels.tolist()
    info = np.finfo(dtype) if dtype == "float32" else np.iinfo(dtype)
    limits = (int(info.min), int(info.max))
    ready = prepare(pixels, valid, offsets=offsets, fill=7, dtype=dtype)
    assert ready.dtype == dtype
    for band, offset in enumerate(offsets):
        for row in range(3):
            for col in range(5):
                value = before[band][row][col]
                shifted = max(value + offset, 1) if offset else value
                expected = min(max(shifted, limits[0]), limits[1]) if valid[row, col] else 7
                assert ready[band, row, col] == np.dtype(dtype).type(expected)


def test_an_offset_beyond_the_type_is_added_whole() -> None:
    """-1 + 32,768 is a number of int16, though the offset is none."""
    pixels = np.array([[[-1, -32_768, 0, 5]]], np.int16)
    ready = prepare(pixels, np.ones((1, 4), np.bool_), offsets=[32_768], fill=7, dtype="int16")
    assert ready.tolist() == [[[32_767, 1, 32_767, 32_767]]]


def test_numbers_of_the_models_type_are_prepared_in_place() -> None:
    pixels = np.full((3, 4, 4), 5000, np.uint16)
    assert prepare(pixels, np.ones((4, 4), np.bool_), offsets=[-1000] * 3, fill=0, dtype="uint16") is pixels


@pytest.mark.parametrize(
    ("nodata", "valid"),
    [(None, [1, 1, 0, 0, 1]), (np.nan, [1, 1, 0, 0, 1]), (1.5, [1, 0, 0, 0, 1]), (-3.40282346639e38, [1, 1, 0, 0, 0])],
)
def test_floats_are_valid_where_they_are_finite_and_not_nodata(nodata: float | None, valid: list[int]) -> None:
    pixels = np.array([[[0, 1.5, np.nan, np.inf, np.finfo(np.float32).min]]], np.float32)
    assert valid_mask(pixels, [[] if nodata is None else [nodata]]).astype(int).tolist() == [valid]


def test_every_band_must_be_valid_and_each_has_its_own_nodata() -> None:
    pixels = np.array([[[0, 5, 9, 9]], [[7, 7, 0, 9]]], np.uint8)
    assert valid_mask(pixels, [[0], [9]]).tolist() == [[False, True, True, False]]


@pytest.mark.parametrize("nodata", [-9999, 0.5, 300, np.nan, None])
def test_a_nodata_that_the_type_cannot_hold_masks_nothing(nodata: float | None) -> None:
    assert valid_mask(np.array([[[0, 241, 255]]], np.uint8), [[] if nodata is None else [nodata]]).all()


def test_nan_becomes_the_fill_value() -> None:
    pixels = np.array([[[np.nan, 2.5, 3.5]]], np.float32)
    ready = prepare(pixels, valid_mask(pixels, [[]]), offsets=None, fill=0, dtype="uint16")
    assert ready.tolist() == [[[0, 2, 4]]]  # halves go to the even neighbour, as IEEE 754 rounds


@pytest.mark.parametrize(("offsets", "fill"), [([0.5], 0), (None, -1), (None, 0.5), (None, 70_000)])
def test_what_the_type_cannot_hold_is_refused(offsets: list[float] | None, fill: float) -> None:
    with pytest.raises(ValueError, match=r"offset|fill"):
        prepare(np.ones((1, 2, 2), np.uint16), np.ones((2, 2), np.bool_), offsets=offsets, fill=fill, dtype="uint16")


@st.composite
def grids(draw: st.DrawFn) -> ChipGrid:
    """Scenes of any size, some smaller than a chip, with chips in the corner or on a lattice of any phase."""
    size = draw(st.integers(8, 40))
    start = draw(st.one_of(st.none(), st.tuples(st.integers(1 - size, 0), st.integers(1 - size, 0))))
    return ChipGrid(height=draw(st.integers(1, 60)), width=draw(st.integers(1, 60)), size=size, start=start)


def on_canvas(scene: NDArray[Any], size: int, fill: int) -> NDArray[Any]:
    """Give the scene [..., h, w] with a chip's side of ``fill`` on all four sides."""
    around = [(0, 0)] * (scene.ndim - 2) + [(size, size), (size, size)]
    return np.pad(scene, around, constant_values=fill)


@given(grids())
def test_chips_are_the_scenes_pixels_and_padding_is_fill(grid: ChipGrid) -> None:
    scene = np.arange(2 * grid.height * grid.width, dtype=np.int32).reshape(2, grid.height, grid.width)
    windows, size = list(grid), grid.size
    chips = cut(scene, windows, origin=(0, 0), fill=-1)
    padded = on_canvas(scene, size, -1)
    for chip, window in zip(chips, windows, strict=True):
        row, col = window.row + size, window.col + size
        assert (chip == padded[:, row : row + size, col : col + size]).all()
    assert set(scene[0].ravel().tolist()) <= set(chips[:, 0].ravel().tolist())


@given(grids(), st.data())
def test_a_jobs_pixels_give_the_same_chips_as_the_scenes(grid: ChipGrid, data: st.DataObject) -> None:
    """Also where the job's first windows begin above or left of the scene."""
    row = data.draw(st.integers(0, grid.rows - 1))
    col = data.draw(st.integers(0, grid.cols - 1))
    job = Job(number=0, row_start=row, row_stop=grid.rows, col_start=col, col_stop=grid.cols)
    scene = np.arange(grid.height * grid.width, dtype=np.int32).reshape(1, grid.height, grid.width)
    valid = data.draw(hnp.arrays(np.bool_, (grid.height, grid.width)))
    row0, row1, col0, col1 = job.pixel_window(grid)
    assert min(row0, col0) >= 0
    assert (row1, col1) == (grid.height, grid.width)
    windows, origin = job.windows(grid), (row0, col0)
    whole = cut(scene, windows, origin=(0, 0), fill=-1)
    assert (cut(scene[:, row0:row1, col0:col1], windows, origin=origin, fill=-1) == whole).all()
    part = valid[row0:row1, col0:col1]
    known = np.ones(valid.shape, np.bool_)
    expected = fractions(valid, Cloud(cloudy=valid, known=known), windows, origin=(0, 0))
    again = fractions(part, Cloud(cloudy=part, known=np.ones(part.shape, np.bool_)), windows, origin=origin)
    for one, other in zip(again, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert touched(part, windows, origin=origin) == touched(valid, windows, origin=(0, 0))


def test_windows_count_from_the_jobs_origin() -> None:
    scene = np.arange(64 * 64, dtype=np.int32).reshape(1, 64, 64)
    grid = ChipGrid(height=64, width=64, size=16)
    windows = [grid.window(10), grid.window(11)]
    chips = cut(scene[:, 32:48, 16:64], windows, origin=(32, 16), fill=0)
    assert chips[:, 0, 0, 0].tolist() == [32 * 64 + 32, 32 * 64 + 48]


@given(grids(), st.data())
def test_fractions_are_what_counting_gives(grid: ChipGrid, data: st.DataObject) -> None:
    height, width, size = grid.height, grid.width, grid.size
    valid = data.draw(hnp.arrays(np.bool_, (height, width)))
    classes = data.draw(hnp.arrays(np.uint8, (height, width), elements=st.integers(0, 11)))
    windows = list(grid)
    valid_fraction, cloud_fraction = fractions(valid, find_cloud(classes, SCL), windows, origin=(0, 0))
    for number, window in enumerate(windows):
        inside = [
            (row, col)
            for row in range(max(0, window.row), min(window.row + size, height))
            for col in range(max(0, window.col), min(window.col + size, width))
            if valid[row, col]
        ]
        cloudy = [place for place in inside if classes[place] in {1, 3, 8, 9, 10}]
        assert valid_fraction[number] == np.float32(len(inside) / size**2)
        assert (
            cloud_fraction[number] == np.float32(len(cloudy) / len(inside))
            if inside
            else np.isnan(cloud_fraction[number])
        )


def test_without_classes_the_cloud_fraction_is_unknown() -> None:
    valid = np.ones((16, 16), np.bool_)
    valid_fraction, cloud_fraction = fractions(valid, None, list(ChipGrid(height=16, width=16, size=16)), origin=(0, 0))
    assert valid_fraction.tolist() == [1.0]
    assert np.isnan(cloud_fraction).all()
    assert {str(valid_fraction.dtype), str(cloud_fraction.dtype)} == {"float32"}


def test_which_windows_hold_a_marked_pixel() -> None:
    """The grid's last windows reach back from the edge, so that they overlap the ones before."""
    grid = ChipGrid(height=50, width=40, size=16)
    windows = [grid.window(index) for index in range(grid.rows * grid.cols)]
    assert touched(None, windows, origin=(0, 0)) == [False] * len(windows)
    for row, col in np.ndindex(50, 40):
        marked = np.zeros((50, 40), np.bool_)
        marked[row, col] = True
        expected = [window.row <= row < window.row + 16 and window.col <= col < window.col + 16 for window in windows]
        assert touched(marked, windows, origin=(0, 0)) == expected
        below = {window: is_in for window, is_in in zip(windows, expected, strict=True) if window.row >= 16}
        assert touched(marked[16:], list(below), origin=(16, 0)) == list(below.values())
