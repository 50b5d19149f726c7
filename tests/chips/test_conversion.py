"""Conversion of numbers, against Python's exact fractions, whose rounding is half to even."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clayline.chips.chip import prepare, valid_mask
from clayline.chips.conversion import Conversion, convert

HALF = Conversion(factor="1/2", constant="0", why="")
HLS_TO_USGS = Conversion(factor="40/11", constant="80000/11", why="")


def converted(values: Any, dtype: str, conversion: Conversion, *, to: str = "uint16", offset: int = 0) -> NDArray[Any]:
    band = np.array(values, dtype).reshape(1, -1)
    out: NDArray[Any] = np.zeros(band.shape, to)
    everywhere, clamped = np.ones(band.shape, np.bool_), np.zeros(band.shape, np.bool_)
    convert(band, out, everywhere, conversion, offset=offset, clamped=clamped)
    return out.ravel()


def exact(value: float, factor: Fraction, constant: Fraction) -> int:
    return min(max(round(Fraction(value) * factor + constant), 1), 65535)


fractions = st.fractions(min_value=-50, max_value=50, max_denominator=1000)


@given(
    st.sampled_from(["uint8", "int16", "uint16", "int32"]),
    st.data(),
    fractions.filter(bool),
    st.fractions(min_value=-70000, max_value=70000, max_denominator=1000),
    st.sampled_from([0, -1000]),
)
def test_whole_numbers_are_converted_exactly(
    dtype: str, data: st.DataObject, factor: Fraction, constant: Fraction, offset: int
) -> None:
    limits = np.iinfo(dtype)
    values = data.draw(st.lists(st.integers(int(limits.min), int(limits.max)), min_size=1, max_size=50))
    conversion = Conversion(factor=str(factor), constant=str(constant), why="")
    expected = [exact(value, factor, constant + offset) for value in values]
    assert converted(values, dtype, conversion, offset=offset).tolist() == expected


def test_every_number_of_a_file_of_half_the_scale() -> None:
    """5 at 0.00005 is 2.5 at 0.0001: half to even, 2; 7 gives 4."""
    values = np.arange(65536)
    assert converted(values, "uint16", HALF).tolist() == [max(round(Fraction(n, 2)), 1) for n in range(65536)]
    assert converted([5, 7], "uint16", HALF).tolist() == [2, 4]


def test_every_number_of_hls_as_usgs_means_it() -> None:
    """DN = (reflectance + 0.2) / 0.0000275, of a reflectance of int16 at 0.0001."""
    values = np.arange(-2000, 16001)
    expected = [
        min(max(round((Fraction(n, 10_000) + Fraction("0.2")) / Fraction("0.0000275")), 1), 65535)
        for n in range(-2000, 16001)
    ]
    assert converted(values, "int16", HLS_TO_USGS).tolist() == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reflectances_become_numbers_of_a_ten_thousandth(dtype: str) -> None:
    whole = np.arange(1, 12_001)
    conversion = Conversion(factor="10000", constant="0", why="")
    assert converted(whole / 10_000, dtype, conversion).tolist() == whole.tolist()


def test_numbers_beyond_the_type_become_its_limits_and_none_becomes_nodata() -> None:
    assert converted([-30, 0, 1, 2], "int16", Conversion(factor="1", constant="0", why="")).tolist() == [1, 1, 1, 2]
    assert converted([-9.0, 7.5, 1e9], "float32", Conversion(factor="10000", constant="0", why="")).tolist() == [
        1, 65535, 65535,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dtype", "to", "conversion", "offset", "values", "beyond"),
    [
        ("int16", "uint16", Conversion(factor="1", constant="0", why=""), 0, [-30, 0, 1, 9], [1, 1, 0, 0]),
        ("float32", "uint16", Conversion(factor="10000", constant="0", why=""), 0, [0.0, 1.0, 6.6, 6.5], [1, 0, 1, 0]),
        ("uint16", "uint16", None, -1000, [5, 1000, 1001, 9000], [1, 1, 0, 0]),
        ("uint16", "int32", None, -1000, [5, 1000, 1001, 9000], [1, 1, 0, 0]),
        ("uint16", "uint16", None, 60_000, [5, 5535, 5536, 9], [0, 0, 1, 0]),
        ("uint16", "uint16", None, 0, [1, 2, 3, 65535], [0, 0, 0, 0]),
    ],
)
def test_what_became_a_limit_is_marked_where_it_is_valid(
    dtype: str, to: str, conversion: Conversion | None, offset: int, values: list[float], beyond: list[int]
) -> None:
    """The last pixel of each is repeated and not valid."""
    pixels = np.array([[[*values, values[0]]], [[7] * 5]], dtype)
    valid = np.array([[True, True, True, True, False]])
    clamped = np.zeros(valid.shape, np.bool_)
    prepare(pixels, valid, offsets=[offset, 0], fill=0, dtype=to, conversions=[conversion, None], clamped=clamped)
    assert clamped.astype(int).tolist() == [[*beyond, 0]]


def test_decibels_become_linear_power() -> None:
    found = converted(
        [-20.0, 0.0, 10.0], "float32", Conversion(factor="1", constant="0", decibel=True, why=""), to="float32"
    )
    assert found.tolist() == pytest.approx([0.01, 1.0, 10.0], rel=1e-6)


def test_factors_that_64_bits_do_not_hold_are_taken_by_float64() -> None:
    conversion = Conversion(factor=str(Fraction(repr(1 / 255)) * 10_000), constant="0", why="")
    expected = [max(round(Fraction(n, 255) * 10_000), 1) for n in range(256)]
    assert converted(range(256), "uint8", conversion).tolist() == expected


def test_nodata_is_masked_before_and_other_bands_are_left() -> None:
    """Nodata 4 would become 2, which is a value."""
    pixels = np.array([[[4, 6, 65535]], [[4, 6, 9]]], np.uint16)
    valid = valid_mask(pixels, [(4,), ()])
    found = prepare(pixels.copy(), valid, offsets=[0, -5], fill=0, dtype="uint16", conversions=[HALF, None])
    assert found.tolist() == [[[0, 3, 32768]], [[0, 1, 4]]]


@pytest.mark.parametrize(("dtype", "to"), [("uint16", "uint16"), ("int16", "uint16"), ("float32", "float32")])
def test_many_rows_are_converted_as_one(dtype: str, to: str) -> None:
    band = np.random.default_rng(5).integers(0, 30_000, (700, 3)).astype(dtype)
    out = band.copy() if dtype == to else np.zeros(band.shape, to)
    everywhere, clamped = np.ones(band.shape, np.bool_), np.zeros(band.shape, np.bool_)
    convert(out if dtype == to else band, out, everywhere, HALF, offset=0, clamped=clamped)
    whole = to != "float32"
    expected = [[max(round(Fraction(int(n), 2)), 1) if whole else n / 2 for n in row] for row in band.tolist()]
    assert out.tolist() == expected


def test_the_rule_is_said_in_one_line() -> None:
    assert HLS_TO_USGS.rule("uint16") == ("40/11 * number + 80000/11, rounded half to even, at least 1, at most 65535")
    assert HALF.rule("float32") == "1/2 * number + 0"
