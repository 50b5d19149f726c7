"""Lists of points, as people have them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clayline.dataset.points import Point, of_csv, of_geojson, of_values
from clayline.errors import DatasetError

JUNE = datetime(2024, 6, 1, tzinfo=UTC)


def test_a_table_may_call_its_columns_as_people_do() -> None:
    text = b"\xef\xbb\xbfName,Longitude,LATITUDE,Date\nfarm,9.5,48,2024-06-01\n,10,49,\nlost,,,\n"
    farm, second, lost = of_csv(text, source="points.csv")
    assert farm == Point(name="farm", lon=9.5, lat=48, when=JUNE)
    assert (second.name, second.when, second.on_globe) == ("1", None, True)
    assert not lost.on_globe


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no columns of longitude and latitude, but none"),
        (b"a,b\n1,2\n", "no columns of longitude and latitude, but a, b"),
        (b"lon,lat\neast,2\n", r"points\.csv, line 2: 'east' is no number"),
        (b"lon,lat,date\n1,2,soon\n", r"points\.csv, line 2: time 'soon'"),
        (b"\xff\xfe", r"is no CSV in UTF-8 \(byte 0\)"),
        (b"lon,lat\n", "has no points"),
        (b"lon,lat\n9,5,48\n", r"points\.csv, line 2 has 3 fields, and the header 2"),
        (b'lon,lat\n1,"2\n', "is no CSV: after line 1"),
    ],
)
def test_a_table_that_is_none_says_what_is_wrong(content: bytes, what: str) -> None:
    with pytest.raises(DatasetError, match=what):
        of_csv(content, source="points.csv")


def _feature(**changes: Any) -> dict[str, Any]:
    point = {"type": "Point", "coordinates": [9.5, 48.0, 300.0]}
    return {"type": "Feature", "geometry": point, "properties": {"name": "farm", "datetime": "2024-06-01"}, **changes}


def test_geojson_gives_names_and_moments() -> None:
    listed = {"type": "FeatureCollection", "features": [_feature(), _feature(id=7), _feature(geometry=None)]}
    farm, seventh, nowhere = of_geojson(json.dumps(listed).encode(), source="points.geojson")
    assert farm == Point(name="farm", lon=9.5, lat=48, when=JUNE)
    assert seventh.name == "7"
    assert not nowhere.on_globe
    [alone] = of_geojson(b'{"type": "Point", "coordinates": [1, 2]}', source="x")
    assert (alone.lon, alone.lat, alone.name) == (1, 2, "0")


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"type": "FeatureCollection"}', b"[" * 100_000, b'{"type": "Feature"}']
)
def test_what_is_no_geojson_is_refused(content: bytes) -> None:
    with pytest.raises(DatasetError, match=r"points\.json is no GeoJSON"):
        of_geojson(content, source="points.json")


def test_geojson_names_the_feature_and_what_is_wrong_with_it() -> None:
    for wrong, what in (
        ({"geometry": {"type": "Point", "coordinates": [9.5]}}, r"feature 1: coordinates \[9\.5\] are no longitude"),
        ({"geometry": {"type": "Point"}}, "feature 1: it lacks 'coordinates'"),
        ({"properties": {"datetime": "soon"}}, "feature 1: time 'soon'"),
    ):
        listed = {"type": "FeatureCollection", "features": [_feature(), _feature(**wrong)]}
        with pytest.raises(DatasetError, match=rf"x\.json.*{what}"):
            of_geojson(json.dumps(listed).encode(), source="x.json")
    with pytest.raises(DatasetError, match="has no points"):
        of_geojson(b'{"type": "FeatureCollection", "features": []}', source="x.json")


def test_a_polygon_is_no_point() -> None:
    area = _feature(geometry={"type": "Polygon", "coordinates": []})
    with pytest.raises(DatasetError, match="feature 0 is a Polygon"):
        of_geojson(json.dumps(area).encode(), source="x.json")


def test_values_are_pairs_or_mappings() -> None:
    pair, named = of_values([(1, 2), {"lon": "3", "lat": 4, "id": "b"}])
    assert (pair.lon, pair.lat, pair.name) == (1, 2, "0")
    assert (named.lon, named.lat, named.name) == (3, 4, "b")
    with pytest.raises(DatasetError, match="point 0 is 'x'"):
        of_values(["x"])
