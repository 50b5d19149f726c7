"""Each row against the window that its index names: footprint, identifier and cell, made again from the provenance."""

from collections.abc import Callable
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from clayline.chips.grid import ChipGrid, ChipWindow
from clayline.errors import InvalidIdentifierError, SceneError
from clayline.identity import uci, utm
from clayline.identity.ground import numbered_cell
from clayline.identity.location import Window
from clayline.identity.uci import Instant, Interval
from clayline.outputs.footprints import footprints
from clayline.verification.header import Provenance
from clayline.verification.outcomes import Outcomes
from clayline.verification.rows import Rows

type Projector = Callable[
    [str, NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]
]
"""x and y of a CRS to longitude and latitude. Raises SceneError."""
_CENTIMETRE: Final = 0.01
_DEGREE_M: Final = 111_320.0


class Ground:
    """What the provenance says of each window."""

    def __init__(self, provenance: Provenance, project: Projector, outcomes: Outcomes) -> None:
        """Take what the file says, and what projects."""
        self.grid: ChipGrid = provenance.grid.chips()
        self._provenance = provenance
        self._project = project
        self._outcomes = outcomes
        start, end = provenance.acquired.start, provenance.acquired.end
        time = Instant.of(start) if start == end else Interval(start=start.date(), end=end.date())
        self._tail = f"_{time}_{provenance.instrument}_{provenance.model.token}"
        self._epsg = _utm_code(provenance.grid.crs)

    def check(self, rows: Rows, shapes: NDArray[np.object_] | None) -> None:
        """Compare rows with their windows; ``shapes`` [n] are the footprints, None where they could not be read."""
        if rows.index is None:
            return
        inside = (rows.index >= 0) & (rows.index < len(self.grid))
        if not inside.all():
            self._outcomes.found(
                "windows",
                f"the index is not in the grid of {len(self.grid)} windows",
                rows.names(~inside),
                count=int(np.count_nonzero(~inside)),
            )
        if not inside.any():
            return
        which = np.flatnonzero(inside)
        windows = [self.grid.window(index) for index in rows.index[inside].tolist()]
        try:
            corners, centres = self._corners(np.array([(each.row, each.col) for each in windows], np.float64))
        except SceneError as error:
            self._outcomes.found("provenance", f"its grid gives no place on the ground: {error.message}"[:400])
            return
        if shapes is not None:
            self._footprints(rows, which, corners, shapes)
        if rows.ids is not None:
            self._identifiers(rows, which, windows, centres)
        if rows.cells is not None:
            self._cells(rows, which, rows.index[inside])

    def _corners(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give lon and lat of the corners [n, 4, 2], and the centres in the scene's CRS [n, 2]."""
        size = self.grid.size
        a, b, c, d, e, f = self._provenance.grid.transform
        rows = np.stack([at[:, 0] + down for down in (0, 0, size, size)], axis=1)
        cols = np.stack([at[:, 1] + right for right in (0, size, size, 0)], axis=1)
        x, y = a * cols + b * rows + c, d * cols + e * rows + f
        lon, lat = self._project(self._provenance.grid.crs, x.reshape(-1), y.reshape(-1))
        row, col = at[:, 0] + size / 2, at[:, 1] + size / 2
        centres = np.stack([a * col + b * row + c, d * col + e * row + f], axis=1)
        return np.stack([lon, lat], axis=1).reshape(-1, 4, 2), centres

    def _footprints(
        self, rows: Rows, which: NDArray[np.int64], corners: NDArray[np.float64], shapes: NDArray[np.object_]
    ) -> None:
        try:
            made = footprints(corners, [rows.name(row) for row in which.tolist()])
        except SceneError as error:
            self._outcomes.found("footprint", f"the provenance's transform gives no footprint: {error.message}"[:400])
            return
        held = rows.shapes or []
        other = [at for at, row in enumerate(which.tolist()) if held[row] != made.wkb[at] and shapes[row] is not None]
        if not other:
            return
        expected = shapely.from_wkb([made.wkb[at] for at in other])
        found = shapes[which[other]]
        turn = np.cos(np.radians(corners[other, :, 1].mean(axis=1)))
        away = shapely.hausdorff_distance(found, expected) * _DEGREE_M  # far north, a degree east is less: sharper then
        wrong = np.flatnonzero(~(away <= _CENTIMETRE))
        if not len(wrong):
            return
        shift = (_middle(found[wrong]) - _middle(expected[wrong])) * _DEGREE_M
        shift[:, 0] *= turn[wrong]
        east, north = np.median(shift, axis=0).tolist()
        self._outcomes.found(
            "footprint",
            "the footprint is not that of the window",
            [
                f"{rows.name(int(which[other[at]]))} (of these rows the median lies {east:+.2f} m east,"
                f" {north:+.2f} m north)"
                for at in wrong[:1].tolist()
            ],
            count=len(wrong),
        )

    def _identifiers(
        self, rows: Rows, which: NDArray[np.int64], windows: list[ChipWindow], centres: NDArray[np.float64]
    ) -> None:
        ids = rows.ids or []
        for at, row in enumerate(which.tolist()):
            held = ids[row]
            if held is None:
                continue
            try:
                expected = f"{self._location(windows[at], centres[at])}{self._tail}"
            except (InvalidIdentifierError, SceneError) as error:
                self._outcomes.found("identifiers-agree", f"the provenance gives no identifier: {error}"[:300])
                return
            if held == expected:
                continue
            parts = ("place", "time", "instrument", "model")
            pairs = list(zip(parts, held.split("_"), expected.split("_"), strict=False))
            differs = [name for name, mine, its in pairs if mine != its]
            what = " and ".join(differs) or "form"
            self._outcomes.found(
                "identifiers-agree",
                f"the identifier's {what} is not that of the row's window and of the provenance",
                [f"{held[:130]} where {expected} is expected"],
            )

    def _location(self, window: ChipWindow, centre: NDArray[np.float64]) -> uci.Window | uci.Point:
        grid = self._provenance.grid
        gsd_mm = round(grid.gsd * 1000)
        if grid.identifier == "window":
            return Window(tile=grid.mgrs_tile or "", row=window.row, col=window.col, size=window.size, gsd_mm=gsd_mm)
        x, y = centre.tolist()
        position = utm.from_epsg(self._epsg, x, y) if self._epsg else None
        if position is not None:
            return uci.point_from_utm(position, size=grid.chip_size, gsd_mm=gsd_mm)
        lon, lat = self._project(grid.crs, np.array([x]), np.array([y]))
        return uci.point_from_lonlat(float(lon[0]), float(lat[0]), size=grid.chip_size, gsd_mm=gsd_mm)

    def _cells(self, rows: Rows, which: NDArray[np.int64], index: NDArray[np.int64]) -> None:
        lattice, held = self._provenance.grid.lattice, rows.cells or []
        for at, row in enumerate(which.tolist()):
            down, right = divmod(int(index[at]), self.grid.cols)
            if lattice is not None and lattice.name and lattice.first_cell:
                north, east = lattice.first_cell
                expected: str | None = numbered_cell(lattice.name, north=north - down, east=east + right)
            elif lattice is None and rows.ids:
                expected = (rows.ids[row] or "").partition("_")[0]
            else:
                expected = None
            if held[row] != expected:
                self._outcomes.found(
                    "cell",
                    "the cell is not that of the window on the lattice",
                    [f"{str(held[row])[:100]} where {expected} is expected"],
                )


def _middle(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = shapely.get_coordinates(shapely.centroid(shapes))
    return middle


def _utm_code(crs: str) -> int | None:
    """Give the code of a UTM or UPS system."""
    code = crs.removeprefix("EPSG:")
    number = int(code) if code != crs and code.isascii() and code.isdigit() and len(code) < 8 else None  # noqa: PLR2004
    return number if number is not None and utm.from_epsg(number, 0.0, 0.0) is not None else None
