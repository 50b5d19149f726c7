"""Footprints against shapely, and against great shapes that are known by reasoning.

Over the antimeridian, around and beside a pole.
"""

import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clayline.errors import SceneError
from clayline.outputs.footprints import footprints

type Corner = tuple[float, float]


def one(corners: list[Corner]) -> tuple[shapely.Geometry, NDArray[np.float64], bool]:
    made = footprints(np.array([corners], dtype=np.float64), ["chip"])
    return shapely.from_wkb(made.wkb[0]), made.bounds[0], bool(made.cut[0])


@st.composite
def quadrilaterals(draw: st.DrawFn) -> list[Corner]:
    """Give four corners around a centre, each in its own quadrant, turned and perhaps mirrored.

    Simple, convex or not.
    """
    x, y = draw(st.floats(-150, 150)), draw(st.floats(-75, 75))
    turn = draw(st.floats(0, 2 * math.pi))
    corners = []
    for quadrant in range(4):
        angle = turn - (quadrant + draw(st.floats(0.05, 0.95))) * math.pi / 2
        radius = draw(st.floats(1e-4, 10))
        corners.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return corners[::-1] if draw(st.booleans()) else corners


@given(st.lists(quadrilaterals(), min_size=1, max_size=5))
def test_well_known_binary_is_shapelys(chips: list[list[Corner]]) -> None:
    made = footprints(np.array(chips), [str(at) for at in range(len(chips))])
    for wkb, bounds, span, corners in zip(made.wkb, made.bounds, made.spans, chips, strict=True):
        polygon = shapely.Polygon([corners[0], corners[3], corners[2], corners[1]])
        expected = (
            polygon if polygon.exterior.is_ccw else shapely.Polygon([corners[0], corners[1], corners[2], corners[3]])
        )
        assert shapely.from_wkb(wkb).normalize() == expected.normalize()
        assert wkb in {shapely.to_wkb(expected, byte_order=1), shapely.to_wkb(shapely.reverse(polygon), byte_order=1)}
        assert shapely.from_wkb(wkb).exterior.is_ccw
        assert shapely.from_wkb(wkb).is_valid
        assert tuple(bounds) == expected.bounds
        assert tuple(span) == (expected.bounds[0], expected.bounds[2])
    assert not made.cut.any()


@given(st.lists(st.tuples(st.floats(-60, 60), st.floats(-80, 80)), min_size=4, max_size=4))
def test_a_polygon_is_valid_or_refused(corners: list[Corner]) -> None:
    valid = shapely.Polygon(corners).is_valid
    try:
        polygon, _, _ = one(corners)
    except SceneError:
        # Shapely judges exactly what floats can only just tell, and takes a triangle with a doubled corner.
        assert not valid or len(set(corners)) < 4 or shapely.Polygon(corners).minimum_clearance < 1e-9
    else:
        assert polygon.is_valid or shapely.Polygon(corners).minimum_clearance < 1e-9


def wrapped(longitude: float) -> float:
    return longitude - 360 if longitude > 180 else longitude


@given(st.floats(170, 179.9), st.floats(-70, 70), st.floats(0.2, 5), st.floats(-0.19, 0.19))
def test_what_crosses_the_antimeridian_is_cut_there(west: float, south: float, side: float, tilt: float) -> None:
    unwrapped = [
        (west, south + side),
        (west + side, south + side + tilt),
        (west + side + tilt, south),
        (west + tilt, south),
    ]
    shape, bounds, cut = one([(wrapped(x), y) for x, y in unwrapped])
    whole = shapely.Polygon(unwrapped)
    parts = [
        whole.intersection(shapely.box(-180, -90, 180, 90)),
        shapely.transform(whole.intersection(shapely.box(180, -90, 540, 90)), lambda at: at - [360, 0]),
    ]
    expected = shapely.MultiPolygon([part for part in parts if part.area > 1e-9])
    assert shape.is_valid
    assert shape.symmetric_difference(expected).area < 1e-7
    assert cut == (shape.geom_type == "MultiPolygon")
    if len(expected.geoms) == 2 and min(part.area for part in parts) > 1e-6:
        assert cut
        assert tuple(bounds[[0, 2]]) == (-180, 180)
    assert all(part.exterior.is_ccw for part in getattr(shape, "geoms", [shape]))
    assert tuple(bounds) == shape.bounds


@pytest.mark.parametrize("line", [180.0, -180.0])
def test_a_chip_that_ends_on_the_antimeridian_stays_whole(line: float) -> None:
    shape, bounds, cut = one([(179.9, 1), (line, 1), (line, 0), (179.9, 0)])
    assert not cut
    assert shape.equals(shapely.box(179.9, 0, 180, 1))
    assert bounds.tolist() == [179.9, 0, 180, 1]
    shape, bounds, cut = one([(line, 1), (-179.9, 1), (-179.9, 0), (line, 0)])
    assert not cut
    assert shape.normalize().equals_exact(shapely.box(-180, 0, -179.9, 1).normalize(), 1e-12)


@pytest.mark.parametrize("pole", [90, -90])
@pytest.mark.parametrize("turn", [0.0, 12.5, 45.0, 90.0, 135.0])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_chip_around_a_pole_reaches_it_at_every_longitude(pole: int, turn: float, direction: int) -> None:
    edge = math.copysign(89.5, pole)
    shape, bounds, cut = one([(((turn + direction * 90 * at) + 180) % 360 - 180, edge) for at in range(4)])
    assert shape.is_valid
    assert not cut
    assert shape.equals(shapely.box(-180, min(edge, pole), 180, max(edge, pole)))
    assert shape.exterior.is_ccw
    assert tuple(bounds) == shape.bounds


def test_around_a_pole_the_corners_stay_where_they_are() -> None:
    corners = [(-100.0, 89.2), (-20.0, 89.4), (70.0, 89.1), (160.0, 89.3)]
    shape, _, _ = one(corners)
    assert shape.is_valid
    assert all(shape.exterior.distance(shapely.Point(corner)) < 1e-12 for corner in corners)
    on_line = 89.3 + (89.2 - 89.3) * 20 / 100  # between 160 and 260, at 180
    for longitude in (-180.0, 180.0):
        assert min(abs(y - on_line) for x, y in shape.exterior.coords if x == longitude) < 1e-12
        assert (longitude, 90.0) in shape.exterior.coords


@pytest.mark.parametrize(("turn", "parts"), [(0, 1), (60, 1), (135, 2)])
def test_a_corner_on_a_pole_becomes_the_pole_at_its_neighbours_longitudes(turn: int, parts: int) -> None:
    corners = [(turn, 89.5), (turn + 45, 89.3), (turn + 90, 89.5), (0, 90)]
    shape, _, cut = one([(wrapped(x), y) for x, y in corners])
    assert shape.is_valid
    assert cut == (parts == 2)
    expected = shapely.Polygon([(turn, 89.5), (turn + 45, 89.3), (turn + 90, 89.5), (turn + 90, 90), (turn, 90)])
    assert shape.area == pytest.approx(expected.area, rel=1e-12)


@pytest.mark.parametrize(
    ("corners", "what"),
    [
        ([(0, 1), (1, 0), (1, 1), (0, 0)], "make no polygon"),  # bow-tie
        ([(0, 1), (1, 1), (2, 1), (3, 1)], "make no polygon"),  # a line
        ([(0, 1), (0, 1), (0, 1), (0, 1)], "make no polygon"),  # a point
        ([(179, 1), (-179, 0), (-179, 1), (179, 0)], "make no polygon"),  # a bow-tie over the antimeridian
        ([(0, 1), (float("inf"), 1), (1, 0), (0, 0)], "not on the globe"),
        ([(0, 1), (float("nan"), 1), (1, 0), (0, 0)], "not on the globe"),
        ([(0, 1), (181, 1), (181, 0), (0, 0)], "not on the globe"),
        ([(0, 91), (1, 91), (1, 90), (0, 90)], "not on the globe"),
        ([(0, 89.9), (180, 89.9), (180, 89.8), (0, 89.8)], "over a pole"),
    ],
)
def test_what_is_no_footprint_is_refused_by_name(corners: list[Corner], what: str) -> None:
    good = [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    with pytest.raises(SceneError, match=f"chip second: .*{what}") as caught:
        footprints(np.array([good, corners], dtype=np.float64), ["first", "second"])
    assert caught.value.reason == "bad-footprint"


@given(
    st.floats(0, 360), st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.sampled_from([1, -1]), st.sampled_from([1, -1])
)
def test_around_a_pole_every_corner_stands_once(turn: float, x: float, y: float, pole: int, direction: int) -> None:
    plane = [(x - 1, y + 1), (x + 1, y + 1), (x + 1, y - 1), (x - 1, y - 1)][::direction]
    bearings = [math.degrees(math.atan2(a, b)) + turn for a, b in plane]
    corners = [(wrapped(at % 360), pole * (90 - math.hypot(a, b))) for at, (a, b) in zip(bearings, plane, strict=True)]
    assume(all(abs(longitude) < 179.999 for longitude, _ in corners))
    shape, bounds, cut = one(corners)
    assert shape.is_valid
    assert shape.exterior.is_ccw
    assert not cut
    assert bounds[[0, 2]].tolist() == [-180, 180]
    kept = [at for at in shape.exterior.coords[:-1] if abs(at[0]) < 180]
    assert np.allclose(sorted(kept), sorted(corners), rtol=0, atol=1e-12)
    ends = [at for at in shape.exterior.coords[:-1] if abs(at[0]) == 180]
    assert len(kept) == 4
    assert len(ends) == 4
    assert sum(at[1] == 90 * pole for at in ends) == 2


@pytest.mark.parametrize(("west", "east"), [(0.0, 0.5), (179.5, -180.0), (-180.0, -179.5)])
@pytest.mark.parametrize(("top", "bottom"), [(90.0, 89.5), (-89.5, -90.0), (90.0, -90.0)])
def test_an_edge_along_a_pole_is_an_edge(west: float, east: float, top: float, bottom: float) -> None:
    shape, bounds, cut = one([(west, top), (east, top), (east, bottom), (west, bottom)])
    expected = (west, bottom, 180.0 if west > east else east, top)
    assert shape.normalize() == shapely.box(*expected).normalize()
    assert tuple(bounds) == expected
    assert not cut


def test_a_corner_that_reaches_back_over_the_antimeridian_is_cut_off_too() -> None:
    shape, _, cut = one([(175, 3), (-178, 3), (179.5, 1.5), (-178, 0)])
    assert shape.is_valid
    assert cut
    assert [part.bounds[2] for part in shape.geoms] == [180, -178, -178]
    whole = shapely.Polygon([(175, 3), (182, 3), (179.5, 1.5), (182, 0)])
    assert shape.area == pytest.approx(whole.area, rel=1e-12)


def test_two_corners_at_one_place_make_a_triangle() -> None:
    shape, _, _ = one([(0, 1), (1, 1), (1, 0), (0, 1)])
    assert shape.is_valid
    assert shape.equals(shapely.Polygon([(0, 1), (1, 1), (1, 0)]))
