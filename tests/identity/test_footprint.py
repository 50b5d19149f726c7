"""Footprints against PROJ and the GeoTIFFs' own transforms."""

import os
from datetime import date
from functools import cache
from math import floor
from pathlib import Path

import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from shapely.geometry import Point as Place
from shapely.geometry import Polygon

from clayline.chips.grid import ChipGrid
from clayline.errors import InvalidIdentifierError
from clayline.identity import mgrs, uci, utm
from clayline.identity.uci import Footprint, Interval, Point, Uci, Window

SHARED = Path(os.environ.get("CLAYLINE_SHARED", Path(__file__).parents[3] / "shared")) / "data"
IRELAND = SHARED / "s2_29UNU_ireland_2022_60m" / "B04.tif"
ITAIPU = SHARED / "landsat8_itaipu_2020" / "LC08_L1TP_224078_20200518_20200518_01_RT_B4.TIF"
CENTIMETRE = 0.01
GEOD = Geod(ellps="WGS84")


@cache
def to_lonlat(epsg: int) -> Transformer:
    return Transformer.from_crs(f"EPSG:{epsg}", "OGC:CRS84", always_xy=True)


def identifier(location: Window | Point) -> Uci:
    day = date(2024, 6, 1)
    return Uci(location=location, time=Interval(start=day, end=day), instrument="s2-msi-l2a", model="clay-v1.5-cls")


def assert_is_on_the_ground(footprint: Footprint) -> None:
    for (lon, lat), corner in zip(footprint.lonlat, footprint.projected, strict=True):
        assert GEOD.inv(lon, lat, *to_lonlat(footprint.epsg).transform(*corner))[2] < CENTIMETRE
    ring = Polygon(footprint.lonlat)
    assert footprint.lonlat[0] == footprint.lonlat[-1]
    assert footprint.projected[0] == footprint.projected[-1]
    assert ring.is_valid
    assert ring.exterior.is_ccw
    assert Polygon(footprint.projected).exterior.is_ccw


@pytest.mark.skipif(not IRELAND.exists(), reason=f"the Irish granule is not at {IRELAND}: set CLAYLINE_SHARED")
def test_every_chip_of_the_irish_granule_follows_from_its_identifier() -> None:
    with rasterio.open(IRELAND) as scene:
        transform, epsg, grid = (
            scene.transform,
            scene.crs.to_epsg(),
            ChipGrid(height=scene.height, width=scene.width, size=64),
        )
    assert uci.fits_tile("29UNU", epsg=epsg, origin_x=transform.c, origin_y=transform.f, gsd=transform.a)
    assert len(grid) == 29 * 29
    for window in grid:
        text = uci.format(
            identifier(Window(tile="29UNU", row=window.row, col=window.col, size=window.size, gsd_mm=60_000))
        )
        footprint = uci.footprint(text)
        top, left, side = window.row, window.col, window.size
        pixels = [(left, top), (left, top + side), (left + side, top + side), (left + side, top), (left, top)]
        expected = [transform @ pixel for pixel in pixels]
        assert footprint.epsg == epsg
        assert footprint.projected == tuple(expected)
        assert_is_on_the_ground(footprint)


@pytest.mark.skipif(not ITAIPU.exists(), reason=f"the Itaipu scene is not at {ITAIPU}: set CLAYLINE_SHARED")
def test_every_centre_of_the_itaipu_scene_lies_in_its_identifiers_cell() -> None:
    with rasterio.open(ITAIPU) as scene:
        transform, epsg, grid = (
            scene.transform,
            scene.crs.to_epsg(),
            ChipGrid(height=scene.height, width=scene.width, size=64),
        )
    south = Transformer.from_crs(f"EPSG:{epsg}", "EPSG:32721", always_xy=True)
    texts = set()
    for window in grid:
        x, y = transform @ (window.col + window.size / 2, window.row + window.size / 2)
        position = utm.from_epsg(epsg, x, y)
        assert position is not None
        made = identifier(uci.point_from_utm(position, size=64, gsd_mm=30_000))
        cell = uci.cell(made)
        (west, top), _, (east, bottom) = cell.projected[:3]
        easting, northing = south.transform(x, y)
        assert cell.epsg == 32721
        assert west - 0.0005 <= easting < east + 0.0005
        assert bottom - 0.0005 <= northing < top + 0.0005
        assert_is_on_the_ground(cell)
        texts.add(uci.format(made))
    assert len(texts) == len(grid) == 960


@pytest.mark.skipif(not ITAIPU.exists(), reason=f"the Itaipu scene is not at {ITAIPU}: set CLAYLINE_SHARED")
def test_snapping_keeps_a_centre_in_its_cell_where_a_plain_floor_does_not() -> None:
    with rasterio.open(ITAIPU) as scene:
        transform, epsg, grid = (
            scene.transform,
            scene.crs.to_epsg(),
            ChipGrid(height=scene.height, width=scene.width, size=64),
        )
    moved_by_floor = 0
    for window in grid:
        x, y = transform @ (window.col + window.size / 2, window.row + window.size / 2)
        lon, lat = to_lonlat(epsg).transform(x, y)
        there_and_back = to_lonlat(32721).transform(lon, lat, direction="INVERSE")
        moved_by_floor += (floor(there_and_back[0]), floor(there_and_back[1])) != (x, y + 10_000_000)
        position = utm.from_epsg(epsg, x, y)
        assert position is not None
        assert mgrs.from_utm(position, 5) == mgrs.from_lonlat(lon, lat, 5)
    assert moved_by_floor > 300


@settings(max_examples=150)
@given(
    st.floats(-180, 180),
    st.floats(-79.9, 83.9),
    st.integers(0, 10_979),
    st.integers(0, 10_979),
    st.integers(1, 2048),
    st.integers(1, 10_000),
)
def test_any_window_is_on_the_ground(lon: float, lat: float, row: int, col: int, size: int, gsd_mm: int) -> None:
    footprint = uci.footprint(
        identifier(Window(tile=mgrs.square_of(lon, lat), row=row, col=col, size=size, gsd_mm=gsd_mm))
    )
    assert_is_on_the_ground(footprint)
    assert_is_within_the_map(footprint)


def assert_is_within_the_map(footprint: Footprint) -> None:
    """The polygons are the ring, cut at the antimeridian."""
    polygons = [Polygon(ring) for ring in footprint.polygons]
    assert all(-180 <= lon <= 180 for ring in footprint.polygons for lon, _ in ring)
    assert all(polygon.is_valid and polygon.exterior.is_ccw for polygon in polygons)
    assert sum(polygon.area for polygon in polygons) == pytest.approx(Polygon(footprint.lonlat).area, rel=1e-6)


@pytest.mark.parametrize(
    ("tile", "col"), [("60VXM", 6720), ("60HYJ", 7934), ("60HYJ", 7900), ("01VCG", 3270), ("01NAA", 6400)]
)
def test_a_window_over_the_antimeridian_is_cut_there(tile: str, col: int) -> None:
    found = 0
    for row in range(0, 10_980, 915):
        footprint = uci.footprint(identifier(Window(tile=tile, row=row, col=min(col, 10_468), size=512, gsd_mm=10_000)))
        assert_is_on_the_ground(footprint)
        assert_is_within_the_map(footprint)
        assert max(lon for lon, _ in footprint.lonlat) - min(lon for lon, _ in footprint.lonlat) < 1
        found += len(footprint.polygons) == 2
    assert found, "none of these windows crosses"


@settings(max_examples=200)
@given(st.floats(-180, 180), st.floats(-90, 90), st.sampled_from([75, 600, 10_000, 30_000, 1_000_000]))
def test_the_cell_of_a_point_holds_its_centre(lon: float, lat: float, gsd_mm: int) -> None:
    cell = uci.cell(identifier(uci.point_from_lonlat(lon, lat, size=64, gsd_mm=gsd_mm)))
    place = to_lonlat(cell.epsg).transform(lon, lat, direction="INVERSE")
    assert Polygon(cell.projected).distance(Place(place)) < 0.001
    assert_is_within_the_map(cell)


@pytest.mark.parametrize(("lat", "epsg", "corner"), [(90, 5041, 90), (-90, 5042, -90)])
def test_the_cell_at_a_pole_is_a_quarter_of_a_cap(lat: int, epsg: int, corner: int) -> None:
    cell = uci.cell(identifier(uci.point_from_lonlat(0, lat, size=64, gsd_mm=30_000)))
    assert cell.epsg == epsg
    assert [place[1] for place in cell.lonlat].count(corner) == 2
    ring = Polygon(cell.lonlat)
    assert ring.is_valid
    assert ring.exterior.is_ccw
    assert ring.bounds[2] - ring.bounds[0] == pytest.approx(90)


def test_a_point_has_no_footprint_and_a_window_no_cell() -> None:
    point = identifier(uci.point_from_lonlat(8.5, 47.4, size=64, gsd_mm=30_000))
    window = identifier(Window(tile="32UQD", row=0, col=0, size=64, gsd_mm=10_000))
    with pytest.raises(InvalidIdentifierError, match=r"no footprint.*geometry"):
        uci.footprint(point)
    with pytest.raises(InvalidIdentifierError, match="use footprint"):
        uci.cell(window)
    assert uci.cell(uci.format(point)) == uci.cell(point)
