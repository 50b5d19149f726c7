"""MGRS references against GeographicLib (the committed CSVs, see make_fixtures.py), the mgrs package and real product
tiles.
"""

import csv
import re
from functools import cache
from pathlib import Path

import mgrs as nga
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from clayline.errors import InvalidIdentifierError
from clayline.identity import mgrs, utm
from clayline.identity.utm import Utm

HERE = Path(__file__).parent


def read(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(newline="") as file:
        return list(csv.DictReader(file))


CASES = read("mgrs_cases.csv")
SQUARES = read("mgrs_rows.csv")


@cache
def to_lonlat(epsg: int) -> Transformer:
    return Transformer.from_crs(f"EPSG:{epsg}", "OGC:CRS84", always_xy=True)


def test_the_fixture_holds_the_hard_cases() -> None:
    kinds = {case["kind"] for case in CASES}
    assert len(CASES) >= 300
    assert kinds == {
        "zone border",
        "band border",
        "Norway",
        "Svalbard",
        "equator",
        "84 N",
        "80 S",
        "cap",
        "pole",
        "antimeridian",
        "anywhere",
    }
    assert {case["digits"] for case in CASES} == set("012345678")


@pytest.mark.parametrize("kind", sorted({case["kind"] for case in CASES}))
def test_references_are_those_of_geographiclib(kind: str) -> None:
    cases = [case for case in CASES if case["kind"] == kind]
    ours = [mgrs.from_lonlat(float(case["lon"]), float(case["lat"]), int(case["digits"])) for case in cases]
    assert ours == [case["reference"] for case in cases]


@pytest.mark.parametrize("kind", sorted({case["kind"] for case in CASES}))
def test_cells_are_those_of_geographiclib(kind: str) -> None:
    for case in (case for case in CASES if case["kind"] == kind):
        cell = mgrs.parse(case["finest"])
        zone = (f"{cell.zone:02d}" if cell.zone else "") + "sn"[cell.north]
        assert (zone, f"{cell.easting:.6f}", f"{cell.northing:.6f}") == (
            case["zone"],
            case["easting"],
            case["northing"],
        ), case
        assert (cell.size, cell.digits) == (1e-6, 11)


@pytest.mark.parametrize("band", "CDEFGHJKLMNPQRSTUVWX")
def test_a_row_letter_is_resolved_by_its_band_as_geographiclib_does(band: str) -> None:
    for square in (square for square in SQUARES if square["band"] == band):
        for row in "ABCDEFGHJKLMNPQRSTUV":
            theirs = {entry[0]: int(entry[1:]) for entry in square["rows"].split()}.get(row)
            name = square["zone"] + band + square["column"] + row
            # GeographicLib takes some squares wholly outside 80 S to 84 N, where no UTM reference is needed.
            if theirs is None or beyond_utm(theirs, square["column"], north=band >= "N"):
                with pytest.raises(InvalidIdentifierError, match=f"outside latitude band {band}"):
                    mgrs.parse(name)
            else:
                assert mgrs.parse(name).northing == theirs * 1000, name


def beyond_utm(northing_km: int, column: str, *, north: bool) -> bool:
    """Whether all of a square lies beyond 84 N or 80 S, by PROJ."""
    letters = next(letters for letters in ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR") if column in letters)
    easting = 100_000 * (1 + letters.index(column))
    corners = [(easting + x, northing_km * 1000 + y) for x in (0, 100_000) for y in (0, 100_000)]
    latitudes = [to_lonlat(32631 if north else 32731).transform(*corner)[1] for corner in corners]
    return bool(min(latitudes) > 84 or max(latitudes) < -80)


@settings(max_examples=300)
@given(
    st.integers(1, 60),
    st.integers(500_000 - 160_000, 500_000 + 160_000),
    st.integers(-8_800_000, 9_200_000),
    st.integers(0, 5),
)
def test_references_are_those_of_the_mgrs_package(zone: int, easting: int, from_equator: int, digits: int) -> None:
    # A quarter of a metre into the cell: a longitude that is rounded changes nothing. The package is wrong at 84 N and
    # 80 S: those cases are GeographicLib's above.
    north = from_equator >= 0
    position = Utm(
        zone=zone, north=north, easting=easting + 0.25, northing=from_equator + 0.25 + (0 if north else 10_000_000)
    )
    lon, lat = to_lonlat(position.epsg).transform(position.easting, position.northing)
    assert mgrs.from_utm(position, digits) == nga.MGRS().toMGRS(lat, lon, MGRSPrecision=digits)


@settings(max_examples=300)
@given(st.floats(-180, 180), st.floats(-90, 90), st.integers(0, 11))
def test_a_place_lies_in_the_cell_of_its_reference(lon: float, lat: float, digits: int) -> None:
    reference = mgrs.from_lonlat(lon, lat, digits)
    place, cell = mgrs.snap(utm.forward(lon, lat)), mgrs.parse(reference)
    assert (cell.zone, cell.north, cell.digits) == (place.zone, place.north, digits)
    tolerance = 1e-7
    assert -tolerance <= place.easting - cell.easting < cell.size + tolerance
    assert -tolerance <= place.northing - cell.northing < cell.size + tolerance


@settings(max_examples=200)
@given(st.floats(-180, 180), st.floats(-90, 90))
def test_fewer_digits_are_a_prefix_of_more(lon: float, lat: float) -> None:
    finest = mgrs.from_lonlat(lon, lat, 11)
    letters, figures = (finest[:-22], finest[-22:])
    assert figures[8:11] == figures[19:] == "000", "a millimetre is the finest step"
    for digits in range(11):
        assert mgrs.from_lonlat(lon, lat, digits) == letters + figures[:digits] + figures[11 : 11 + digits]
    assert mgrs.square_of(lon, lat) == letters


@pytest.mark.parametrize(
    ("lat", "band", "northing"), [(-1e-9, "N", "00000000"), (0.0, "N", "00000000"), (-1e-8, "M", "99999999")]
)
def test_within_half_a_millimetre_of_the_equator_is_on_it(lat: float, band: str, northing: str) -> None:
    reference = mgrs.from_lonlat(9.5, lat, 8)
    assert (reference[2], reference[-8:]) == (band, northing)


def test_a_northern_zone_with_negative_northings_is_the_same_place() -> None:
    # The Itaipu scene's origin as Landsat gives it (EPSG:32621) and in its own hemisphere's system.
    landsat = Utm(zone=21, north=True, easting=717_345, northing=-2_776_995)
    south = Utm(zone=21, north=False, easting=717_345, northing=7_223_005)
    assert mgrs.from_utm(landsat, 4) == mgrs.from_utm(south, 4)
    lon, lat = to_lonlat(32621).transform(717_345.25, -2_776_994.75)
    assert mgrs.from_utm(landsat, 4) == nga.MGRS().toMGRS(lat, lon, MGRSPrecision=4)


def test_a_scene_over_its_zones_border_names_the_zone_of_the_place() -> None:
    # 6.5 E, 50 N in the system of zone 31: the reference is of zone 32.
    easting, northing = to_lonlat(32631).transform(6.5, 50, direction="INVERSE")
    assert mgrs.from_utm(Utm(zone=31, north=True, easting=easting, northing=northing), 4) == mgrs.from_lonlat(
        6.5, 50, 4
    )
    assert mgrs.from_lonlat(6.5, 50, 4).startswith("32U")


@pytest.mark.parametrize(
    ("tile", "epsg", "easting", "northing"),
    [
        # ../shared/data: the GeoTIFFs of the Irish and the Saharan scene.
        ("29UNU", 32629, 499_980, 5_900_040),
        ("29RKH", 32629, 199_980, 2_800_020),
        # Earth Search, S2A_29TNG_20170128_0_L2A.
        ("29TNG", 32629, 499_980, 4_700_040),
        # Digital Earth Australia, ga_s2am_ard_3 and ga_s2bm_ard_3: grids of datasets of these regions, southern
        # hemisphere.
        ("53HMC", 32753, 399_960, 6_300_040),
        ("56HKE", 32756, 199_980, 6_000_040),
        ("53JNN", 32753, 499_980, 7_300_000),
        ("52JFL", 32752, 600_000, 6_600_040),
        # Digital Earth Africa, S2A_MSIL2A_20200909T065031_N0214_R077_T39MXR, five degrees south.
        ("39MXR", 32739, 600_000, 9_600_040),
    ],
)
def test_tile_origins_are_those_of_real_products(tile: str, epsg: int, easting: int, northing: int) -> None:
    origin = mgrs.tile_origin(tile)
    assert (origin.epsg, origin.easting, origin.northing) == (epsg, easting, northing)


@settings(max_examples=200)
@given(st.floats(-180, 180), st.floats(-79.9, 83.9))
def test_a_tile_covers_its_square_and_no_60_m_more_than_it_must(lon: float, lat: float) -> None:
    square = mgrs.square_of(lon, lat)
    cell, origin = mgrs.parse(square), mgrs.tile_origin(square)
    false = 0 if cell.north else 10_000_000
    assert origin.zone == cell.zone
    assert 0 <= cell.easting - origin.easting < 60
    assert 0 <= origin.northing - (cell.northing + 100_000) < 60
    assert origin.easting % 60 == (origin.northing - false) % 60 == 0


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("", "no MGRS reference"),
        ("32uqd", "no MGRS reference"),
        ("32UQD\n", "no MGRS reference"),
        ("32UQD 12 34", "no MGRS reference"),
        ("2UQD", "no MGRS reference"),
        ("32UQD\u0661\u0662", "no MGRS reference"),
        ("32UQD123", "3 digits"),
        ("32UQD" + "1" * 24, "24 digits"),
        ("00UQD", "zone 00"),
        ("61UQD", "zone 61"),
        ("32IQD", "latitude band I"),
        ("32OQD", "latitude band O"),
        ("32AQD", "latitude band A"),
        ("32ZQD", "latitude band Z"),
        ("32UID", "square ID"),
        ("32UQO", "square QO"),
        ("32UAD", "square AD"),
        ("32UQW", "square QW"),
        ("32UQL", "outside latitude band U"),
        ("32NPE", "outside latitude band N"),
        ("32MPF", "outside latitude band M"),
        ("UQD", "no zone"),
        ("ZKA", "square KA"),
        ("AAA", "square AA"),
        ("ZAZ", "square AZ"),
    ],
)
def test_what_is_no_reference_is_refused(reference: str, reason: str) -> None:
    with pytest.raises(InvalidIdentifierError, match=re.escape(reason)):
        mgrs.parse(reference)


@pytest.mark.parametrize("tile", ["32UQD12", "ZAH", "32UQL", "32uqd", "T32UQD"])
def test_what_is_no_tile_is_refused(tile: str) -> None:
    with pytest.raises(InvalidIdentifierError, match=tile):
        mgrs.tile_origin(tile)


@pytest.mark.parametrize(
    "position",
    [
        Utm(zone=32, north=True, easting=50_000, northing=5_000_000),
        Utm(zone=32, north=True, easting=950_000, northing=5_000_000),
        Utm(zone=32, north=True, easting=500_000, northing=9_400_000),
        Utm(zone=0, north=True, easting=1_000_000, northing=2_000_000),
    ],
)
def test_a_position_that_mgrs_has_no_letters_for_is_refused(position: Utm) -> None:
    with pytest.raises(InvalidIdentifierError, match="has no MGRS reference"):
        mgrs.format(position, 4)


@pytest.mark.parametrize("digits", [-1, 12])
def test_too_many_digits_are_refused(digits: int) -> None:
    with pytest.raises(InvalidIdentifierError, match="0 to 11 digits"):
        mgrs.from_lonlat(0, 0, digits)


def test_a_southern_tiles_north_edge_is_counted_from_the_equator() -> None:
    # Counted from the false origin the ceiling would change nothing: 7,200,000 is a multiple of 60, -2,800,000 is none.
    # GDAL's tests hold a product's metadata with this corner (ULX 499980, ULY 7200040, EPSG:32753).
    origin = mgrs.tile_origin("53JNM")
    assert (origin.epsg, origin.easting, origin.northing) == (32753, 499_980, 7_200_040)
