"""Cloud by a mask's numbers: against loops over Python's integers, and against the product guides' own examples."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from clayline.chips.chip import fractions
from clayline.chips.classes import Classes, Classification
from clayline.chips.cloud import Cloud, find_cloud
from clayline.chips.grid import ChipGrid
from clayline.scene.classification import BINARY
from clayline.scene.recognition import sensors

MASKS = {mask.name: mask.classification for sensor in sensors().values() for mask in sensor.masks}


@pytest.mark.parametrize(
    ("mask", "dtype", "clear", "cloudy", "unknown"),
    [
        ("scl", "uint8", (2, 4, 5, 6, 7, 11), (1, 3, 8, 9, 10), (0, 12, 255)),
        # USGS's own values: clear, water, and dilated cloud; high cloud, cirrus, shadow, and all of it; fill
        ("qa_pixel", "uint16", (21824, 21952, 21762, 0), (22280, 54596, 23888, 55052), (1,)),
        ("fmask", "uint8", (0, 4, 32, 64, 128, 192), (1, 2, 8, 10, 66), (255,)),
        # cloud state clear, cloudy, mixed, not set; shadow; cirrus none, small, average, high
        ("state", "uint16", (8, 3, 8 | 1 << 8), (1, 2, 4, 8 | 2 << 8, 8 | 3 << 8), (65535,)),
    ],
)
def test_the_products_masks(
    mask: str, dtype: str, clear: tuple[int, ...], cloudy: tuple[int, ...], unknown: tuple[int, ...]
) -> None:
    found = find_cloud(np.array([[*clear, *cloudy, *unknown]], dtype), MASKS[mask])
    assert found.cloudy.tolist() == [[False] * len(clear) + [True] * len(cloudy) + [False] * len(unknown)]
    assert found.known.tolist() == [[True] * (len(clear) + len(cloudy)) + [False] * len(unknown)]


def test_a_mask_of_cloud_alone_is_no_probability() -> None:
    found = find_cloud(np.array([[0, 1, 255, 2, 50, 100]], np.uint8), BINARY)
    assert found.cloudy.tolist() == [[False, True, True, False, False, False]]
    assert found.known.tolist() == [[True, True, True, False, False, False]]


@given(
    hnp.arrays(st.sampled_from(["uint8", "int16", "uint16", "uint32"]), (4, 5)),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(0, 15)), min_size=1, max_size=3),
    st.lists(st.integers(0, 300), max_size=2),
)
def test_bits_and_values_are_those_of_integers(
    numbers: NDArray[Any], fields: list[tuple[int, int, int]], fill: list[int]
) -> None:
    classification = Classification(
        cloud=tuple(Classes(meaning="c", bit=bit, bits=bits, values=(value,)) for bit, bits, value in fields),
        unknown=tuple(Classes(meaning="f", values=(value,)) for value in fill),
    )
    found = find_cloud(numbers, classification)
    for place, number in np.ndenumerate(numbers):
        known = int(number) not in fill
        cloudy = any((int(number) >> bit) % 2**bits == value for bit, bits, value in fields)
        assert (bool(found.known[place]), bool(found.cloudy[place])) == (known, known and cloudy)


@pytest.mark.parametrize(("known", "share"), [(64, 0.25), (40, 0.4), (32, 0.5), (31, None), (0, None)])
def test_a_fraction_is_of_the_pixels_whose_class_is_known_and_unknown_without_half_of_them(
    known: int, share: float | None
) -> None:
    cloudy, is_known = np.zeros(64, np.bool_), np.zeros(64, np.bool_)
    cloudy[:16], is_known[:known] = known > 0, True
    cloud = Cloud(cloudy=cloudy.reshape(8, 8), known=is_known.reshape(8, 8))
    windows = list(ChipGrid(height=8, width=8, size=8))
    _, (found,) = fractions(np.ones((8, 8), np.bool_), cloud, windows, origin=(0, 0))
    assert found == share if share is not None else np.isnan(found)
