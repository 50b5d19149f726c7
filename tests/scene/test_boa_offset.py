"""The BOA offset: whose word counts, what excludes what, and what the real Items give."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.errors import SceneError
from clayline.scene.acquisition import from_item
from clayline.scene.radiometry import BoaDecision, BoaOverride, decide_boa

BEFORE = datetime(2022, 1, 24, 23, 59, 59, tzinfo=UTC)
AFTER = datetime(2022, 1, 25, tzinfo=UTC)
FLAG, DECLARED, BASELINE = "earthsearch:boa_offset_applied", "s2:boa_add_offset", "s2:processing_baseline"


def decide(
    properties: dict[str, Any], *, acquired: datetime = AFTER, override: BoaOverride = BoaOverride.AUTO
) -> BoaDecision:
    return decide_boa(scene="S2A", properties=properties, acquired=acquired, override=override)


@pytest.mark.parametrize(
    ("properties", "acquired", "offset", "decided_by"),
    [
        ({FLAG: True, BASELINE: "05.09"}, AFTER, 0, FLAG),
        ({FLAG: True}, AFTER, 0, FLAG),
        ({FLAG: False, BASELINE: "05.09"}, AFTER, -1000, FLAG),
        ({FLAG: False, BASELINE: "04.00"}, AFTER, -1000, FLAG),
        ({FLAG: False, BASELINE: "03.01"}, BEFORE, 0, FLAG),
        ({FLAG: False, BASELINE: "02.14"}, BEFORE, 0, FLAG),
        ({FLAG: True, BASELINE: "03.01"}, BEFORE, 0, FLAG),
        ({FLAG: True, DECLARED: 0, BASELINE: "05.09"}, AFTER, 0, FLAG),
        ({FLAG: False, DECLARED: -1000, BASELINE: "05.09"}, AFTER, -1000, FLAG),
        ({FLAG: False, DECLARED: -1000}, AFTER, -1000, DECLARED),
        ({DECLARED: -1000, BASELINE: "04.00"}, AFTER, -1000, DECLARED),
        ({DECLARED: -1000}, BEFORE, -1000, DECLARED),
        ({DECLARED: 0}, AFTER, 0, DECLARED),
        ({DECLARED: 0, BASELINE: "05.09"}, AFTER, 0, DECLARED),
        ({DECLARED: -1000.0}, AFTER, -1000, DECLARED),
        ({BASELINE: "04.00"}, AFTER, -1000, "processing-baseline"),
        ({BASELINE: "05.11"}, AFTER, -1000, "processing-baseline"),
        ({BASELINE: "05.00"}, BEFORE, -1000, "processing-baseline"),
        ({BASELINE: "10.00"}, AFTER, -1000, "processing-baseline"),
        ({BASELINE: "03.01"}, AFTER, 0, "processing-baseline"),
        ({BASELINE: "02.14"}, BEFORE, 0, "processing-baseline"),
        ({"processing:version": "05.09"}, AFTER, -1000, "processing-baseline"),
        ({BASELINE: "02.14", "processing:version": "05.09"}, BEFORE, 0, "processing-baseline"),
        ({}, BEFORE, 0, "acquisition-date"),
        ({FLAG: False}, BEFORE, 0, "acquisition-date"),
        ({BASELINE: "unknown"}, BEFORE, 0, "acquisition-date"),
    ],
)
def test_the_order_of_words(properties: dict[str, Any], acquired: datetime, offset: int, decided_by: str) -> None:
    assert decide(properties, acquired=acquired) == BoaDecision(offset=offset, decided_by=decided_by)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {FLAG: False},
        {FLAG: None, DECLARED: None},
        {BASELINE: ""},
        {BASELINE: "N0400"},
        {BASELINE: "04"},
        {BASELINE: 5},
    ],
)
def test_what_nobody_says_after_2022_fails(properties: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match="set the stack's parameter Boa to applied or not-applied") as caught:
        decide(properties)
    assert caught.value.reason == "boa-unknown"


@pytest.mark.parametrize(
    "properties",
    [
        {FLAG: True, DECLARED: -1000},
        {FLAG: True, DECLARED: -1000, BASELINE: "05.09"},
        {DECLARED: -1000, BASELINE: "03.01"},
        {FLAG: False, DECLARED: 0, BASELINE: "05.09"},
        {DECLARED: 1000},
        {DECLARED: -999, BASELINE: "05.09"},
        {DECLARED: "-1000"},
        {DECLARED: []},
        {FLAG: "false", BASELINE: "05.09"},
        {FLAG: "true", BASELINE: "05.09"},
        {FLAG: 1},
        {FLAG: []},
    ],
)
def test_a_contradiction_fails(properties: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match="scene S2A") as caught:
        decide(properties)
    assert caught.value.reason == "boa-contradiction"


@pytest.mark.parametrize(("override", "offset"), [(BoaOverride.APPLIED, 0), (BoaOverride.NOT_APPLIED, -1000)])
@pytest.mark.parametrize("properties", [{}, {FLAG: True, DECLARED: -1000}, {BASELINE: "05.09"}, {DECLARED: "x"}])
def test_the_user_overrides_everything(override: BoaOverride, offset: int, properties: dict[str, Any]) -> None:
    assert decide(properties, override=override) == BoaDecision(offset=offset, decided_by="option")


def test_an_offset_in_raster_bands_never_decides() -> None:
    bands = {"raster:bands": [{"offset": -0.1, "scale": 0.0001}]}
    with pytest.raises(SceneError) as caught:
        decide(bands)
    assert caught.value.reason == "boa-unknown"
    assert decide({**bands, FLAG: True, BASELINE: "05.09"}).offset == 0


def test_ireland_declares_its_offset(ireland: dict[str, Any]) -> None:
    properties = ireland["properties"]
    acquired = from_item(properties, scene="Ireland").start
    assert decide(properties, acquired=acquired) == BoaDecision(offset=-1000, decided_by="s2:boa_add_offset")


def test_the_sahara_was_taken_before_there_was_one(sahara: dict[str, Any]) -> None:
    """Its flag says "not applied", which is true and means nothing at baseline 02.14."""
    properties = sahara["properties"]
    acquired = from_item(properties, scene="Sahara").start
    assert decide(properties, acquired=acquired) == BoaDecision(offset=0, decided_by="earthsearch:boa_offset_applied")


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2000, 2000),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["04.00", "02.14", -1000, 0]),
    st.lists(st.integers(), max_size=2),
)


@given(
    st.dictionaries(st.sampled_from([FLAG, DECLARED, BASELINE, "processing:version"]), values),
    st.sampled_from([BEFORE, AFTER]),
)
def test_any_item_is_decided_or_fails_with_a_reason(properties: dict[str, Any], acquired: datetime) -> None:
    reason = None
    try:
        found = decide(properties, acquired=acquired)
    except SceneError as error:
        reason = error.reason
    assert reason in {None, "boa-unknown", "boa-contradiction"}
    assert reason or found.offset in {0, -1000}
