"""Quadrilaterals on the ground: a chip's footprint or an MGRS cell, in its own system and in longitude and latitude."""

from dataclasses import dataclass
from itertools import pairwise
from math import remainder

from clayline.identity import utm
from clayline.identity.utm import Utm

_ANTIMERIDIAN = 180.0
_POLE = 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """A quadrilateral on the ground."""

    epsg: int
    """System of ``projected``."""
    projected: tuple[tuple[float, float], ...]
    """Easting and northing of the corners, metres: upper left, lower left, lower right, upper right, upper left
    (counter-clockwise)."""
    lonlat: tuple[tuple[float, float], ...]
    """The same ring in WGS 84 degrees. It is continuous: where it crosses the antimeridian, longitudes go on beyond 180
    or -180. A corner at a pole stands there twice, with its neighbours' longitudes."""

    @property
    def polygons(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Exterior rings with longitudes within -180 to 180.

        One, or two where the footprint crosses the antimeridian (RFC 7946, 3.1.9).
        """
        if max(lon for lon, _ in self.lonlat) > _ANTIMERIDIAN:
            edge, beyond = _ANTIMERIDIAN, 1
        elif min(lon for lon, _ in self.lonlat) < -_ANTIMERIDIAN:
            edge, beyond = -_ANTIMERIDIAN, -1
        else:
            return (self.lonlat,)
        near = _clipped(self.lonlat, edge, side=-beyond)
        far = _clipped(self.lonlat, edge, side=beyond)
        moved = tuple((lon - beyond * 360, lat) for lon, lat in far)
        return tuple(ring for ring in (near, moved) if ring)


def quadrilateral(system: Utm, *, west: float, bottom: float, east: float, top: float) -> Footprint:
    """Give the ground between two eastings and two northings, metres in the zone of ``system``."""
    projected = ((west, top), (west, bottom), (east, bottom), (east, top), (west, top))
    corners = [utm.inverse(Utm(zone=system.zone, north=system.north, easting=x, northing=y)) for x, y in projected[:-1]]
    ring: list[tuple[float, float]] = []
    for index, (lon, lat) in enumerate(corners):
        if abs(lat) == _POLE:
            # A pole has every longitude: its neighbours' meridians are the sides that meet there.
            ring += [(corners[index - 1][0], lat), (corners[(index + 1) % len(corners)][0], lat)]
        else:
            ring.append((lon, lat))
    unbroken = [ring[0]]
    for lon, lat in ring[1:]:
        unbroken.append((unbroken[-1][0] + remainder(lon - unbroken[-1][0], 360), lat))
    return Footprint(epsg=system.epsg, projected=projected, lonlat=(*unbroken, unbroken[0]))


def _clipped(ring: tuple[tuple[float, float], ...], edge: float, *, side: int) -> tuple[tuple[float, float], ...]:
    """Cut a closed ring at a meridian and keep one side of it (1 is east), closed.

    Empty where nothing but the edge is left.
    """
    kept: list[tuple[float, float]] = []
    for (lon, lat), (next_lon, next_lat) in pairwise(ring):
        if (lon - edge) * side >= 0:
            kept.append((lon, lat))
        if (lon - edge) * (next_lon - edge) < 0:
            kept.append((edge, lat + (next_lat - lat) * (edge - lon) / (next_lon - lon)))
    return (*kept, kept[0]) if any(lon != edge for lon, _ in kept) else ()
