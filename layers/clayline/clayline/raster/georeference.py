"""Georeference: where a file says that its pixels lie, and how large they are on the ground."""

from dataclasses import dataclass
from math import cos, degrees, pi, radians, sin, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError

from clayline.chips.cog import Affine, CogSource
from clayline.errors import SceneError
from clayline.raster.projection import FURTHEST, parse_crs, to_lonlat, unusable

MAP_TOLERANCE = 0.01
"""Share by which a pixel on the map may differ from the ground for the map's own GSD to stand. UTM and UPS differ by
less: a product's 10 m stay 10 m, whatever the scale at its place."""
_NO_TRANSFORM = (1, 0, 0, 0, 1, 0)
"""What GDAL gives where a file says nothing."""
_SEMI_MAJOR = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY = _FLATTENING * (2 - _FLATTENING)
"""Squared, like the others of WGS 84."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundPixel:
    """A pixel at the scene's centre."""

    size: float
    """The GSD, metres."""
    width: float
    """Along a row, on the ground, metres."""
    height: float
    """Along a column, likewise."""
    angle: float
    """Between rows and columns on the ground, degrees."""


def read_crs(source: CogSource, dataset: Any) -> tuple[str, int | None]:  # noqa: ANN401 - rasterio publishes no types
    """Give the CRS as ``EPSG:n`` and n if that code is exactly it, else as WKT2.

    Raises SceneError (``no-crs``, ``crs-unusable``).
    """
    crs = dataset.crs
    if not crs:
        msg = f"{source.uri} has no CRS. Write the CRS into the GeoTIFF (sidecar files are not read)."
        raise SceneError(msg, reason="no-crs")
    try:
        epsg = crs.to_epsg()
        if epsg is not None and CRS.from_epsg(epsg) == crs:
            return f"EPSG:{epsg}", epsg
        return crs.to_wkt(version="WKT2_2019"), None
    except (CRSError, RasterioError) as error:
        msg = f"{source.uri} has a CRS that PROJ does not understand ({error}). Write a CRS with an EPSG code."
        raise SceneError(msg, reason="crs-unusable") from error


def read_transform(source: CogSource, dataset: Any) -> tuple[Affine, bool]:  # noqa: ANN401
    """Give the north-up transform, and whether the file's rows lie the other way round, south to north.

    Raises SceneError (``no-transform``, ``rotated``).
    """
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    if (a, b, c, d, e, f) == _NO_TRANSFORM or not np.isfinite([a, b, c, d, e, f]).all():
        msg = (
            f"{source.uri} does not say where its pixels lie. Write the geotransform into the GeoTIFF (world files are"
            " not read)."
        )
        raise SceneError(msg, reason="no-transform")
    if b or d or a <= 0 or e == 0:
        msg = (
            f"{source.uri} is rotated, sheared or mirrored (transform {(a, b, c, d, e, f)}). Deliver it with columns"
            " west to east and rows north to south or south to north: `gdalwarp -of COG IN OUT` makes that of it."
        )
        raise SceneError(msg, reason="rotated")
    if e > 0:
        return (a, b, c, d, -e, f + e * dataset.height), True
    return (a, b, c, d, e, f), False


def check_has_grid(source: CogSource, dataset: Any) -> None:  # noqa: ANN401
    """Refuse pixels that lie on no grid. Raises SceneError (``gcp-only``, ``rpc-only``)."""
    if tuple(dataset.transform)[:6] != _NO_TRANSFORM:
        return
    points, _ = dataset.gcps
    if points:
        msg = (
            f"{source.uri} has {len(points)} ground control points and no transform: its pixels lie on no regular grid."
            " Warp it to one: `gdalwarp -of COG -tps -t_srs EPSG:326NN IN OUT`."
        )
        raise SceneError(msg, reason="gcp-only")
    if dataset.rpcs:
        msg = (
            f"{source.uri} has rational polynomial coefficients (RPC) and no transform: where its pixels lie follows"
            " from the terrain. Orthorectify it: `gdalwarp -of COG -rpc -to RPC_DEM=DEM.tif -t_srs EPSG:326NN IN OUT`."
        )
        raise SceneError(msg, reason="rpc-only")


def measure_pixel(crs: str, transform: Affine, *, width: int, height: int) -> GroundPixel:
    """Measure a pixel at the centre of a scene of ``width`` x ``height`` pixels.

    The GSD is the side of a square as large as the pixel. In a projected CRS it is the map's, sqrt(|a e|) times the
    unit, where that is within MAP_TOLERANCE of the ground's; else the ground's. Raises SceneError (``crs-unusable``).
    """
    system = parse_crs(crs)
    try:
        if system.is_projected:
            on_map = sqrt(abs(transform[0] * transform[4])) * float(system.linear_units_factor[1])
            return _projected(crs, transform, on_map, row=height / 2, col=width / 2)
        if not system.is_geographic:
            raise unusable(crs, "it is neither projected nor geographic")
        to_radians = float(system.units_factor[1])
    except (CRSError, RasterioError) as error:
        raise unusable(crs, str(error)) from error
    return _geographic(crs, transform, to_radians, width=width, height=height)


def _geographic(crs: str, transform: Affine, to_radians: float, *, width: int, height: int) -> GroundPixel:
    """Measure by the radii of curvature of the WGS 84 ellipsoid.

    A radian of latitude is M metres and one of longitude N cos(phi), in the meridian M = a (1 - e2) / (1 - e2
    sin2(phi))^(3/2), in the prime vertical N = a / sqrt(1 - e2 sin2(phi)) (Snyder, Map Projections: A Working Manual,
    1987, equations 4-18 to 4-21).
    """
    a, _, c, _, e, f = transform
    latitude = (f + e * height / 2) * to_radians
    furthest = max(abs(c), abs(c + a * width)) * to_radians
    if abs(latitude) > pi / 2 or furthest > radians(FURTHEST) or width * abs(a) * to_radians > 2 * pi + radians(1):
        raise unusable(crs, "its coordinates lie beyond the globe")
    flatness = 1 - _ECCENTRICITY * sin(latitude) ** 2
    meridian = _SEMI_MAJOR * (1 - _ECCENTRICITY) / flatness**1.5
    prime_vertical = _SEMI_MAJOR / sqrt(flatness)
    return GroundPixel(
        size=sqrt(abs(a) * prime_vertical * cos(latitude) * abs(e) * meridian) * to_radians,
        width=abs(a) * prime_vertical * cos(latitude) * to_radians,
        height=abs(e) * meridian * to_radians,
        angle=90.0,
    )


def _projected(crs: str, transform: Affine, on_map: float, *, row: float, col: float) -> GroundPixel:
    """Measure between the middles of a pixel's opposite sides, through the Earth: over a pixel of 10 km, the chord is
    shorter than the geodesic by a part in ten million.
    """
    a, b, c, d, e, f = transform
    cols, rows = np.array([col - 0.5, col + 0.5, col, col]), np.array([row, row, row - 0.5, row + 0.5])
    west, east, north, south = _geocentric(*to_lonlat(crs, a * cols + b * rows + c, d * cols + e * rows + f))
    right, down = east - west, south - north
    area = float(np.linalg.norm(np.cross(right, down)))
    width, height = float(np.linalg.norm(right)), float(np.linalg.norm(down))
    if not area > 0:
        raise unusable(crs, "its pixels have no size on the ground")
    ground = sqrt(area)
    return GroundPixel(
        size=on_map if abs(on_map / ground - 1) <= MAP_TOLERANCE else ground,
        width=width,
        height=height,
        angle=degrees(np.arccos(np.clip(right @ down / (width * height), -1, 1))),
    )


def _geocentric(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give places on the ellipsoid, degrees [N], as X, Y, Z in metres [N, 3]: poles and antimeridian are no edges there
    (EPSG Guidance Note 7-2, method 9602).
    """
    lam, phi = np.radians(lon), np.radians(lat)
    prime_vertical = _SEMI_MAJOR / np.sqrt(1 - _ECCENTRICITY * np.sin(phi) ** 2)
    x, y = (prime_vertical * np.cos(phi) * part(lam) for part in (np.cos, np.sin))
    return np.stack([x, y, prime_vertical * (1 - _ECCENTRICITY) * np.sin(phi)], axis=1)
