"""UTM and UPS against PROJ (pyproj), which computes transverse Mercator by other code."""

from functools import cache
from math import hypot, inf, nan

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from clayline.errors import InvalidIdentifierError
from clayline.identity import utm
from clayline.identity.utm import Utm

MICROMETRE = 1e-6
GEOD = Geod(ellps="WGS84")

longitudes = st.floats(-180, 180)
latitudes = st.floats(-90, 90)


@cache
def to_projected(epsg: int) -> Transformer:
    return Transformer.from_crs("OGC:CRS84", f"EPSG:{epsg}", always_xy=True)


def distance(position: Utm, lon: float, lat: float) -> float:
    easting, northing = to_projected(position.epsg).transform(lon, lat)
    return hypot(position.easting - easting, position.northing - northing)


@settings(max_examples=500)
@given(longitudes, latitudes)
@example(0.0, 90.0)
@example(33.0, -90.0)
@example(180.0, 0.0)
@example(3.0, 0.0)
@example(-180.0, -80.0)
def test_standard_zone_projects_as_proj_does(lon: float, lat: float) -> None:
    assert distance(utm.forward(lon, lat), lon, lat) < MICROMETRE


@settings(max_examples=300)
@given(st.integers(1, 60), st.floats(-9, 9), st.floats(-80, 84))
def test_any_zone_within_nine_degrees_projects_as_proj_does(zone: int, away: float, lat: float) -> None:
    lon = 6 * zone - 183 + away
    position = utm.forward(lon, lat, zone)
    assert position.zone == zone
    assert position.north == (lat >= 0)
    assert distance(position, lon, lat) < MICROMETRE


@settings(max_examples=500)
@given(
    zone=st.integers(1, 60),
    north=st.booleans(),
    easting=st.floats(100_000, 900_000),
    from_equator=st.floats(-9_300_000, 9_300_000),
)
@example(zone=21, north=True, easting=717_345.0, from_equator=-2_776_995.0)
def test_inverse_agrees_with_proj_on_both_sides_of_the_equator(
    *, zone: int, north: bool, easting: float, from_equator: float
) -> None:
    position = Utm(zone=zone, north=north, easting=easting, northing=from_equator + (0 if north else 10_000_000))
    lon, lat = utm.inverse(position)
    expected = to_projected(position.epsg).transform(position.easting, position.northing, direction="INVERSE")
    assert GEOD.inv(lon, lat, *expected)[2] < MICROMETRE
    assert -180 <= lon < 180


@settings(max_examples=300)
@given(north=st.booleans(), x=st.floats(-1_200_000, 1_200_000), y=st.floats(-1_200_000, 1_200_000))
def test_polar_inverse_agrees_with_proj(*, north: bool, x: float, y: float) -> None:
    assume(hypot(x, y) > 1e-3)
    position = Utm(zone=0, north=north, easting=2_000_000 + x, northing=2_000_000 + y)
    expected = to_projected(position.epsg).transform(position.easting, position.northing, direction="INVERSE")
    assert GEOD.inv(*utm.inverse(position), *expected)[2] < MICROMETRE


def test_a_pole_is_found_at_its_own_coordinates() -> None:
    assert utm.inverse(Utm(zone=0, north=True, easting=2_000_000, northing=2_000_000)) == (0, 90)
    assert utm.inverse(Utm(zone=0, north=False, easting=2_000_000, northing=2_000_000)) == (0, -90)


@pytest.mark.parametrize(
    ("lon", "lat", "zone"),
    [
        (-180, 0, 1),
        (180, 0, 1),
        (179.999999, 0, 60),
        (-6, 10, 30),
        (-1e-17, 10, 30),
        (0, 10, 31),
        (5.999, 10, 31),
        (6, 10, 32),
        (366, 10, 32),
        # The south-west of Norway is in zone 32 from 3 E.
        (2.999, 60, 31),
        (3, 60, 32),
        (3, 56, 32),
        (3, 55.999, 31),
        (5.999, 63.999, 32),
        (3, 64, 31),
        # Svalbard has zones 31, 33, 35 and 37 only.
        (8.999, 72, 31),
        (9, 72, 33),
        (9, 71.999, 32),
        (20.999, 80, 33),
        (21, 80, 35),
        (33, 80, 37),
        (41.999, 83.999, 37),
        (42, 80, 38),
        (-0.001, 80, 30),
        # The polar caps.
        (12, 83.999999, 33),
        (12, 84, 0),
        (12, -80, 33),
        (12, -80.000001, 0),
    ],
)
def test_standard_zone(lon: float, lat: float, zone: int) -> None:
    assert utm.standard_zone(lon, lat) == zone


@pytest.mark.parametrize(("lon", "lat"), [(nan, 0), (0, nan), (inf, 0), (0, 90.0001), (0, -91)])
def test_what_is_no_place_is_refused(lon: float, lat: float) -> None:
    with pytest.raises(InvalidIdentifierError, match="no place"):
        utm.forward(lon, lat)


def test_a_zone_far_from_the_place_is_refused() -> None:
    with pytest.raises(InvalidIdentifierError, match="zone of the place itself"):
        utm.forward(100, 0, 1)


@pytest.mark.parametrize(
    "position",
    [
        Utm(zone=61, north=True, easting=500_000, northing=0),
        Utm(zone=-1, north=True, easting=500_000, northing=0),
        Utm(zone=1, north=True, easting=nan, northing=0),
        Utm(zone=1, north=True, easting=500_000, northing=inf),
        Utm(zone=1, north=True, easting=5e6, northing=0),
        Utm(zone=1, north=False, easting=500_000, northing=-1e6),
        Utm(zone=0, north=True, easting=2e6, northing=2e7),
    ],
)
def test_coordinates_out_of_reach_are_refused(position: Utm) -> None:
    with pytest.raises(InvalidIdentifierError, match=r"does not exist|outside what its zone can describe"):
        utm.inverse(position)


@pytest.mark.parametrize(
    ("epsg", "zone", "north"),
    [
        (32601, 1, True),
        (32660, 60, True),
        (32701, 1, False),
        (32760, 60, False),
        (5041, 0, True),
        (32661, 0, True),
        (5042, 0, False),
    ],
)
def test_a_system_is_known_by_its_epsg_code(*, epsg: int, zone: int, north: bool) -> None:
    position = utm.from_epsg(epsg, 1.0, 2.0)
    assert position == Utm(zone=zone, north=north, easting=1.0, northing=2.0)


@pytest.mark.parametrize("epsg", [4326, 3857, 26914, 32600, 32700, 32662, 32799, 3031])
def test_other_systems_are_none_of_ours(epsg: int) -> None:
    assert utm.from_epsg(epsg, 1.0, 2.0) is None
