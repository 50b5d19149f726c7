"""Coordinates: PROJ, as rasterio carries it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what OGR raises is wrapped in nothing public
from rasterio.crs import CRS
from rasterio.env import Env
from rasterio.errors import CRSError, RasterioError
from rasterio.session import DummySession
from rasterio.warp import transform as project

from clayline.errors import SceneError

_WGS84 = CRS.from_epsg(4326)
_HALF_TURN = 180.0
_SAY_NOTHING = {("no_defs", True), ("wktext", True), ("nadgrids", "@null")}
"""Parameters in PROJ's words that move nothing."""
FURTHEST = 540.0
"""Degrees: a longitude further from Greenwich is no longitude."""


def to_lonlat(crs: str, xs: NDArray[Any], ys: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project x and y [N] of ``crs`` (easting or longitude first, whatever the CRS's own axis order) to longitude and
    latitude.

    Degrees WGS84, float64 [N], longitudes from -180 to 180: a raster may count them from 0 to 360, or go on beyond the
    antimeridian. Raises SceneError (``crs-unusable``) where PROJ has no answer for a point.
    """
    try:
        with Env(DummySession()):  # else rasterio makes a session of boto3's each time, which takes 80 times as long
            lon, lat = project(
                parse_crs(crs), _WGS84, np.asarray(xs, np.float64).tolist(), np.asarray(ys, np.float64).tolist()
            )
    except (CPLE_BaseError, RasterioError) as error:
        raise unusable(crs, str(error)) from error
    lons, lats = np.array(lon, np.float64), np.array(lat, np.float64)
    if not (np.isfinite(lons).all() and np.isfinite(lats).all()):
        raise unusable(crs, "a point of the scene lies where it is not defined")
    beyond = (np.abs(lons) > _HALF_TURN) & (np.abs(lons) <= FURTHEST)
    lons[beyond] = (lons[beyond] + _HALF_TURN) % (2 * _HALF_TURN) - _HALF_TURN
    return lons, lats


def from_lonlat(crs: str, lon: NDArray[Any], lat: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project longitude and latitude [N], degrees WGS84, to x and y of ``crs``.

    Raises SceneError (``crs-unusable``) where PROJ has no answer for a point.
    """
    try:
        with Env(DummySession()):
            xs, ys = project(
                _WGS84, parse_crs(crs), np.asarray(lon, np.float64).tolist(), np.asarray(lat, np.float64).tolist()
            )
    except (CPLE_BaseError, RasterioError) as error:
        raise unusable(crs, str(error)) from error
    east, north = np.array(xs, np.float64), np.array(ys, np.float64)
    if not (np.isfinite(east).all() and np.isfinite(north).all()):
        raise unusable(crs, "a point lies where it is not defined")
    return east, north


def is_geographic(crs: str) -> bool:
    """Say whether a CRS is of longitude and latitude. Raises SceneError (``crs-unusable``)."""
    return bool(parse_crs(crs).is_geographic)


def is_same(one: str, other: str) -> bool:
    """Say whether two CRSs have the same parameters in PROJ's words: names do not count, since every tool calls MODIS's
    sphere otherwise. Raises SceneError (``crs-unusable``).
    """
    here, there = (parse_crs(crs).to_dict().items() - _SAY_NOTHING for crs in (one, other))
    return bool(here == there)


def parse_crs(crs: str) -> CRS:
    """Read ``EPSG:n`` or WKT. Raises SceneError (``crs-unusable``)."""
    try:
        return CRS.from_user_input(crs)
    except (CRSError, RasterioError) as error:
        raise unusable(crs, str(error)) from error


def unusable(crs: str, why: str) -> SceneError:
    """Make the error of a CRS that has no use here."""
    msg = (
        f"the CRS {crs[:200]} cannot be used: {why}. Deliver the scene in a projected CRS, or in longitude and"
        " latitude."
    )
    return SceneError(msg, reason="crs-unusable")
