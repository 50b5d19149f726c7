"""The BOA offset: whose word counts, what excludes what, and what the real Items give."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.errors import SceneError
from clayline.scene.acquisition import from_item
from clayline.scene.boa_statements import read_baseline, statements
from clayline.scene.radiometry import BoaDecision, BoaOverride, decide_boa

BEFORE = datetime(2022, 1, 24, 23, 59, 59, tzinfo=UTC)
AFTER = datetime(2022, 1, 25, tzinfo=UTC)
FLAG, DECLARED, BASELINE = "earthsearch:boa_offset_applied", "s2:boa_add_offset", "s2:processing_baseline"
FLAG_V0, BASELINE_V0, PRODUCT_V0 = (
    "sentinel:boa_offset_applied", "sentinel:processing_baseline", "sentinel:product_id",
)  # fmt: skip
VERSION = "processing:version"
NEW = "S2A_MSIL2A_20190416T100031_N0500_R122_T33TUL_20230612T101112"
OLD = "S2A_MSIL2A_20190416T100031_N0211_R122_T33TUL_20190416T131412"
IN_2019 = datetime(2019, 4, 16, 10, tzinfo=UTC)


def decide(
    properties: dict[str, Any],
    *,
    acquired: datetime = AFTER,
    override: BoaOverride = BoaOverride.AUTO,
    collection: str | None = "sentinel-2-l2a",
    item: str | None = "S2A",
    files: tuple[str, ...] = (),
    tags: tuple[dict[str, str], ...] = (),
) -> BoaDecision:
    said = statements(properties=properties, collection=collection, item=item, files=files, tags=tags)
    return decide_boa(scene="S2A", said=said, acquired=acquired, override=override)


def outcome(*args: Any, **how: Any) -> tuple[int, str]:
    found = decide(*args, **how)
    return found.offset, found.decided_by


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
        ({FLAG_V0: True, BASELINE_V0: "04.00"}, AFTER, 0, FLAG_V0),
        ({FLAG_V0: False, BASELINE_V0: "04.00"}, AFTER, -1000, FLAG_V0),
        ({FLAG_V0: False, BASELINE_V0: "05.00"}, BEFORE, -1000, FLAG_V0),
        ({BASELINE_V0: "05.00"}, BEFORE, -1000, BASELINE_V0),
        ({FLAG: False, DECLARED: -1000}, AFTER, -1000, DECLARED),
        ({DECLARED: -1000, BASELINE: "04.00"}, AFTER, -1000, DECLARED),
        ({DECLARED: -1000}, BEFORE, -1000, DECLARED),
        ({DECLARED: 0}, AFTER, 0, DECLARED),
        ({DECLARED: 0, BASELINE: "05.09"}, AFTER, 0, DECLARED),
        ({DECLARED: -1000.0}, AFTER, -1000, DECLARED),
        ({DECLARED: "-1000"}, AFTER, -1000, DECLARED),
        ({BASELINE: "04.00"}, AFTER, -1000, BASELINE),
        ({BASELINE: "05.11"}, AFTER, -1000, BASELINE),
        ({BASELINE: "05.00"}, BEFORE, -1000, BASELINE),
        ({BASELINE: "0500"}, BEFORE, -1000, BASELINE),
        ({BASELINE: "N0500"}, BEFORE, -1000, BASELINE),
        ({BASELINE: "N05.00"}, BEFORE, -1000, BASELINE),
        ({BASELINE: 5.0}, BEFORE, -1000, BASELINE),
        ({BASELINE: 5}, BEFORE, -1000, BASELINE),
        ({BASELINE: 500}, BEFORE, -1000, BASELINE),
        ({BASELINE: 2.14}, BEFORE, 0, BASELINE),
        ({BASELINE: "10.00"}, AFTER, -1000, BASELINE),
        ({BASELINE: "03.01"}, AFTER, 0, BASELINE),
        ({BASELINE: "02.14"}, BEFORE, 0, BASELINE),
        ({VERSION: "05.09"}, AFTER, -1000, VERSION),
        ({VERSION: "05.00"}, BEFORE, -1000, VERSION),
        ({VERSION: "v2023.10", BASELINE: "05.00"}, BEFORE, -1000, BASELINE),
        ({"processing:software": {"Baseline": "05.00"}}, BEFORE, -1000, "processing:software['Baseline']"),
        ({"processing:software": {"sentinel2-to-stac": "0.1.1"}}, BEFORE, 0, "acquisition-date"),
        ({"s2:product_uri": f"{NEW}.SAFE"}, BEFORE, -1000, "s2:product_uri"),
        ({PRODUCT_V0: NEW}, BEFORE, -1000, PRODUCT_V0),
        ({PRODUCT_V0: OLD}, AFTER, 0, PRODUCT_V0),
        ({"s2:datatake_id": "GS2A_20190416T100031_019922_N05.00"}, BEFORE, 0, "acquisition-date"),
        ({}, BEFORE, 0, "acquisition-date"),
        ({FLAG: None, BASELINE: ""}, BEFORE, 0, "acquisition-date"),
    ],
)
def test_the_order_of_words(properties: dict[str, Any], acquired: datetime, offset: int, decided_by: str) -> None:
    assert outcome(properties, acquired=acquired) == (offset, decided_by)


@pytest.mark.parametrize(
    ("how", "decided_by"),
    [
        ({"item": NEW}, "id"),
        ({"item": NEW.replace("_N0500_", "_N0510_")}, "id"),
        ({"item": NEW.replace("_N0500_", "_0500_")}, "id"),
        ({"collection": "sentinel-2-c1-l2a"}, "collection"),
        ({"files": (f"s3://b/{NEW}.SAFE/GRANULE/L2A_T33TUL/IMG_DATA/R10m/T33TUL_B02_10m.tif",)}, "the file's name"),
        ({"item": None, "collection": None, "files": (f"s3://b/cog/{NEW}.tif",)}, "the file's name"),
        ({"tags": ({"PROCESSING_BASELINE": "05.00"},)}, "the file's tag PROCESSING_BASELINE"),
        ({"tags": ({"PRODUCT_URI": f"{NEW}.SAFE"},)}, "the file's tag PRODUCT_URI"),
        ({"tags": ({"BOA_ADD_OFFSET": "-1000"},)}, "the file's tag BOA_ADD_OFFSET"),
    ],
)
def test_a_statement_anywhere_comes_before_the_date(how: dict[str, Any], decided_by: str) -> None:
    assert outcome({}, acquired=IN_2019, **how) == (-1000, decided_by)


def test_a_products_name_counts_in_any_case() -> None:
    name = {"s2:product_uri": f"{NEW}.SAFE".lower()}
    assert outcome(name, acquired=IN_2019) == (-1000, "s2:product_uri")


@pytest.mark.parametrize(
    "file", ["s3://b/N0500/x.tif", "s3://N0500/x.tif", "s3://b/xN0500.tif", "s3://b/T33N0500.tif", "s3://b/N05001.tif"]
)
def test_a_number_elsewhere_in_a_path_is_no_statement(file: str) -> None:
    assert outcome({}, acquired=IN_2019, item=None, files=(file,)) == (0, "acquisition-date")


def test_every_statement_is_kept() -> None:
    found = decide({FLAG: True, BASELINE: "05.00"}, item=NEW, acquired=IN_2019)
    assert found.said == (f"{BASELINE} says '05.00'", f"{FLAG} says True", "id says N0500")


@pytest.mark.parametrize("properties", [{}, {FLAG: None, DECLARED: None}, {BASELINE: ""}])
def test_what_nobody_says_after_2022_fails(properties: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match="set the stack's parameter Boa to applied or not-applied") as caught:
        decide(properties)
    assert caught.value.reason == "boa-unknown"


@pytest.mark.parametrize(
    "properties",
    [
        {BASELINE: "N/A"},
        {BASELINE: "5,00"},
        {BASELINE: "unknown"},
        {BASELINE: "N9999"},
        {BASELINE: "99.99"},
        {BASELINE: True},
        {BASELINE: -1},
        {BASELINE: float("nan")},
        {BASELINE: []},
        {BASELINE: "N/A", FLAG: True},
        {BASELINE_V0: "none", BASELINE: "05.00"},
        {DECLARED: 1000},
        {DECLARED: -999, BASELINE: "05.09"},
        {DECLARED: []},
        {DECLARED: False},
        {FLAG: "false", BASELINE: "05.09"},
        {FLAG: "true", BASELINE: "05.09"},
        {FLAG: 1},
        {FLAG: []},
        {VERSION: "1.0.3"},
        {FLAG: False},
        {FLAG_V0: False},
    ],
)
@pytest.mark.parametrize("acquired", [BEFORE, AFTER])
def test_what_cannot_be_read_or_does_not_suffice_is_named_and_no_date_decides(
    properties: dict[str, Any], acquired: datetime
) -> None:
    name, value = next(iter(properties.items()))
    with pytest.raises(SceneError, match=re.escape(f"{name} says {value!r}")) as caught:
        decide(properties, acquired=acquired)
    assert caught.value.reason == "boa-unknown"


@pytest.mark.parametrize(
    ("properties", "how"),
    [
        ({FLAG: True, DECLARED: -1000}, {}),
        ({FLAG: True, DECLARED: -1000, BASELINE: "05.09"}, {}),
        ({DECLARED: -1000, BASELINE: "03.01"}, {}),
        ({FLAG: False, DECLARED: 0, BASELINE: "05.09"}, {}),
        ({FLAG: True, FLAG_V0: False}, {}),
        ({BASELINE: "02.14", VERSION: "05.09"}, {}),
        ({BASELINE: "02.11"}, {"item": NEW}),
        ({BASELINE: "02.11"}, {"collection": "sentinel-2-c1-l2a"}),
        ({"s2:product_uri": NEW}, {"item": OLD}),
        ({DECLARED: 0}, {"tags": ({"BOA_ADD_OFFSET": "-1000"},)}),
    ],
)
def test_a_contradiction_fails_and_quotes_both(properties: dict[str, Any], how: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match=r"scene S2A: .* says .* but .* says .*") as caught:
        decide(properties, acquired=IN_2019, **how)
    assert caught.value.reason == "boa-contradiction"


def test_two_baselines_with_the_offset_are_no_contradiction() -> None:
    assert outcome({BASELINE: "05.10"}, item=NEW) == (-1000, BASELINE)


@pytest.mark.parametrize(("override", "offset"), [(BoaOverride.APPLIED, 0), (BoaOverride.NOT_APPLIED, -1000)])
@pytest.mark.parametrize("properties", [{}, {FLAG: True, DECLARED: -1000}, {BASELINE: "05.09"}, {DECLARED: "x"}])
def test_the_user_overrides_everything(override: BoaOverride, offset: int, properties: dict[str, Any]) -> None:
    assert outcome(properties, override=override) == (offset, "option")


def test_an_offset_in_raster_bands_never_decides() -> None:
    bands = {"raster:bands": [{"offset": -0.1, "scale": 0.0001}]}
    with pytest.raises(SceneError) as caught:
        decide(bands)
    assert caught.value.reason == "boa-unknown"
    assert decide({**bands, FLAG: True, BASELINE: "05.09"}).offset == 0


def test_ireland_declares_its_offset(ireland: dict[str, Any]) -> None:
    properties = ireland["properties"]
    acquired = from_item(properties, scene="Ireland").start
    assert outcome(properties, item=ireland["id"], acquired=acquired) == (-1000, "s2:boa_add_offset")


def test_the_sahara_was_taken_before_there_was_one(sahara: dict[str, Any]) -> None:
    """Its flag says "not applied", which is true and means nothing at baseline 02.14."""
    properties = sahara["properties"]
    acquired = from_item(properties, scene="Sahara").start
    found = decide(properties, item=sahara["id"], acquired=acquired)
    assert (found.offset, found.decided_by) == (0, "earthsearch:boa_offset_applied")
    assert "s2:product_uri says N0214" in found.said


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2000, 2000),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["04.00", "02.14", "N0500", "0510", -1000, 0]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=9), st.text(max_size=5), max_size=2),
)
names = st.sampled_from(
    [FLAG, DECLARED, BASELINE, FLAG_V0, BASELINE_V0, PRODUCT_V0, VERSION, "processing:software", "s2:product_uri"]
)


@given(st.dictionaries(names, values), st.sampled_from([BEFORE, AFTER]), st.sampled_from(["S2A", OLD, NEW]))
def test_any_item_is_decided_or_fails_with_a_reason(properties: dict[str, Any], acquired: datetime, item: str) -> None:
    reason = None
    try:
        found = decide(properties, acquired=acquired, item=item)
    except SceneError as error:
        reason = error.reason
    assert reason in {None, "boa-unknown", "boa-contradiction"}
    assert reason or found.offset in {0, -1000}


@given(st.integers(0, 98), st.integers(0, 99))
def test_a_baseline_reads_alike_however_it_is_written(major: int, minor: int) -> None:
    written = [f"{major:02}.{minor:02}", f"{major:02}{minor:02}", f"N{major:02}{minor:02}", f"N{major:02}.{minor:02}"]
    assert [read_baseline(text) for text in written] == [(major, minor)] * 4
    assert read_baseline(major + minor / 100) == (major, minor)


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), 1e300])
def test_a_number_that_no_baseline_has_is_none(value: float) -> None:
    """Found by `make fuzz`: JSON has numbers of any length."""
    assert read_baseline(value) is None
