"""WGS 84 longitude and latitude to and from UTM and UPS, without PROJ.

Identifiers are made and read where no raster library is.

Transverse Mercator is the Krüger series to the sixth order in the third flattening, Karney 2011,
doi:10.1007/s00190-011-0445-3 (equations 7 to 21, 35 and 36): its truncation error is a few nanometres within 3,900 km
of the central meridian. Polar stereographic (UPS) is the closed form over the same conformal latitude. Degrees and
metres throughout.
"""

from dataclasses import dataclass
from math import (
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    degrees,
    floor,
    hypot,
    isfinite,
    radians,
    remainder,
    sin,
    sinh,
    sqrt,
    tan,
)

from clayline.errors import InvalidIdentifierError

UPS_ZONE = 0
"""Zone number that stands for UPS, the two polar caps."""
EQUATOR_SOUTH = 10_000_000.0
"""False northing of a southern UTM zone, metres: the equator's northing there."""

_ZONES = 60
_UTM_CODES = {326: True, 327: False}
_UPS_CODES = {5041: True, 32661: True, 5042: False, 32761: False}
_SEMI_MAJOR = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_THIRD = _FLATTENING / (2 - _FLATTENING)
_E2 = _FLATTENING * (2 - _FLATTENING)
_E = sqrt(_E2)
_UTM_SCALE = 0.9996
_UTM_FALSE_EASTING = 500_000.0
_UPS_SCALE = 0.994
_UPS_FALSE = 2_000_000.0
_UTM_SOUTH_EDGE = -80.0
_UTM_NORTH_EDGE = 84.0
_POLE = 90.0
_SERIES_REACH = 30.0
_EASTING_REACH = 3_000_000.0
_NORTHING_REACH = 10_000_000.0
_NEWTON_STEPS = 6


def _series(table: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    """Sum each row's polynomial in the third flattening; row j starts at the power j (1-based)."""
    return tuple(sum(c * _THIRD ** (j + k) for k, c in enumerate(row)) for j, row in enumerate(table, start=1))


_RECTIFYING = _SEMI_MAJOR / (1 + _THIRD) * (1 + _THIRD**2 / 4 + _THIRD**4 / 64 + _THIRD**6 / 256)
_ALPHA = _series(
    (
        (1 / 2, -2 / 3, 5 / 16, 41 / 180, -127 / 288, 7891 / 37800),
        (13 / 48, -3 / 5, 557 / 1440, 281 / 630, -1983433 / 1935360),
        (61 / 240, -103 / 140, 15061 / 26880, 167603 / 181440),
        (49561 / 161280, -179 / 168, 6601661 / 7257600),
        (34729 / 80640, -3418889 / 1995840),
        (212378941 / 319334400,),
    )
)
_BETA = _series(
    (
        (1 / 2, -2 / 3, 37 / 96, -1 / 360, -81 / 512, 96199 / 604800),
        (1 / 48, 1 / 15, -437 / 1440, 46 / 105, -1118711 / 3870720),
        (17 / 480, -37 / 840, -209 / 4480, 5569 / 90720),
        (4397 / 161280, -11 / 504, -830251 / 7257600),
        (4583 / 161280, -108847 / 3991680),
        (20648693 / 638668800,),
    )
)
_UPS_RADIUS = 2 * _SEMI_MAJOR * _UPS_SCALE / sqrt((1 + _E) ** (1 + _E) * (1 - _E) ** (1 - _E))


@dataclass(frozen=True, kw_only=True, slots=True)
class Utm:
    """A position in a UTM zone or in UPS."""

    zone: int
    """1 to 60, or 0 for UPS."""
    north: bool
    """Whether the northing is counted in the northern hemisphere's system. A UTM northing may be negative there
    (Landsat, HLS)."""
    easting: float
    """Metres, with the false easting."""
    northing: float
    """Metres, with the false northing."""

    @property
    def epsg(self) -> int:
        """EPSG code of the system, easting first: 326zz, 327zz, or 5041 and 5042 for UPS."""
        if self.zone == UPS_ZONE:
            return 5041 if self.north else 5042
        return (32600 if self.north else 32700) + self.zone


def standard_zone(lon: float, lat: float) -> int:
    """Give the zone that MGRS uses at a place.

    1 to 60 with the exceptions of Norway and Svalbard, 0 (UPS) from 84 N and south of 80 S.

    A border belongs to the zone east of it, 180 degrees to zone 1. Raises InvalidIdentifierError for coordinates that
    are no place.
    """
    lon = _checked_lon(lon, lat)
    if not _UTM_SOUTH_EDGE <= lat < _UTM_NORTH_EDGE:
        return UPS_ZONE
    if 56 <= lat < 64 and 3 <= lon < 6:  # noqa: PLR2004 - the south-west of Norway, degrees
        return 32
    if lat >= 72 and 0 <= lon < 42:  # noqa: PLR2004 - Svalbard, degrees
        return 31 + 2 * sum(lon >= edge for edge in (9, 21, 33))
    # The floor comes first: adding 180 to a longitude just west of a border would round it onto the border.
    return (floor(lon) + 180) // 6 + 1


def forward(lon: float, lat: float, zone: int | None = None) -> Utm:
    """Project a place to ``zone``, by default its standard one, in its own hemisphere (the equator counts as north).

    Raises InvalidIdentifierError for coordinates that are no place and for a zone whose central meridian is over 30
    degrees away.
    """
    zone = standard_zone(lon, lat) if zone is None else zone
    lon = _checked_lon(lon, lat)
    north = lat >= 0
    if zone == UPS_ZONE:
        return _ups_forward(lon, lat, north=north)
    away = remainder(lon - _central_meridian(zone), 360)
    if abs(away) > _SERIES_REACH:
        msg = (
            f"longitude {lon} is {abs(away):.1f} degrees from the centre of UTM zone {zone}: use the zone of the place"
            " itself"
        )
        raise InvalidIdentifierError(msg)
    tau, lam = _conformal(lat), radians(away)
    xi_, eta_ = atan2(tau, cos(lam)), asinh(sin(lam) / hypot(tau, cos(lam)))
    xi = xi_ + sum(a * sin(2 * j * xi_) * cosh(2 * j * eta_) for j, a in enumerate(_ALPHA, start=1))
    eta = eta_ + sum(a * cos(2 * j * xi_) * sinh(2 * j * eta_) for j, a in enumerate(_ALPHA, start=1))
    scale = _UTM_SCALE * _RECTIFYING
    northing = scale * xi + (0.0 if north else EQUATOR_SOUTH)
    return Utm(zone=zone, north=north, easting=_UTM_FALSE_EASTING + scale * eta, northing=northing)


def inverse(position: Utm) -> tuple[float, float]:
    """Give (longitude, latitude) in degrees, longitude in [-180, 180).

    Raises InvalidIdentifierError where the series does not reach: over 3,000 km from the central meridian, or beyond a
    pole. UPS coordinates are held to the same bounds; nothing that MGRS or a scene near a pole needs lies beyond them.
    """
    check(position)
    if position.zone == UPS_ZONE:
        return _ups_inverse(position)
    east = position.easting - _UTM_FALSE_EASTING
    north = position.northing - (0.0 if position.north else EQUATOR_SOUTH)
    scale = _UTM_SCALE * _RECTIFYING
    xi, eta = north / scale, east / scale
    xi_ = xi - sum(b * sin(2 * j * xi) * cosh(2 * j * eta) for j, b in enumerate(_BETA, start=1))
    eta_ = eta - sum(b * cos(2 * j * xi) * sinh(2 * j * eta) for j, b in enumerate(_BETA, start=1))
    lat = _geographic(sin(xi_) / hypot(sinh(eta_), cos(xi_)))
    return _wrapped(_central_meridian(position.zone) + degrees(atan2(sinh(eta_), cos(xi_)))), lat


def from_epsg(epsg: int, easting: float, northing: float) -> Utm | None:
    """Give a position in a WGS 84 UTM or UPS system by its EPSG code, easting first; None for every other system."""
    if epsg in _UPS_CODES:
        return Utm(zone=UPS_ZONE, north=_UPS_CODES[epsg], easting=easting, northing=northing)
    system, zone = divmod(epsg, 100)
    if system not in _UTM_CODES or not 1 <= zone <= _ZONES:
        return None
    return Utm(zone=zone, north=_UTM_CODES[system], easting=easting, northing=northing)


def check(position: Utm) -> None:
    """Raise InvalidIdentifierError for a zone that does not exist and for coordinates that are no numbers or out of the
    zone's reach.
    """
    east = position.easting - (_UPS_FALSE if position.zone == UPS_ZONE else _UTM_FALSE_EASTING)
    north = position.northing - (0.0 if position.zone == UPS_ZONE or position.north else EQUATOR_SOUTH)
    if position.zone != UPS_ZONE:
        _central_meridian(position.zone)
    # Written so that a NaN fails it.
    if not (abs(east) <= _EASTING_REACH and abs(north) <= _NORTHING_REACH):
        msg = f"{position} lies outside what its zone can describe: check CRS and units (metres)"
        raise InvalidIdentifierError(msg)


def _ups_forward(lon: float, lat: float, *, north: bool) -> Utm:
    tau = _conformal(lat if north else -lat)
    # Both branches are t = tan(colatitude / 2) of the conformal sphere; each keeps its digits on its own side of the
    # equator.
    t = 1 / (hypot(1, tau) + tau) if tau >= 0 else hypot(1, tau) - tau
    rho = 0.0 if abs(lat) == _POLE else _UPS_RADIUS * t
    along = -rho * cos(radians(lon)) if north else rho * cos(radians(lon))
    return Utm(zone=UPS_ZONE, north=north, easting=_UPS_FALSE + rho * sin(radians(lon)), northing=_UPS_FALSE + along)


def _ups_inverse(position: Utm) -> tuple[float, float]:
    x, y = position.easting - _UPS_FALSE, position.northing - _UPS_FALSE
    side = 1.0 if position.north else -1.0
    rho = hypot(x, y)
    if rho == 0:
        return 0.0, side * _POLE
    t = rho / _UPS_RADIUS
    return _wrapped(degrees(atan2(x, -side * y))), side * _geographic((1 / t - t) / 2)


def _conformal(lat: float) -> float:
    """Tangent of the conformal latitude (Karney 2011, equations 7 to 9)."""
    return _conformal_of_tangent(tan(radians(lat)))


def _conformal_of_tangent(tau: float) -> float:
    sigma = sinh(_E * atanh(_E * tau / hypot(1, tau)))
    return tau * hypot(1, sigma) - sigma * hypot(1, tau)


def _geographic(conformal: float) -> float:
    """Latitude in degrees from the tangent of the conformal latitude, by Newton's method (Karney 2011, equations 19 to
    21).
    """
    tau = conformal / (1 - _E2)
    for _ in range(_NEWTON_STEPS):
        guess = _conformal_of_tangent(tau)
        step = (conformal - guess) / hypot(1, guess) * (1 + (1 - _E2) * tau * tau) / ((1 - _E2) * hypot(1, tau))
        tau += step
        if abs(step) <= 1e-16 * max(1.0, abs(tau)):
            break
    return degrees(atan(tau))


def _central_meridian(zone: int) -> float:
    if not 1 <= zone <= _ZONES:
        msg = f"UTM zone {zone} does not exist: zones are 1 to 60 (0 stands for UPS)"
        raise InvalidIdentifierError(msg)
    return 6.0 * zone - 183.0


def _checked_lon(lon: float, lat: float) -> float:
    if not (isfinite(lon) and isfinite(lat)) or abs(lat) > _POLE:
        msg = f"longitude {lon}, latitude {lat} is no place: give degrees, latitude within -90 to 90"
        raise InvalidIdentifierError(msg)
    return _wrapped(lon)


def _wrapped(lon: float) -> float:
    lon = remainder(lon, 360)
    return -180.0 if lon == 180 else lon  # noqa: PLR2004 - the antimeridian has one spelling
