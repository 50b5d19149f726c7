"""Where each chip lies: its identifier and the longitude and latitude of its corners, both before any work starts."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clayline.chips.grid import ChipGrid
from clayline.errors import InvalidIdentifierError, SceneError
from clayline.identity import uci, utm
from clayline.identity.uci import Instant, Interval, Uci
from clayline.outputs.footprints import footprints
from clayline.ports import Headers
from clayline.run.plan import PlannedChips, PlannedScene, duplicates

_BLOCK = 65_536
"""Chips projected at a time: bounds memory for any scene."""


def place(scene: PlannedScene, grid: ChipGrid, *, token: str, headers: Headers) -> PlannedChips:
    """Give identifier and corners of every chip of the grid, in the order of its index.

    Corners are the window's own in the scene's CRS, projected by PROJ; a window's padding outside the scene counts.
    Raises SceneError (``duplicate-identifiers``, ``no-identifier``, ``bad-footprint``).
    """
    windows = np.array([(window.row, window.col) for window in grid], dtype=np.float64)
    a, b, c, d, e, f = scene.transform
    corners = np.empty((len(windows), 4, 2))
    centres = np.empty((len(windows), 2))
    for start in range(0, len(windows), _BLOCK):
        part = windows[start : start + _BLOCK]
        for corner, (down, right) in enumerate(((0, 0), (0, grid.size), (grid.size, grid.size), (grid.size, 0))):
            rows, cols = part[:, 0] + down, part[:, 1] + right
            lon, lat = headers.to_lonlat(scene.crs, a * cols + b * rows + c, d * cols + e * rows + f)
            corners[start : start + _BLOCK, corner] = np.column_stack((lon, lat))
        rows, cols = part[:, 0] + grid.size / 2, part[:, 1] + grid.size / 2
        centres[start : start + _BLOCK] = np.column_stack((a * cols + b * rows + c, d * cols + e * rows + f))
    identifiers = _identifiers(scene, grid, centres, token, headers)
    if repeated := duplicates(identifiers):
        msg = (
            f"scene {scene.name}: {len(repeated)} identifiers stand for more than one chip, the first is {repeated[0]}."
            " The scene's grid is finer than the identifier can tell; report this with the scene's CRS and transform."
        )
        raise SceneError(msg, reason="duplicate-identifiers")
    for start in range(0, len(identifiers), _BLOCK):
        footprints(
            corners[start : start + _BLOCK], identifiers[start : start + _BLOCK]
        )  # what collect could not write fails here
    return PlannedChips(uci=tuple(identifiers), corners=corners)


def _identifiers(
    scene: PlannedScene, grid: ChipGrid, centres: NDArray[np.float64], token: str, headers: Headers
) -> list[str]:
    start, end = scene.acquired.start, scene.acquired.end
    time = Instant(moment=start) if start == end else Interval(start=start.date(), end=end.date())
    try:
        return [
            uci.format(Uci(location=location, time=time, instrument=scene.instrument, model=token))
            for location in _locations(scene, grid, centres, headers)
        ]
    except InvalidIdentifierError as error:
        msg = f"scene {scene.name}: a chip's place or time cannot be written as an identifier: {error}"
        raise SceneError(msg, reason="no-identifier") from error


def _locations(
    scene: PlannedScene, grid: ChipGrid, centres: NDArray[np.float64], headers: Headers
) -> Iterator[uci.Window | uci.Point]:
    """Give each chip's place: window, or the centre in the scene's own UTM or UPS system, or, for any other CRS, over
    lon/lat.
    """
    gsd_mm = scene.gsd_mm
    if scene.location == "window":
        for window in grid:
            yield scene.tile_window(window)
    elif scene.epsg is not None and utm.from_epsg(scene.epsg, 0.0, 0.0) is not None:
        for easting, northing in centres.tolist():
            position = utm.from_epsg(scene.epsg, easting, northing)
            if position is not None:
                yield uci.point_from_utm(position, size=grid.size, gsd_mm=gsd_mm)
    else:
        for lon, lat in zip(*headers.to_lonlat(scene.crs, centres[:, 0], centres[:, 1]), strict=True):
            yield uci.point_from_lonlat(float(lon), float(lat), size=grid.size, gsd_mm=gsd_mm)
