"""The identifier: docs/uci.md is read and held, and its promises are tried on any parts."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clayline.errors import InvalidIdentifierError
from clayline.identity import mgrs, uci, utm
from clayline.identity.uci import Instant, Interval, Uci, Window
from clayline.identity.utm import Utm

DOC = (Path(__file__).parents[2] / "docs" / "uci.md").read_text()
EXAMPLE = "32UQD-r00000c00256s256g10000_20240601T103031_s2a-msi-l2a_clay-v1.5-cls"


def table(heading: str) -> list[tuple[str, str]]:
    section = DOC.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, flags=re.MULTILINE)


VALID, REJECTED = table("Valid"), table("Rejected")


def test_the_document_has_examples() -> None:
    assert len(VALID) >= 9
    assert len(REJECTED) >= 20
    assert EXAMPLE in DOC.split("## Grammar")[0]


@pytest.mark.parametrize("text", [text for text, _ in VALID])
def test_valid_examples_round_trip(text: str) -> None:
    assert uci.format(uci.parse(text)) == text


@pytest.mark.parametrize(("text", "reason"), REJECTED)
def test_rejected_examples_are_rejected_for_what_the_document_says(text: str, reason: str) -> None:
    with pytest.raises(InvalidIdentifierError, match=re.escape(reason)) as caught:
        uci.parse(text)
    assert text in str(caught.value), "the error names the identifier"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "___",
        EXAMPLE + "\n",
        "\n" + EXAMPLE,
        EXAMPLE + " ",
        EXAMPLE.replace("00256", "0025\u0666"),
        EXAMPLE.replace("2024", "\uff12024"),
        EXAMPLE + "_x",
        EXAMPLE.replace("s256", "s0"),
        EXAMPLE.replace("s256", "s-256"),
        EXAMPLE.replace("g10000", "g0"),
        EXAMPLE.replace("g10000", "g100000001"),
        EXAMPLE.replace("00256", "10980"),
        EXAMPLE.replace("00256", "000256"),
        EXAMPLE.replace("T103031", "T103060"),
        EXAMPLE.replace("T103031", "T1030"),
        EXAMPLE.replace("20240601", "20231301"),
        EXAMPLE.replace("20240601", "00000601"),
        EXAMPLE.replace("T103031", "-20240601T103031"),
        EXAMPLE.replace("s2a-msi", "s2a--msi"),
        EXAMPLE.replace("s2a-msi-l2a", "-s2a"),
        EXAMPLE.replace("s2a-msi-l2a", ".."),
        EXAMPLE.replace("s2a-msi-l2a", ""),
        EXAMPLE.replace("v1.5", "v1."),
        EXAMPLE.replace("v1.5", "v1..5"),
        EXAMPLE.replace("v1.5", "v"),
        EXAMPLE.replace("-cls", "-"),
        EXAMPLE.replace("clay-", ""),
        EXAMPLE.replace("32UQD", "ZAH"),
        EXAMPLE.replace("-cls", "-c" + "l" * 128),
    ],
)
def test_what_is_no_identifier_is_rejected(text: str) -> None:
    with pytest.raises(InvalidIdentifierError):
        uci.parse(text)


def test_the_parts_of_the_example() -> None:
    assert uci.parse(EXAMPLE) == Uci(
        location=Window(tile="32UQD", row=0, col=256, size=256, gsd_mm=10_000),
        time=Instant(moment=datetime(2024, 6, 1, 10, 30, 31, tzinfo=UTC)),
        instrument="s2a-msi-l2a",
        model="clay-v1.5-cls",
    )


words = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
sides = {"size": st.integers(1, 99_999), "gsd_mm": st.integers(1, 100_000_000)}
tiles = st.builds(mgrs.square_of, st.floats(-180, 180), st.floats(-80, 83.999))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    gsd_mm = draw(st.integers(1, 109_800_000))
    gsd_mm = min(gsd_mm, 100_000_000)
    last = min(99_999, (109_800_000 - 1) // gsd_mm)
    row, col = draw(st.integers(0, last)), draw(st.integers(0, last))
    return Window(tile=draw(tiles), row=row, col=col, size=draw(sides["size"]), gsd_mm=gsd_mm)


points = st.builds(uci.point_from_lonlat, st.floats(-180, 180), st.floats(-90, 90), **sides)
days = st.dates(min_value=date(1, 1, 1))
instants = st.builds(Instant.of, st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants naive bounds
intervals = st.builds(lambda *both: Interval(start=min(both), end=max(both)), days, days)
models = st.builds("{}-v{}-{}".format, words, st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,2}){0,2}", fullmatch=True), words)
identifiers = st.builds(Uci, location=windows() | points, time=instants | intervals, instrument=words, model=models)


@settings(max_examples=400)
@given(identifiers)
def test_any_identifier_round_trips_and_is_safe(identifier: Uci) -> None:
    text = uci.format(identifier)
    assert uci.parse(text) == identifier
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", text)
    assert ".." not in text


@settings(max_examples=300)
@given(identifiers, st.integers(0, 127), st.characters(codec="ascii"))
def test_a_changed_character_gives_another_identifier_or_an_error(
    identifier: Uci, position: int, character: str
) -> None:
    text = uci.format(identifier)
    position %= len(text)
    changed = text[:position] + character + text[position + 1 :]
    try:
        parsed = uci.parse(changed)
    except InvalidIdentifierError:
        return
    assert uci.format(parsed) == changed
    assert (parsed == identifier) == (changed == text)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["29UNU", "32UQD", "53HMC"]), st.integers(0, 10_979), st.integers(0, 10_979), instants
        ),
        min_size=2,
    )
)
def test_windows_sort_by_tile_row_column_and_time(parts: list[tuple[str, int, int, Instant]]) -> None:
    def text(tile: str, row: int, col: int, time: Instant) -> str:
        location = Window(tile=tile, row=row, col=col, size=256, gsd_mm=10_000)
        return uci.format(Uci(location=location, time=time, instrument="s2-msi-l2a", model="clay-v1.5-cls"))

    by_place = sorted(parts, key=lambda part: (part[0], part[1], part[2], part[3].moment))
    assert sorted(text(*part) for part in parts) == [text(*part) for part in by_place]


def test_a_chip_is_contiguous_though_sizes_and_gsds_have_no_fixed_width() -> None:
    chips = [(64, 1000), (64, 10_000), (640, 1000), (640, 10_000)]
    times = [Interval(start=date(year, 1, 1), end=date(year, 12, 31)) for year in (2019, 2024)]
    texts = sorted(
        uci.format(
            Uci(
                location=Window(tile="32UQD", row=0, col=0, size=size, gsd_mm=gsd_mm),
                time=time,
                instrument="a",
                model="b-v1-c",
            )
        )
        for size, gsd_mm in chips
        for time in times
    )
    for size, gsd_mm in chips:
        prefix = f"32UQD-r00000c00000s{size}g{gsd_mm}_"
        at = [index for index, text in enumerate(texts) if text.startswith(prefix)]
        assert at == [at[0], at[0] + 1]
        assert [text.startswith(prefix + "2024") for text in texts].count(True) == 1


def test_the_model_is_split_at_its_first_version() -> None:
    parts = uci.model_parts("starter-v1.0-s2-rgbns")
    assert (parts.name, parts.version, parts.variant) == ("starter", "1.0", "s2-rgbns")
    parts = uci.model_parts("a-b-v2-c-v3-d")
    assert (parts.name, parts.version, parts.variant) == ("a-b", "2", "c-v3-d")


@pytest.mark.parametrize(
    ("gsd", "cell"),
    [
        (30_000, 10),
        (14_030, 10),
        (10_000, 10),
        (9_999, 1),
        (60_000, 10),
        (100_000, 100),
        (600, 0.1),
        (75, 0.01),
        (1, 0.001),
    ],
)
def test_a_points_cell_is_the_largest_one_no_larger_than_a_pixel(gsd: int, cell: float) -> None:
    point = uci.point_from_lonlat(8.5417, 47.3769, size=64, gsd_mm=gsd)
    assert mgrs.parse(point.reference).size == cell
    assert cell * 1000 <= gsd < cell * 10_000


def test_a_centre_on_a_cells_border_keeps_its_cell_whatever_the_noise() -> None:
    clean = uci.point_from_utm(
        Utm(zone=21, north=True, easting=718_310.0, northing=-2_777_950.0), size=64, gsd_mm=30_000
    )
    assert clean.reference == "21JYN18312205"
    for noise in (-4e-4, -1e-9, 1e-9, 4e-4):
        noisy = Utm(zone=21, north=True, easting=718_310.0 + noise, northing=-2_777_950.0 + noise)
        assert uci.point_from_utm(noisy, size=64, gsd_mm=30_000) == clean


@settings(max_examples=200)
@given(st.integers(1, 60), st.floats(-9.0, 9.0), st.floats(-89.0, 89.0), st.integers(1, 100_000_000))
def test_every_point_made_is_a_point_read(zone: int, away: float, lat: float, gsd_mm: int) -> None:
    # Centres up to three degrees over the border of the scene's zone, and beyond the edges of UTM.
    position = utm.forward(6 * zone - 183 + away, lat, zone)
    point = uci.point_from_utm(position, size=64, gsd_mm=gsd_mm)
    assert uci.parse_location(str(point)) == point


@pytest.mark.parametrize(
    ("row", "col", "size", "gsd_mm", "reason"),
    [
        (-1, 0, 256, 10_000, "row -1"),
        (0, -1, 256, 10_000, "column -1"),
        (10_980, 0, 256, 10_000, "row 10980"),
        (0, 100_000, 256, 1, "column 100000"),
        (0, 0, 0, 10_000, "size 0"),
        (0, 0, 100_000, 10_000, "size 100000"),
        (0, 0, 256, 0, "GSD 0"),
        (0, 0, 256, 100_000_001, "GSD 100000001"),
    ],
)
def test_a_window_that_cannot_be_is_refused(*, row: int, col: int, size: int, gsd_mm: int, reason: str) -> None:
    with pytest.raises(InvalidIdentifierError, match=reason):
        Window(tile="32UQD", row=row, col=col, size=size, gsd_mm=gsd_mm)


def test_an_instant_is_utc_to_the_second() -> None:
    moment = datetime(2024, 6, 1, 23, 30, 31, 999_999, tzinfo=timezone(timedelta(hours=-2)))
    assert str(Instant.of(moment)) == "20240602T013031"
    with pytest.raises(InvalidIdentifierError, match="not in UTC"):
        Instant(moment=moment)
    with pytest.raises(InvalidIdentifierError, match="no time zone"):
        Instant.of(datetime(2024, 6, 1))  # noqa: DTZ001 - that is the error


def test_an_interval_is_of_days_in_order() -> None:
    with pytest.raises(InvalidIdentifierError, match="ends before it starts"):
        Interval(start=date(2024, 6, 2), end=date(2024, 6, 1))
    with pytest.raises(InvalidIdentifierError, match="takes dates"):
        Interval(start=datetime(2024, 6, 1, tzinfo=UTC), end=date(2024, 6, 2))


def test_an_identifier_that_would_be_too_long_cannot_be_made() -> None:
    location, time = (
        Window(tile="32UQD", row=0, col=0, size=256, gsd_mm=10_000),
        Interval(start=date(2024, 6, 1), end=date(2024, 6, 1)),
    )
    fixed = len(f"{location}_{time}_s2_clay-v1-")
    longest = Uci(location=location, time=time, instrument="s2", model="clay-v1-" + "a" * (128 - fixed))
    assert len(uci.format(longest)) == 128
    with pytest.raises(InvalidIdentifierError, match="129 characters"):
        Uci(location=location, time=time, instrument="s2", model=longest.model + "a")


@pytest.mark.parametrize(
    ("tile", "epsg", "x", "y", "gsd", "fits"),
    [
        ("29UNU", 32629, 499_980, 5_900_040, 60, True),
        ("29RKH", 32629, 199_980, 2_800_020, 100, True),
        ("29UNU", 32629, 499_980.009, 5_900_039.992, 10, True),
        ("29UNU", 32629, 499_980.02, 5_900_040, 10, False),
        ("29UNU", 32629, 500_000, 5_900_000, 10, False),
        ("29UNU", 32630, 499_980, 5_900_040, 10, False),
        ("29UNU", 32729, 499_980, 15_900_040, 10, True),
        ("29UNU", 32729, 499_980, 5_900_040, 10, False),
        ("29UNU", 4326, 499_980, 5_900_040, 10, False),
        ("29UNU", 32629, 499_980, 5_900_040, 444.785_156_25, False),
        ("29UNU", 32629, 499_980, 5_900_040, 0.0001, False),
        ("56HKE", 32756, 199_980, 6_000_040, 10, True),
        ("56HKE", 32656, 199_980, -3_999_960, 30, True),
        ("56HKE", 32656, 199_980, 6_000_040, 30, False),
    ],
)
def test_fits_tile(*, tile: str, epsg: int, x: float, y: float, gsd: float, fits: bool) -> None:
    assert uci.fits_tile(tile, epsg=epsg, origin_x=x, origin_y=y, gsd=gsd) is fits
