"""Where pixels lie and how large they are on the ground, against pyproj's geodesics."""

from math import cos, radians
from pathlib import Path

import pytest
from pyproj import Geod, Transformer
from tests.raster.geotiffs import header_of, texture, write

from clayline.chips.cog import Affine, stretch
from clayline.errors import SceneError
from clayline.raster.georeference import MAP_TOLERANCE, measure_pixel

GEOD = Geod(ellps="WGS84")
SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
"""MODIS's own."""


def square(pixel: float, x: float, y: float, *, side: int = 100) -> Affine:
    """The transform of a scene of ``side`` pixels whose centre is (x, y)."""
    return (pixel, 0.0, x - pixel * side / 2, 0.0, -pixel, y + pixel * side / 2)


def at(crs: str, lon: float, lat: float) -> tuple[float, float]:
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    return float(x), float(y)


def geodesics(crs: str, transform: Affine, *, side: int = 100) -> tuple[float, float, float]:
    """Width and height of the pixel at the centre by pyproj, and the angle between them."""
    a, b, c, d, e, f = transform
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    def place(col: float, row: float) -> tuple[float, float]:
        lon, lat = to_lonlat.transform(a * col + b * row + c, d * col + e * row + f)
        return float(lon), float(lat)

    middle = side / 2
    width = GEOD.inv(*place(middle - 0.5, middle), *place(middle + 0.5, middle))[2]
    height = GEOD.inv(*place(middle, middle - 0.5), *place(middle, middle + 0.5))[2]
    centre = place(middle, middle)
    east, south = (GEOD.inv(*centre, *place(middle + right, middle + 0.5 - right))[0] for right in (0.5, 0.0))
    return width, height, (south - east) % 360


@pytest.mark.parametrize(
    ("crs", "pixel", "lon", "lat"),
    [
        ("EPSG:32632", 10.0, 11.9, 47.3),
        ("EPSG:32632", 0.25, 9.0, 60.0),
        ("EPSG:32661", 30.0, 40.0, 86.0),
        ("EPSG:3857", 10.0, 10.0, 60.0),
        ("EPSG:3857", 10.0, 179.999, -45.0),
        ("EPSG:3413", 100.0, -45.0, 89.99),
        ("EPSG:3031", 100.0, 10.0, -66.0),
        ("EPSG:3035", 500.0, 30.0, 65.0),
        ("EPSG:2225", 30.0, -123.0, 41.0),
        ("EPSG:2056", 0.1, 7.4, 46.9),
        (SINUSOIDAL, 463.3127, 30.0, 45.0),
        ("EPSG:4326", 0.0001, 13.4, 45.7),
        ("EPSG:4258", 0.002, -20.0, -71.0),
    ],
)
def test_a_pixel_is_measured_on_the_ground_at_the_scenes_centre(crs: str, pixel: float, lon: float, lat: float) -> None:
    transform = square(pixel, *at(crs, lon, lat))
    found = measure_pixel(crs, transform, width=100, height=100)
    width, height, angle = geodesics(crs, transform)
    assert found.width == pytest.approx(width, rel=1e-6)
    assert found.height == pytest.approx(height, rel=1e-6)
    assert found.angle == pytest.approx(angle, abs=0.01)


def test_at_a_pole_a_pixel_has_a_size_too() -> None:
    """No longitude there: by the scale of polar stereographic at the pole, k0."""
    found = measure_pixel("EPSG:32661", square(30.0, 2_000_000.0, 2_000_000.0), width=100, height=100)
    assert (found.width, found.height, found.angle) == pytest.approx((30 / 0.994, 30 / 0.994, 90.0), rel=1e-6)
    assert found.size == 30.0, "within 1 %"


def test_on_the_ground_web_mercator_has_half_the_maps_pixel_at_60_degrees() -> None:
    found = measure_pixel("EPSG:3857", square(20.0, *at("EPSG:3857", 10.0, 60.0)), width=100, height=100)
    assert found.size == pytest.approx(20 * cos(radians(60)), rel=0.005)
    assert found.size == pytest.approx((found.width * found.height) ** 0.5, rel=1e-9)


@pytest.mark.parametrize("lon", [9.0, 6.0, 12.05, 15.0])
@pytest.mark.parametrize("lat", [0.0, 47.0, 83.9])
def test_a_products_own_gsd_stands_in_utm(lon: float, lat: float) -> None:
    """On the ground, 10 m of a UTM zone are 9.96 to 10.04 m: identifiers say what the product says."""
    found = measure_pixel("EPSG:32632", square(10.0, *at("EPSG:32632", lon, lat)), width=100, height=100)
    assert found.size == 10.0
    assert found.width != 10.0


@pytest.mark.parametrize(("lat", "stands"), [(6.0, True), (8.5, False)])
def test_the_maps_gsd_stands_within_one_percent(lat: float, stands: bool) -> None:  # noqa: FBT001 - a case
    found = measure_pixel("EPSG:3857", square(10.0, *at("EPSG:3857", 0.0, lat)), width=100, height=100)
    ground = (found.width * found.height) ** 0.5
    assert (abs(10 / ground - 1) <= MAP_TOLERANCE) == stands
    assert found.size == (10.0 if stands else pytest.approx(ground, rel=1e-9))


def test_feet_are_metres_on_the_ground() -> None:
    found = measure_pixel("EPSG:2225", square(30.0, *at("EPSG:2225", -122.0, 40.8)), width=100, height=100)
    assert found.size == pytest.approx(30 * 1200 / 3937)  # the US survey foot


def test_an_equal_area_grid_has_its_gsd_everywhere_and_leans() -> None:
    """MODIS's sinusoidal grid: all pixels are as large, most of them are no squares."""
    here, far = (
        measure_pixel(SINUSOIDAL, square(463.3127, *at(SINUSOIDAL, lon, 45.0)), width=100, height=100)
        for lon in (0.0, 30.0)
    )
    assert here.size == far.size == 463.3127
    assert stretch(here.width, here.height, here.angle) < 1.01
    assert stretch(far.width, far.height, far.angle) > 1.4


@pytest.mark.parametrize(
    ("width", "height", "angle", "expected"),
    [(10, 10, 90, 1.0), (10, 20, 90, 2.0), (20, 10, 90, 2.0), (10, 10, 60, 3**0.5), (10, 10, 120, 3**0.5)],
)
def test_how_far_from_square_a_pixel_is(width: float, height: float, angle: float, expected: float) -> None:
    """A rhombus has its diagonals' ratio."""
    assert stretch(width, height, angle) == pytest.approx(expected)


def test_the_pixel_of_a_real_geographic_scene(shared_data: Path) -> None:
    header = header_of(shared_data / "s2_aquileia_2019" / "S2_L2A_aquileia_20190416.tif")
    a, _, c, _, e, f = header.transform
    lon, lat = c + a * header.width / 2, f + e * header.height / 2
    east = GEOD.inv(lon - a / 2, lat, lon + a / 2, lat)[2]
    north = GEOD.inv(lon, lat + e / 2, lon, lat - e / 2)[2]
    assert header.pixel_size_m == pytest.approx((east * north) ** 0.5, rel=1e-8)
    assert (header.pixel_width_m, header.pixel_height_m) == pytest.approx((east, north), rel=1e-8)


def test_a_header_tells_pixels_of_two_to_one(tmp_path: Path) -> None:
    header = header_of(write(tmp_path / "scene.tif", texture(1, 64, 64), transform=(20.0, 0, 5e5, 0, -10.0, 5e6)))
    assert header.pixel_size_m == pytest.approx(200**0.5)
    assert header.pixel_width_m == pytest.approx(2 * header.pixel_height_m, rel=1e-5)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0)),
        ("EPSG:4326", (0.01, 0.0, 900.0, 0.0, -0.01, 0.0)),
        ("EPSG:4978", square(10.0, 0.0, 0.0)),
        ("EPSG:3857", square(10.0, 1e9, 1e9)),
        ("EPSG:32632", square(10.0, 1e12, 0.0)),
    ],
)
def test_what_has_no_size_on_the_ground_is_refused(crs: str, transform: Affine) -> None:
    with pytest.raises(SceneError) as caught:
        measure_pixel(crs, transform, width=100, height=100)
    assert caught.value.reason == "crs-unusable"
