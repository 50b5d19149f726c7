"""Whether the files of a scene share ground."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.chips.cog import CogHeader
from clayline.errors import SceneError
from clayline.scene.grids import check_overlap, strips


def at(col: float, row: float, *, pixel: float = 10.0, side: int = 20) -> CogHeader:
    """A file that starts so many metres east and south of the first."""
    transform = (pixel, 0.0, 600_000.0 + col, 0.0, -pixel, 5_000_000.0 - row)
    return CogHeader(
        width=side,
        height=side,
        band_count=1,
        dtype="uint16",
        crs="EPSG:32629",
        epsg=32629,
        geographic=False,
        transform=transform,
        nodata=None,
        block_height=64,
        block_width=64,
        pixel_interleaved=False,
        sparse=False,
        descriptions=(None,),
        tags={},
        pixel_size_m=pixel,
    )


def overlap(*files: CogHeader) -> str | None:
    named = {f"band {number}": file for number, file in enumerate(files)}
    try:
        check_overlap("field", files[0], named)
    except SceneError as error:
        return error.message if error.reason == "no-overlap" else error.reason
    return None


def test_bands_that_lie_apart_are_named_with_their_extents() -> None:
    message = overlap(at(0, 0), at(5000, 0))
    assert message is not None
    assert "band 0 (600000, 4999800, 600200, 5000000) and band 1 (605000, 4999800, 605200, 5000000)" in message


@pytest.mark.parametrize(
    ("col", "row", "shared"),
    [(0, 0, True), (190, 0, True), (194, 0, True), (196, 0, False), (200, 0, False), (0, -200, False), (0, -194, True)],
)
def test_a_pixel_is_shared_by_its_centre(col: float, row: float, shared: bool) -> None:  # noqa: FBT001 - a case
    assert (overlap(at(0, 0), at(col, row)) is None) == shared


def test_two_coarser_bands_may_miss_each_other_though_the_finest_has_both() -> None:
    message = overlap(at(0, 0), at(0, 0, pixel=20, side=4), at(100, 0, pixel=20, side=4))
    assert message is not None
    assert "band 1" in message
    assert "band 2" in message


@given(
    st.lists(st.tuples(st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 30)), min_size=2, max_size=4),
)
def test_files_overlap_exactly_where_some_pixel_is_in_all(places: list[tuple[int, int, int]]) -> None:
    """On whole pixels of the first, pixel by pixel."""
    files = [at(0, 0, side=30), *(at(10 * col, 10 * row, side=side) for col, row, side in places)]
    cells = {(row, col) for row in range(30) for col in range(30)}
    for col, row, side in places:
        cells &= {(row + down, col + right) for down in range(side) for right in range(side)}
    met = [overlap(files[0], *order) is None for order in permutations(files[1:])]
    assert set(met) == {bool(cells)}


@pytest.mark.parametrize(
    ("width", "block_width", "warned"),
    [(2000, 2000, True), (2000, 512, False), (1000, 1000, False), (1024, 1024, True)],
)
def test_strips_across_a_scene_are_warned_of(width: int, block_width: int, warned: bool) -> None:  # noqa: FBT001
    files = {
        "band red": replace(at(0, 0), width=width, block_width=block_width, block_height=1),
        "band blue": at(0, 0),
    }
    found = strips("field", files)
    assert [warning.reason for warning in found] == (["strips"] if warned else [])
    assert all("band red" in warning.message and "blue" not in warning.message for warning in found)


def test_scene_classes_in_another_system_are_refused() -> None:
    with pytest.raises(SceneError) as caught:
        check_overlap("field", at(0, 0), {"its scene classes": replace(at(0, 0), crs="EPSG:32628")})
    assert caught.value.reason == "mixed-crs"
