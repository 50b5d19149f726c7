"""Where a scene's pixels lie on the globe: lines of longitude and latitude across it, and lengths on the ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from pyproj import Geod

from clayline.chips.cog import Affine
from clayline.raster.projection import to_lonlat

_WGS84 = Geod(ellps="WGS84")
_NODES = 65
"""Places a side at which longitude and latitude are computed; between them they are taken as straight."""
_HALF_TURN = 180.0
_ROUND = (5, 2, 1)


@dataclass(frozen=True, kw_only=True)
class Ticks:
    """Where round degrees meet one side of the scene."""

    pixels: tuple[float, ...]
    """Column (of the lower side) or row (of the left side)."""
    labels: tuple[str, ...]
    """Degrees with their direction, such as ``54.6°W``."""


@dataclass(frozen=True, kw_only=True)
class Graticule:
    """Lines of round longitude and latitude.

    They are curves in most projections, so the fields are kept, and contoured where drawn.
    """

    cols: NDArray[np.float64]
    """Pixel columns [n] of the nodes."""
    rows: NDArray[np.float64]
    """Pixel rows [n]."""
    lon: NDArray[np.float64]
    """Degrees [n, n] by row and column, unwrapped around the scene's centre: there is no jump at the antimeridian, but
    next to a pole."""
    lat: NDArray[np.float64]
    meridians: tuple[float, ...]
    """Round longitudes, unwrapped, ascending."""
    parallels: tuple[float, ...]
    """Round latitudes, ascending."""
    below: Ticks
    left: Ticks


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The ground under a grid of pixels."""

    crs: str
    """``EPSG:n`` or WKT."""
    transform: Affine
    """Pixel to CRS."""
    height: int
    width: int

    def lonlat(
        self, cols: NDArray[np.float64], rows: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give longitude and latitude, degrees WGS84, of places in pixels [N].

        (0, 0) is the upper-left corner of the first pixel.

        Raises SceneError (``crs-unusable``) where PROJ has no answer.
        """
        a, b, c, d, e, f = self.transform
        return to_lonlat(self.crs, a * cols + b * rows + c, d * cols + e * rows + f)

    def metres_a_column(self, columns: float = 1.0) -> float:
        """Give the ground's metres in a pixel's width: geodesic, over so many columns around the scene's centre."""
        return self._metres((columns / 2, 0.0)) / columns

    def metres_a_row(self) -> float:
        """Give the ground's metres in a pixel's height at the scene's centre."""
        return self._metres((0.0, 0.5))

    def _metres(self, half: tuple[float, float]) -> float:
        cols, rows = self.width / 2 + np.array([-1, 1]) * half[0], self.height / 2 + np.array([-1, 1]) * half[1]
        (west, east), (first, last) = self.lonlat(cols, rows)
        return float(_WGS84.inv(west, first, east, last)[2])

    def scale_bar(self, share: float = 0.3) -> tuple[int | float, float]:
        """Give a round length (1, 2 or 5 times a power of ten), metres, at most ``share`` of the scene's width, and its
        columns.

        The length is geodesic at the scene's centre, so that a degree or a metre of a map that is not one on the ground
        misleads nobody.
        """
        columns = self.width * share
        longest = columns * self.metres_a_column(columns)
        power = 10.0 ** floor(log10(longest))
        metres = next(power * number for number in _ROUND if power * number <= longest)
        for _ in range(3):  # a metre's columns depend, a little, on over how many columns one looks
            columns = metres / self.metres_a_column(columns)
        return metres, columns

    def graticule(self, *, across: int, down: int) -> Graticule:
        """Choose about so many round degrees along the lower and the left side, and find where they meet it.

        Mostly longitude is told below and latitude at the left; where the projection turns the scene, as near a pole,
        it is the other way.
        """
        cols, rows = np.linspace(0, self.width, _NODES), np.linspace(0, self.height, _NODES)
        every = np.meshgrid(cols, rows)
        lon, lat = (field.reshape(_NODES, _NODES) for field in self.lonlat(every[0].ravel(), every[1].ravel()))
        middle = lon[_NODES // 2, _NODES // 2]
        lon = (lon - middle + _HALF_TURN) % (2 * _HALF_TURN) - _HALF_TURN + middle
        turned = np.ptp(lat[-1]) > np.ptp(lon[-1]) * np.cos(np.radians(lat[-1])).mean()
        meridians, lon_decimals = _round(lon[:, 0] if turned else lon[-1], down if turned else across, lon)
        parallels, lat_decimals = _round(lat[-1] if turned else lat[:, 0], across if turned else down, lat)
        if turned:
            below = _ticks(cols, lat[-1], parallels, lat_decimals, "NS")
            left = _ticks(rows, lon[:, 0], meridians, lon_decimals, "EW")
        else:
            below = _ticks(cols, lon[-1], meridians, lon_decimals, "EW")
            left = _ticks(rows, lat[:, 0], parallels, lat_decimals, "NS")
        return Graticule(
            cols=cols, rows=rows, lon=lon, lat=lat, meridians=meridians, parallels=parallels, below=below, left=left
        )


def length_text(metres: float) -> str:
    """Write a length in metres or kilometres."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"  # noqa: PLR2004 - metres in a kilometre


def _round(side: NDArray[np.float64], count: int, field: NDArray[np.float64]) -> tuple[tuple[float, ...], int]:
    """Give all round values in ``field`` [n, n], spaced so that about ``count`` lie along ``side`` [n], and the
    decimals they need.
    """
    values = MaxNLocator(nbins=max(1, count), steps=[1, 2, 5, 10], min_n_ticks=1).tick_values(
        float(side.min()), float(side.max())
    )
    step = float(values[1] - values[0])
    first, last = np.ceil(field.min() / step - 1e-9), np.floor(field.max() / step + 1e-9)
    return tuple(float(number * step) for number in np.arange(first, last + 1)), max(0, -floor(log10(step) + 1e-9))


def _ticks(
    places: NDArray[np.float64], side: NDArray[np.float64], levels: Sequence[float], decimals: int, names: str
) -> Ticks:
    """Find where ``side`` [n], the degrees at ``places`` [n] pixels, passes each level."""
    found = []
    for level in levels:
        over = side - level
        for number in np.flatnonzero((over[:-1] <= 0) & (over[1:] > 0) | (over[:-1] >= 0) & (over[1:] < 0)):
            if (
                abs(side[number + 1] - side[number]) < _HALF_TURN
            ):  # no jump from one side of the antimeridian to the other
                part = over[number] / (over[number] - over[number + 1])
                found.append(
                    (
                        float(places[number] + part * (places[number + 1] - places[number])),
                        _degrees(level, decimals, names),
                    )
                )
        if over[-1] == 0:
            found.append((float(places[-1]), _degrees(level, decimals, names)))
    found.sort()
    return Ticks(pixels=tuple(pixel for pixel, _ in found), labels=tuple(label for _, label in found))


def _degrees(value: float, decimals: int, names: str) -> str:
    wrapped = round((value + _HALF_TURN) % (2 * _HALF_TURN) - _HALF_TURN if names == "EW" else value, decimals)
    named = wrapped and abs(wrapped) != _HALF_TURN
    return f"{abs(wrapped):.{decimals}f}°{names[int(wrapped < 0)] if named else ''}"
