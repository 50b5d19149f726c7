"""Squares and zones as boxes: what lies in one lies in its boxes."""

import math

import numpy as np
import pytest

from clayline.errors import InvalidIdentifierError
from clayline.identity import mgrs
from clayline.identity.regions import bounds_of, square_of, zone_of


@pytest.mark.parametrize(
    ("uci", "square"),
    [
        ("32UQD-r00000c00256s256g10000_20240601T103031_s2a-msi-l2a_clay-v1.5-cls", "32UQD"),
        ("13SFR45126789-s64g30000_20240601T103031_landsat8-oli-l1_clay-v1.5-cls", "13SFR"),
        ("ZAH1234512345-s64g30000_20240601T103031_x-y_clay-v1.5-cls", "ZAH"),
        ("nonsense", None),
        ("32IQD1", None),
    ],
)
def test_an_identifier_says_its_square(uci: str, square: str | None) -> None:
    assert square_of(uci) == square


def test_what_lies_in_a_square_or_zone_lies_in_its_boxes() -> None:
    random = np.random.default_rng(5)
    lons, lats = random.uniform(-180, 180, 3000), np.degrees(np.arcsin(random.uniform(-1, 1, 3000)))
    near = [(lon, lat) for lon in (179.9999, -179.9999, 5.999, 8.99, 33.01) for lat in (-84.0, -3.0, 60.0, 75.0, 83.99)]
    for lon, lat in [*zip(lons.tolist(), lats.tolist(), strict=True), *near]:
        square = mgrs.square_of(lon, lat)
        for region in (square, zone_of(square)):
            assert any(
                west <= lon <= east and south <= lat <= north for west, south, east, north in bounds_of(region)
            ), (lon, lat, region)


def test_a_square_is_no_whole_zone() -> None:
    [(west, south, east, north)] = bounds_of("32UQD")
    assert math.isclose(east - west, 100 / 111 / math.cos(math.radians(52)) + 0.2, rel_tol=0.15)
    assert math.isclose(north - south, 100 / 111 + 0.2, rel_tol=0.1)
    assert len(bounds_of("01K")) == len(bounds_of("01KAB")) == 2, "over the antimeridian, with what lies beside"
    with pytest.raises(InvalidIdentifierError):
        bounds_of("99ZZZ")
