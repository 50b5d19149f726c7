"""What an Item says of its files' grids, and when that is told to be wrong. The file always wins."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clayline.chips.cog import CogHeader
from clayline.run.receipt import SceneWarning
from clayline.scene.declared import declared_of, disagreements


def header(pixel: float = 10.0, side: int = 10_980, epsg: int | None = 32628) -> CogHeader:
    return CogHeader(
        width=side,
        height=side,
        band_count=1,
        dtype="uint16",
        crs=f"EPSG:{epsg}" if epsg else "PROJCRS[...]",
        epsg=epsg,
        geographic=False,
        transform=(pixel, 0, 300_000, 0, -pixel, 2_300_040),
        nodata=0,
        block_height=512,
        block_width=512,
        pixel_interleaved=False,
        sparse=False,
        descriptions=(None,),
        tags={},
        pixel_size_m=pixel,
    )


FINE, COARSE = header(), header(20.0, 5_490)


def told(asset: dict[str, Any], properties: dict[str, Any], *files: CogHeader) -> str:
    """Give the one warning's message, or an empty text."""
    declared = declared_of(asset, properties)
    found = disagreements("S2A", [(f"band{n}", declared, one) for n, one in enumerate(files or (FINE,))])
    assert all(isinstance(one, SceneWarning) and one.reason == "item-disagrees" for one in found)
    assert len(found) <= 1
    return found[0].message if found else ""


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"proj:epsg": 32628},
        {"proj:epsg": None, "proj:code": None, "proj:transform": None},
        {"proj:code": "EPSG:32628", "proj:shape": [10980, 10980]},
        {"proj:transform": [10.0, 0.0, 300000.0, 0.0, -10.0, 2300040.0, 0.0, 0.0, 1.0]},
        {"proj:transform": [10, 0, 300000, 0, -10, 2300040]},
        {"proj:transform": [10, 0, 300000.05, 0, -10, 2300040]},
        {"proj:code": "IAU_2015:30100"},
        {"proj:bbox": [0, 0, 1, 1], "gsd": 7},
    ],
)
def test_what_is_missing_or_right_is_not_told(fields: dict[str, Any]) -> None:
    assert told(fields, {}) == told({}, fields) == ""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"proj:epsg": 32629}, "proj:epsg of band0 is 32629, the file has EPSG:32628"),
        ({"proj:code": "EPSG:4326"}, "proj:code of band0 is EPSG:4326, the file has EPSG:32628"),
        ({"proj:shape": [1098, 1098]}, "proj:shape of band0 is [1098, 1098], the file has [10980, 10980]"),
        (
            {"proj:transform": [300000, 10, 0, 2300040, 0, -10]},
            "the file has [10.0, 0, 300000, 0, -10.0, 2300040]",
        ),
        ({"proj:transform": [10, 0, 300000.2, 0, -10, 2300040]}, "proj:transform of band0"),
        ({"proj:transform": "10 0 300000"}, "proj:transform of band0 is 10 0 300000"),
        ({"proj:shape": "x" * 100_000}, "xxx..., the file has"),
    ],
)
def test_what_is_wrong_is_told_with_both_values(fields: dict[str, Any], said: str) -> None:
    for message in (told(fields, {}), told({}, fields)):
        assert said in message
        assert "S2A" in message
        assert len(message) < 500


def test_an_assets_own_word_goes_before_the_items() -> None:
    assert told({"proj:shape": [10980, 10980]}, {"proj:shape": [1, 1]}) == ""
    assert "[1, 1]" in told({"proj:shape": [1, 1]}, {"proj:shape": [10980, 10980]})


def test_a_size_that_the_item_says_for_all_is_that_of_one_resolution() -> None:
    fields = {"proj:shape": [10980, 10980], "proj:transform": [10, 0, 300000, 0, -10, 2300040]}
    assert told({}, fields, FINE, COARSE) == ""
    assert "proj:shape" in told({}, fields, COARSE)


def test_a_file_without_a_code_is_not_compared_by_it() -> None:
    assert told({}, {"proj:epsg": 32628}, header(epsg=None)) == ""


def test_many_disagreements_are_cut() -> None:
    message = told({"proj:epsg": 1, "proj:shape": [1, 1]}, {}, *[FINE] * 6)
    assert message.count("the file has") == 4
    assert "and 8 more" in message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["proj:epsg", "proj:code", "proj:transform", "proj:shape"]), json_values))
def test_any_value_is_told_or_not_and_nothing_breaks(fields: dict[str, Any]) -> None:
    assert len(told(fields, fields)) < 2_000
