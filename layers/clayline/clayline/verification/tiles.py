"""Footprints of others' files on the pixel grid of the MGRS tile that they are named after, and what is missing of it.

For files without provenance: the tile's name gives zone and origin, Sentinel-2's finest pixel is 10 m, and every
window of its tile begins a whole number of pixels from the origin.
"""

import re
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from clayline.errors import InvalidIdentifierError, SceneError
from clayline.identity import mgrs
from clayline.verification.ground import Projector
from clayline.verification.outcomes import Outcomes
from clayline.verification.rows import Rows

TILE_NAME: Final = re.compile(r"(?<![0-9A-Z])([0-9]{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])_([0-9]{8})_([0-9]{8})")
"""How v0 names files: tile, first and last day."""
_PIXEL: Final = 10.0
_NEAR: Final = 0.01
_SIDE_NEAR: Final = 0.02
_MOST: Final = 1_000_000
_RING: Final = 5


class TileGrid:
    """Takes the footprints of a file that is named after a tile."""

    def __init__(self, tile: str, project: Projector, outcomes: Outcomes) -> None:
        """Take the tile, and what projects longitude and latitude to a CRS. Raises InvalidIdentifierError."""
        origin = mgrs.tile_origin(tile)
        self._tile = tile
        self._crs = f"EPSG:{origin.epsg}"
        self._origin = np.array([origin.easting, origin.northing])
        self._project = project
        self._outcomes = outcomes
        self._cells: set[tuple[int, int]] = set()
        self._side: float | None = None
        self._regular = True

    def check(self, rows: Rows, shapes: NDArray[np.object_]) -> None:
        """Look at some rows."""
        square = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
        square &= shapely.get_num_coordinates(shapes) == _RING
        self._regular &= bool(square.all())
        if not square.any():
            return
        ring = shapely.get_coordinates(shapes[square]).reshape(-1, _RING, 2)[:, :4]
        try:
            x, y = self._project(self._crs, ring[..., 0].reshape(-1), ring[..., 1].reshape(-1))
        except SceneError as error:
            self._outcomes.found("tile-grid", f"the footprints do not lie in the tile's zone: {error.message}"[:300])
            return
        corners = np.stack([x, y], axis=1).reshape(-1, 4, 2) - self._origin
        corner = np.stack([corners[..., 0].min(axis=1), corners[..., 1].max(axis=1)], axis=1)
        # Half a pixel off is told as west and north: at the tile's origin nothing lies further.
        slack = np.array([_NEAR, -_NEAR])
        off = (corner + _PIXEL / 2 + slack) % _PIXEL - _PIXEL / 2 - slack
        wrong = (np.abs(off) > _NEAR).any(axis=1)
        if wrong.any():
            names = np.zeros(rows.count, np.bool_)
            names[np.flatnonzero(square)[wrong]] = True
            east, north = np.median(off[wrong], axis=0).tolist()
            self._outcomes.found(
                "tile-grid",
                f"footprints lie off the pixel grid of tile {self._tile}: {_told(east, north)} of its {_PIXEL:g} m"
                " pixels",
                rows.names(names),
                count=int(np.count_nonzero(wrong)),
            )
        side = float(np.median(np.ptp(corners[..., 0], axis=1)))
        self._side = self._side or side
        self._regular &= abs(side - self._side) < _SIDE_NEAR and len(self._cells) < _MOST
        if self._regular:
            at = np.round(corner / self._side * [1, -1]).astype(int)
            self._cells |= set(map(tuple, at.tolist()))

    def end(self) -> None:
        """Tell what of the tile has no row."""
        if not self._regular or self._side is None or not self._cells:
            self._outcomes.cannot("coverage", "the footprints are no regular grid of the tile, and there is no receipt")
            return
        wide = int(mgrs.TILE_SIDE // self._side)
        inside = {(col, row) for col, row in self._cells if 0 <= col < wide and 0 <= row < wide}
        missing = wide * wide - len(inside)
        if missing:
            gone = sorted({(c, r) for c in range(wide) for r in range(wide)} - inside)[:3] if wide < 1000 else []  # noqa: PLR2004
            self._outcomes.found(
                "coverage",
                f"of {wide} x {wide} windows of tile {self._tile} these have no row, and nothing says why",
                [f"row {row} column {col}" for col, row in gone],
                count=missing,
            )
        strip = mgrs.TILE_SIDE - wide * self._side
        if strip > _PIXEL and not any(col >= wide or row >= wide for col, row in self._cells):
            self._outcomes.found(
                "coverage", f"a strip of {strip:,.0f} m at the right and lower edge of tile {self._tile} has no row"
            )


def tile_of(*names: str) -> tuple[str, str, str] | None:
    """Find a tile, and first and last day, in names."""
    for name in names:
        if (match := TILE_NAME.search(name)) and _is_tile(match[1]):
            return match[1], match[2], match[3]
    return None


def _is_tile(name: str) -> bool:
    try:
        mgrs.tile_origin(name)
    except InvalidIdentifierError:
        return False
    return True


def _told(east: float, north: float) -> str:
    """Say how far and where to."""
    parts = [f"{abs(east):.2f} m {'east' if east > 0 else 'west'}"] if abs(east) > _NEAR else []
    parts += [f"{abs(north):.2f} m {'north' if north > 0 else 'south'}"] if abs(north) > _NEAR else []
    return f"{' and '.join(parts)}, {max(abs(east), abs(north)) / _PIXEL:.2f}"
