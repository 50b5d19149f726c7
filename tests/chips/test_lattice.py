"""The lattice against exact fractions, and its promise: shared ground is the same cell, whatever the scene's corner."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.chips.grid import ChipGrid
from clayline.chips.lattice import GEOGRAPHIC, METRIC, Lattice, lay_lattice

WEST, TOP = 612_345.678, 7_345_678.9


def lay(
    west: float, top: float, pixel: float = 30.0, *, side: int = 500, size: int = 64, units: int = METRIC
) -> Lattice:
    transform = (pixel, 0.0, west, 0.0, -pixel, top)
    laid = lay_lattice(transform, height=side, width=side, size=size, units=units, family="f")
    assert laid is not None
    return laid


def cells(
    laid: Lattice, west: float, top: float, pixel: float, *, side: int
) -> dict[tuple[int, int], tuple[float, float]]:
    """Upper-left corner of each chip in the CRS, by the number of its cell."""
    grid = ChipGrid(height=side, width=side, size=laid.size, start=(laid.row, laid.col))
    return {
        (laid.north - window.index // grid.cols, laid.east + window.index % grid.cols): (
            west + window.col * pixel,
            top - window.row * pixel,
        )
        for window in grid
    }


@given(
    st.integers(-(10**10), 10**10),
    st.integers(-(10**10), 10**10),
    st.integers(1, 60_000),
    st.integers(1, 300),
    st.integers(1, 700),
)
def test_chips_start_at_the_pixel_corner_nearest_to_the_lattice(
    west: int, top: int, pixel: int, size: int, side: int
) -> None:
    """In exact fractions of a millimetre: half a pixel at most, and exactly half goes east and north."""
    laid = lay(west / METRIC, top / METRIC, pixel / METRIC, side=side, size=size)
    assert (laid.pixel_x, laid.pixel_y) == (pixel, pixel)
    assert -size < laid.col <= 0
    assert -size < laid.row <= 0
    step = size * pixel
    east = Fraction(west + laid.col * pixel - laid.east * step, pixel)
    north = Fraction(top - laid.row * pixel - (laid.north + 1) * step, pixel)
    assert -Fraction(1, 2) < east <= Fraction(1, 2)
    assert -Fraction(1, 2) < north <= Fraction(1, 2)
    assert (laid.phase_east, laid.phase_north) == (float(east), float(north))
    # The same by another road: the lattice corner's place in pixels, rounded.
    assert laid.col == floor(Fraction(laid.east * step - west, pixel) + Fraction(1, 2))
    assert laid.row == ceil(Fraction(top - (laid.north + 1) * step, pixel) - Fraction(1, 2))


@given(
    st.sampled_from([30.0, 10.0, 0.6, 0.075]),
    st.integers(-40, 40),
    st.integers(0, 130),
    st.integers(0, 130),
    st.floats(-1e-9, 1e-9),
)
def test_crops_of_one_scene_share_their_cells_to_the_pixel(
    pixel: float, tenths: int, down: int, right: int, noise: float
) -> None:
    """Every offset, and noise in the transform's last digits, also where the scene's corner is a tie."""
    west, top = 600_000 + round(tenths * pixel / 10, 3), 7_300_000 - round(tenths * pixel / 10, 3)
    whole = cells(lay(west, top, pixel), west, top, pixel, side=500)
    at = (west + right * pixel + noise, top - down * pixel + noise)
    cut = cells(lay(*at, pixel, side=200), *at, pixel, side=200)
    shared = whole.keys() & cut.keys()
    assert len(shared) >= 9
    for cell in shared:
        assert cut[cell] == pytest.approx(whole[cell], abs=2e-3)


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_any_two_scenes_of_one_pixel_size_have_equal_cells_within_a_pixel(right: float, down: float) -> None:
    """Their pixels do not lie on each other, so each is moved by half a pixel at most from the same corners."""
    one = cells(lay(WEST, TOP), WEST, TOP, 30.0, side=500)
    at = (WEST + right * 30, TOP - down * 30)
    other = cells(lay(*at), *at, 30.0, side=500)
    shared = one.keys() & other.keys()
    assert len(shared) >= 49
    for cell in shared:
        for here, there, number in zip(one[cell], other[cell], (cell[1], cell[0] + 1), strict=True):
            assert abs(here - number * 64 * 30) <= 15.002
            assert abs(there - number * 64 * 30) <= 15.002


@pytest.mark.parametrize("corner", [15, 45, -15, 3_000_015])
def test_landsats_ties_go_east_and_north(corner: int) -> None:
    """Landsat's corners lie at 15 m modulo 30: every scene is a tie, and all must be broken alike."""
    laid = lay(float(corner), float(corner))
    assert (laid.phase_east, laid.phase_north) == (0.5, 0.5)


def test_degrees_are_taken_to_a_billionth() -> None:
    third = 1 / 3 / 3600
    laid = lay(9.000000000049, 47.00000000004, third, units=GEOGRAPHIC)
    assert (laid.pixel_x, laid.pixel_y) == (92_593, 92_593)
    assert laid == lay(9.0, 47.0, third, units=GEOGRAPHIC)


def test_pixels_may_differ_in_width_and_height() -> None:
    laid = lay_lattice((2.0, 0, 100.0, 0, -3.0, 90.0), height=50, width=50, size=10, units=METRIC, family="f")
    assert laid is not None
    assert (laid.pixel_x, laid.pixel_y, laid.east, laid.north, laid.col, laid.row) == (2000, 3000, 5, 2, 0, 0)


@pytest.mark.parametrize(
    ("pixel", "side", "fits"),
    [(30.0, 200_000, True), (30.0004, 7_000, True), (30.0004, 8_000, False), (0.0004, 10, False), (1e-5, 5, False)],
)
def test_a_pixel_size_that_drifts_by_a_tenth_of_a_pixel_gets_no_lattice(pixel: float, side: int, *, fits: bool) -> None:
    transform = (pixel, 0.0, 0.0, 0.0, -pixel, 0.0)
    laid = lay_lattice(transform, height=9, width=side, size=64, units=METRIC, family="f")
    tall = lay_lattice(transform, height=side, width=9, size=64, units=METRIC, family="f")
    assert (laid is not None) == (tall is not None) == fits


def test_northings_can_count_from_elsewhere() -> None:
    """10,000,000 m is no multiple of 64 x 30 m: without it the southern system would be another lattice."""
    north = lay(600_015.0, -2_654_685.0)
    transform = (30.0, 0.0, 600_015.0, 0.0, -30.0, 7_345_315.0)
    south = lay_lattice(
        transform, height=500, width=500, size=64, units=METRIC, family="f", false_northing=10_000_000.0
    )
    assert south == north
    assert south != lay(600_015.0, 7_345_315.0)
