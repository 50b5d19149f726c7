"""Coordinates, against pyproj."""

import boto3
import numpy as np
import pytest
import rasterio.session
from pyproj import Transformer
from tests.cli.explained import MODIS_WKT

from clayline.errors import SceneError
from clayline.raster.projection import is_same, to_lonlat
from clayline.scene.sensor_file import built_in


@pytest.mark.parametrize(
    ("crs", "xs", "ys"),
    [
        ("EPSG:32629", [499_980.0, 609_780.0], [5_900_040.0, 5_790_240.0]),
        ("EPSG:32721", [717_345.0, 778_575.0], [7_223_005.0, 7_167_205.0]),
        ("EPSG:3035", [4_321_000.0], [3_210_000.0]),  # declares northing first
        ("EPSG:4326", [13.3], [45.7]),  # declares latitude first
        ("EPSG:3031", [1_000_000.0], [-500_000.0]),
    ],
)
def test_coordinates_come_easting_first_and_go_longitude_first(crs: str, xs: list[float], ys: list[float]) -> None:
    lon, lat = to_lonlat(crs, np.array(xs), np.array(ys))
    expected = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(xs, ys)
    assert (str(lon.dtype), str(lat.dtype)) == ("float64", "float64")
    np.testing.assert_allclose([lon, lat], expected, atol=1e-10)


@pytest.mark.parametrize(
    ("crs", "x"), [("EPSG:32629", 1e12), ("EPSG:32629", np.nan), ("nonsense", 0.0), ("EPSG:999999", 0.0)]
)
def test_what_cannot_be_projected_is_the_scenes_fault(crs: str, x: float) -> None:
    with pytest.raises(SceneError) as caught:
        to_lonlat(crs, np.array([x]), np.array([0.0]))
    assert caught.value.reason == "crs-unusable"


def test_projecting_makes_no_session_of_boto3s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rasterio makes one wherever credentials are in the environment, as they are on Lambda."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(rasterio.session, "boto3", boto3)
    monkeypatch.setattr(rasterio.session, "AWSSession", lambda: pytest.fail("a session was made"))
    to_lonlat("EPSG:32629", np.array([499_980.0]), np.array([5_900_040.0]))


def test_longitudes_beyond_180_are_those_of_the_other_side() -> None:
    """As rasters from 0 to 360 have them, and chips that reach over the antimeridian."""
    xs = np.array([180.0, -180.0, 180.25, 190.1, 359.5, 360.0, 365.0, -180.25, -185.0, 540.0])
    lon, lat = to_lonlat("EPSG:4326", xs, np.full(len(xs), 10.0))
    assert lon == pytest.approx([180, -180, -179.75, -169.9, -0.5, 0, 5, 179.75, 175, -180], abs=1e-12)
    assert (lat == 10).all()
    assert (np.abs(lon) <= 180).all()


def test_the_same_crs_under_other_names_is_the_same() -> None:
    """MODIS's, as its documents, GDAL, and PROJ.4's old habits write it; not that on another sphere or ellipsoid."""
    own = built_in()["modis"].products[0].projection
    assert own
    for same in (MODIS_WKT, f"{own} +nadgrids=@null +wktext", "+proj=sinu +a=6371007.181 +b=6371007.181 +units=m"):
        assert is_same(same, own)
    for other in ("+proj=sinu +R=6371000", "ESRI:54008", "EPSG:32629", MODIS_WKT.replace('easting",0', 'easting",5')):
        assert not is_same(other, own)
    assert is_same("EPSG:32629", "+proj=utm +zone=29 +datum=WGS84")
    with pytest.raises(SceneError):
        is_same("nonsense", own)
