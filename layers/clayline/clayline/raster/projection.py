"""Coordinates: PROJ, as rasterio carries it."""

from math import cos, pi, radians, sin, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what OGR raises is wrapped in nothing public
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform as project

from clayline.chips.cog import Affine
from clayline.errors import SceneError

_WGS84 = CRS.from_epsg(4326)
_SEMI_MAJOR = 6_378_137.0
_FLATTENING = 1 / 298.257223563


def to_lonlat(crs: str, xs: NDArray[Any], ys: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project x and y [N] of ``crs`` (easting or longitude first, whatever the CRS's own axis order) to longitude and
    latitude.

    Degrees WGS84, float64 [N]. Raises SceneError (``crs-unusable``) where PROJ has no answer for a point.
    """
    try:
        lon, lat = project(
            parse_crs(crs), _WGS84, np.asarray(xs, np.float64).tolist(), np.asarray(ys, np.float64).tolist()
        )
    except (CPLE_BaseError, RasterioError) as error:
        raise _unusable(crs, str(error)) from error
    lons, lats = np.array(lon, np.float64), np.array(lat, np.float64)
    if not (np.isfinite(lons).all() and np.isfinite(lats).all()):
        raise _unusable(crs, "a point of the scene lies where it is not defined")
    return lons, lats


def pixel_size_metres(crs: str, transform: Affine, *, width: int, height: int) -> float:
    """Give the side of a pixel in metres: the geometric mean of its two sides, sqrt(|a| * |e|).

    Projected: the transform's sides times the CRS's linear unit. Geographic: at the scene's centre, a radian of
    latitude is M metres and one of longitude N cos(phi), with the radii of curvature of the WGS 84 ellipsoid in the
    meridian, M = a (1 - e2) / (1 - e2 sin2(phi))^(3/2), and in the prime vertical, N = a / sqrt(1 - e2 sin2(phi)).
    Raises SceneError (``crs-unusable``).
    """
    system = parse_crs(crs)
    a, _, _, _, e, f = transform
    try:
        if system.is_projected:
            return sqrt(abs(a * e)) * float(system.linear_units_factor[1])
        if not system.is_geographic:
            raise _unusable(crs, "it is neither projected nor geographic")
        to_radians = float(system.units_factor[1])
    except (CRSError, RasterioError) as error:
        raise _unusable(crs, str(error)) from error
    latitude = (f + e * height / 2) * to_radians
    if abs(latitude) > pi / 2 or width * abs(a) * to_radians > 2 * pi + radians(1):
        raise _unusable(crs, "its coordinates lie beyond the globe")
    eccentricity = _FLATTENING * (2 - _FLATTENING)
    flatness = 1 - eccentricity * sin(latitude) ** 2
    meridian = _SEMI_MAJOR * (1 - eccentricity) / flatness**1.5
    prime_vertical = _SEMI_MAJOR / sqrt(flatness)
    return sqrt(abs(a) * prime_vertical * cos(latitude) * abs(e) * meridian) * to_radians


def is_geographic(crs: str) -> bool:
    """Say whether a CRS is of longitude and latitude. Raises SceneError (``crs-unusable``)."""
    return bool(parse_crs(crs).is_geographic)


def parse_crs(crs: str) -> CRS:
    """Read ``EPSG:n`` or WKT. Raises SceneError (``crs-unusable``)."""
    try:
        return CRS.from_user_input(crs)
    except (CRSError, RasterioError) as error:
        raise _unusable(crs, str(error)) from error


def _unusable(crs: str, why: str) -> SceneError:
    msg = (
        f"the CRS {crs[:200]} cannot be used: {why}. Deliver the scene in a projected CRS, or in longitude and"
        " latitude."
    )
    return SceneError(msg, reason="crs-unusable")
