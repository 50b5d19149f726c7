"""When a scene was taken: the documented order of sources, and Clay's 4-vectors against formulas of our own."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.errors import SceneError
from clayline.scene.acquisition import Acquisition, from_cog, from_item, place_vector, time_vector

MOMENT = datetime(2024, 6, 1, 10, 30, 31, tzinfo=UTC)
LAST_SECOND = timedelta(hours=23, minutes=59, seconds=59)


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


def cog(**changes: Any) -> Acquisition:
    """Give the acquisition of a COG all of whose sources say something else."""
    given_: dict[str, Any] = {
        "scene": "s3://scenes/cog/x.tif",
        "metadata": {"datetime": "2021-01-01T01:01:01Z"},
        "file_name": "S2A_20220202T020202.tif",
        "tags": {"TIFFTAG_DATETIME": "2023:03:03 03:03:03"},
        "tiff_datetime": True,
    }
    return from_cog(**given_ | changes)


def refused(caught: pytest.ExceptionInfo[SceneError]) -> bool:
    return caught.value.reason == "no-acquisition-time"


def test_object_metadata_goes_before_the_file_name_and_that_before_the_tag() -> None:
    assert (cog().start, cog().source) == (datetime(2021, 1, 1, 1, 1, 1, tzinfo=UTC), "object-metadata")
    named = cog(metadata={})
    assert (named.start, named.source) == (datetime(2022, 2, 2, 2, 2, 2, tzinfo=UTC), "file-name")
    tagged = cog(metadata={}, file_name="scene.tif")
    assert (tagged.start, tagged.source) == (datetime(2023, 3, 3, 3, 3, 3, tzinfo=UTC), "tiff-tag")


def test_the_tag_counts_only_when_asked_for() -> None:
    with pytest.raises(SceneError, match="no acquisition time") as caught:
        cog(metadata={}, file_name="scene.tif", tiff_datetime=False)
    assert refused(caught)


@pytest.mark.parametrize(
    "tags", [{}, {"TIFFTAG_DATETIME": ""}, {"TIFFTAG_DATETIME": "yesterday"}, {"TIFFTAG_DATETIME": "2023:03:03"}]
)
def test_a_tag_that_says_nothing_is_none(tags: dict[str, str]) -> None:
    with pytest.raises(SceneError) as caught:
        cog(metadata={}, file_name="scene.tif", tags=tags)
    assert refused(caught)


@pytest.mark.parametrize(
    ("name", "start", "is_instant"),
    [
        ("LC08_L1TP_224078_20200518_20200518_01_RT_B4.TIF", day(2020, 5, 18), False),
        ("LC08_L2SP_008059_20191201_20200825_02_T1.tif", day(2019, 12, 1), False),
        ("S2A_MSIL2A_20200219T112111_N0214_R037_T29RKH.tif", datetime(2020, 2, 19, 11, 21, 11, tzinfo=UTC), True),
        ("T32UQD_20240601T103031_B04.tif", datetime(2024, 6, 1, 10, 30, 31, tzinfo=UTC), True),
        ("m_4609915_ne_14_1_20150817.tif", day(2015, 8, 17), False),
        ("scene-2019-04-16.tif", day(2019, 4, 16), False),
        ("s2_2019-04-16T103031.tif", datetime(2019, 4, 16, 10, 30, 31, tzinfo=UTC), True),
    ],
)
def test_file_names(name: str, start: datetime, *, is_instant: bool) -> None:
    found = cog(metadata={}, first_date=True, file_name=name)
    assert (found.start, found.start == found.end, found.source) == (start, is_instant, "file-name")
    assert found.end == (start if is_instant else start + LAST_SECOND)


@pytest.mark.parametrize(
    "name",
    ["x_20200518_20200601.tif", "x_20200518T100000_20200518T110000.tif", "LC08_mosaic_20191201_20200825.tif"],
)
def test_two_dates_in_a_name_are_refused_unless_the_form_says_which(name: str) -> None:
    with pytest.raises(SceneError, match="has several dates") as caught:
        cog(metadata={}, file_name=name)
    assert caught.value.reason == "ambiguous-time"
    assert cog(metadata={}, file_name=name, first_date=True).source == "file-name"
    assert cog(file_name=name).source == "object-metadata", "a statement needs no name"


def test_one_date_said_twice_is_one() -> None:
    assert cog(metadata={}, file_name="x_20200518_2020-05-18.tif").start == day(2020, 5, 18)


@pytest.mark.parametrize(
    "name",
    [
        "scene.tif",
        "224078.tif",
        "x_18991231.tif",
        "20201301.tif",
        "1202005181.tif",
        "123_20200518123.tif",
        "20200532.tif",
    ],
)
def test_file_names_that_hold_no_date(name: str) -> None:
    with pytest.raises(SceneError) as caught:
        cog(metadata={}, file_name=name, tags={})
    assert refused(caught)


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"datetime": "soon"}},
        {"metadata": {}, "file_name": "x_20200231.tif"},
        {"metadata": {}, "file_name": "x", "tags": {"TIFFTAG_DATETIME": "2023:02:31 00:00:00"}},
    ],
)
def test_a_source_that_is_there_but_wrong_is_not_passed_over(changes: dict[str, Any]) -> None:
    """31 February in the file name must not quietly become the tag's time."""
    with pytest.raises(SceneError, match=r"s3://scenes/cog/x\.tif: its acquisition time cannot be read") as caught:
        cog(**changes)
    assert refused(caught)


@pytest.mark.parametrize(
    "text",
    [
        "2024-06-01T10:30:31Z",
        "2024-06-01T10:30:31+00:00",
        "2024-06-01T10:30:31.987654Z",
        "2024-06-01T12:30:31+02:00",
        "2024-06-01T10:30:31",
        "2024-06-01 10:30:31",
        "20240601T103031Z",
    ],
)
def test_an_items_instant_in_utc_and_whole_seconds(text: str) -> None:
    """A naive time is UTC, never this machine's."""
    assert from_item({"datetime": text}, scene="x") == Acquisition(start=MOMENT, end=MOMENT, source="item:datetime")


@pytest.mark.parametrize("text", ["2024-06-01", "20240601"])
def test_a_date_without_a_time_is_a_day(text: str) -> None:
    expected = (day(2024, 6, 1), day(2024, 6, 1) + LAST_SECOND)
    found = from_item({"datetime": text}, scene="x")
    assert (found.start, found.end) == expected
    named = cog(metadata={"datetime": text})
    assert (named.start, named.end, named.source) == (*expected, "object-metadata")


@pytest.mark.parametrize("properties", [{"datetime": None}, {}])
def test_an_interval_is_whole_days(properties: dict[str, Any]) -> None:
    span = {"start_datetime": "2024-06-01T10:30:31Z", "end_datetime": "2024-06-03T01:00:00Z"}
    found = from_item(properties | span, scene="x")
    assert (found.start, found.end, found.source) == (day(2024, 6, 1), day(2024, 6, 3) + LAST_SECOND, "item:interval")


def test_datetime_goes_before_the_interval() -> None:
    span = {"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-01-02T00:00:00Z"}
    assert from_item({"datetime": "2024-06-01T10:30:31Z", **span}, scene="x").start == MOMENT


def test_an_interval_of_no_length_is_an_instant() -> None:
    text = "2024-06-01T10:30:31Z"
    found = from_item({"start_datetime": text, "end_datetime": text}, scene="x")
    assert (found.start, found.end) == (MOMENT, MOMENT)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"datetime": None},
        {"datetime": ""},
        {"start_datetime": "2024-06-01T00:00:00Z"},
        {"end_datetime": "2024-06-01T00:00:00Z"},
        {"datetime": "2024-02-31T00:00:00Z"},
        {"datetime": "2024-02-31"},
        {"datetime": "2024-06-01T25:00:00Z"},
        {"datetime": 20240601.5},
        {"datetime": ["2024-06-01T00:00:00Z"]},
        {"datetime": "0001-01-01T00:00:00+05:00"},
        {"datetime": "9999-12-31T23:00:00-05:00"},
        {"start_datetime": "2024-06-02T00:00:00Z", "end_datetime": "2024-06-01T00:00:00Z"},
        {"start_datetime": "x", "end_datetime": "y"},
    ],
)
def test_an_item_without_a_usable_time(properties: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match="scene S2A") as caught:
        from_item(properties, scene="S2A")
    assert refused(caught)


@given(
    st.dictionaries(
        st.sampled_from(["datetime", "start_datetime", "end_datetime"]),
        st.one_of(st.none(), st.text(max_size=25), st.datetimes().map(str), st.integers(), st.floats()),
    )
)
def test_any_time_is_an_interval_or_the_scenes_error(properties: dict[str, Any]) -> None:
    try:
        found = from_item(properties, scene="x")
    except SceneError:
        return
    assert found.start <= found.end
    assert found.start.utcoffset() == timedelta(0)


def iso_week(moment: date) -> int:
    """ISO 8601: week 1 is the one with the year's first Thursday, weeks begin on Monday."""
    thursday = moment + timedelta(days=3 - moment.weekday())
    return (thursday - date(thursday.year, 1, 1)).days // 7 + 1


@given(
    st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.sampled_from(["noon", "acquisition"]),
)
def test_the_time_vector(moment: datetime, hour: str) -> None:
    sine, cosine, hour_sine, hour_cosine = time_vector(moment, hour=hour)
    week = 2 * math.pi * iso_week(moment.date()) / 52
    clock = 2 * math.pi * (12 if hour == "noon" else moment.hour) / 24
    assert (sine, cosine) == pytest.approx((math.sin(week), math.cos(week)), abs=1e-12)
    assert (hour_sine, hour_cosine) == pytest.approx((math.sin(clock), math.cos(clock)), abs=1e-12)


def test_week_53_and_years_that_begin_in_the_last_one() -> None:
    assert iso_week(date(2021, 1, 3)) == 53
    assert iso_week(date(2018, 12, 31)) == 1
    assert time_vector(day(2021, 1, 3), hour="noon") == time_vector(day(2020, 12, 28), hour="noon")
    assert time_vector(day(2018, 12, 31), hour="noon") == time_vector(day(2019, 1, 6), hour="noon")


@given(lon=st.floats(-180, 180), lat=st.floats(-90, 90))
def test_the_place_vector_in_both_orders(lon: float, lat: float) -> None:
    of_lon = [math.sin(lon * math.pi / 180), math.cos(lon * math.pi / 180)]
    of_lat = [math.sin(lat * math.pi / 180), math.cos(lat * math.pi / 180)]
    assert place_vector(lon, lat, order="lonlat") == pytest.approx(of_lon + of_lat, abs=1e-12)
    assert place_vector(lon, lat, order="latlon") == pytest.approx(of_lat + of_lon, abs=1e-12)


def test_all_zero_is_all_zero() -> None:
    """Clay was trained with a fifth of the batches so: it is in distribution."""
    assert time_vector(MOMENT, hour="all-zero") == [0, 0, 0, 0]
    assert place_vector(5.0, 50.0, order="all-zero") == [0, 0, 0, 0]
