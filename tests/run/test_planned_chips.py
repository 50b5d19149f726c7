"""The plan's chips object: identifiers and corners come back, anything else is a WireError; doubles are found."""

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tests.model.wire_objects import file_of

from clayline.errors import WireError
from clayline.run.plan import PlannedChips, duplicates

identifiers = st.text("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-", min_size=1, max_size=128)


@given(st.lists(identifiers, min_size=1, max_size=6), st.data())
def test_chips_come_back_as_they_went(uci: list[str], data: st.DataObject) -> None:
    corners = data.draw(npst.arrays(np.float64, (len(uci), 4, 2), elements=st.floats(-180, 180)))
    back = PlannedChips.from_bytes(PlannedChips(uci=tuple(uci), corners=corners).to_bytes())
    assert back.uci == tuple(uci)
    np.testing.assert_array_equal(back.corners, corners, strict=True)


def test_corners_that_are_a_view_are_written_as_they_read() -> None:
    corners = np.arange(3 * 4 * 2, dtype=np.float64).reshape(2, 4, 3).transpose(2, 1, 0)
    back = PlannedChips.from_bytes(PlannedChips(uci=("a", "b", "c"), corners=corners).to_bytes())
    np.testing.assert_array_equal(back.corners, corners)


def test_the_longest_identifier_that_the_grammar_allows_is_kept_whole() -> None:
    [back] = PlannedChips.from_bytes(PlannedChips(uci=("x" * 128,), corners=np.zeros((1, 4, 2))).to_bytes()).uci
    assert back == "x" * 128


@given(st.binary(max_size=100))
def test_noise_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        PlannedChips.from_bytes(body)


@pytest.mark.parametrize(
    "body",
    [
        file_of({}),
        safetensors.numpy.save({"uci": np.zeros((1, 128), np.uint8)}),
        safetensors.numpy.save({"corners": np.zeros((1, 4, 2))}),
        safetensors.numpy.save({"uci": np.zeros((1, 100), np.uint8), "corners": np.zeros((1, 4, 2))}),
        safetensors.numpy.save({"uci": np.full((1, 128), 200, np.uint8), "corners": np.zeros((1, 4, 2))}),
    ],
    ids=["empty", "no corners", "no identifiers", "short rows", "no ASCII"],
)
def test_another_object_is_refused(body: bytes) -> None:
    with pytest.raises(WireError, match="chips cannot be read"):
        PlannedChips.from_bytes(body)


@given(st.lists(st.sampled_from("abcdefg"), max_size=12))
def test_doubles_are_found_once_each(given_: list[str]) -> None:
    assert duplicates(given_) == sorted({text for text in given_ if given_.count(text) > 1})
