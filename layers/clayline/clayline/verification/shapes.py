"""Footprints: polygons on the globe, their boxes, the file's extent, and none twice."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from clayline.verification.outcomes import Outcomes
from clayline.verification.rows import Rows

MAX_WKB: Final = 1 << 16
"""Bytes of a footprint that is read."""
_KINDS: Final = {1: "Point", 3: "Polygon", 6: "MultiPolygon"}
_NEAR: Final = 1e-9
"""Degrees by which a box may differ: a tenth of a millimetre."""
_COARSE: Final = 1e-4
"""Relative, for boxes in float32."""
_HEAD: Final = 5


def read_shapes(rows: Rows, outcomes: Outcomes) -> NDArray[np.object_] | None:
    """Decode the footprints [n], None where there is none that can be used."""
    if rows.shapes is None:
        return None
    kept = [shape if shape is not None and _kind(shape) else None for shape in rows.shapes]
    null = np.array([shape is None for shape in rows.shapes])
    strange = np.array([one is None for one in kept]) & ~null
    shapes: NDArray[np.object_] = shapely.from_wkb(np.array(kept, dtype=object), on_invalid="ignore")
    strange |= np.array([one is None for one in shapes.tolist()]) & ~null
    _say(outcomes, "geometry", "there is no footprint", rows, null)
    _say(outcomes, "geometry", "the footprint is no polygon or point that can be read", rows, strange)
    return shapes


class Shapes:
    """Takes the footprints of a file."""

    def __init__(self, outcomes: Outcomes, column: Mapping[str, Any] | None) -> None:
        """Take what the `geo` header says of the column."""
        self._outcomes = outcomes
        self._column = column or {}
        self._kinds: set[str] = set()
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])

    def check(self, rows: Rows, shapes: NDArray[np.object_]) -> None:
        """Look at some rows."""
        there = ~shapely.is_missing(shapes)
        if not there.any():
            return
        bounds = shapely.bounds(shapes)
        with np.errstate(invalid="ignore"):
            on_globe = (np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1)  # noqa: PLR2004 - the globe
        self._say("geometry", "the footprint is not on the globe", rows, there & ~on_globe)
        good = there & on_globe
        self._say("geometry", "the footprint is no valid polygon", rows, good & ~shapely.is_valid(shapes))
        kinds = shapely.get_type_id(shapes)
        self._kinds |= {str(shapely.GeometryType(kind).name).title() for kind in np.unique(kinds[there]).tolist()}
        if self._column.get("orientation") == "counterclockwise":
            rings = np.flatnonzero(good & (kinds == shapely.GeometryType.POLYGON))
            turned = np.zeros(len(there), np.bool_)
            turned[rings] = ~shapely.is_ccw(shapely.get_exterior_ring(shapes[rings]))
            self._say("geometry", "the ring runs clockwise where the header says counter-clockwise", rows, turned)
        if rows.boxes is not None:
            self._boxes(rows, bounds, good)
        if good.any():
            self._bounds[:2] = np.minimum(self._bounds[:2], bounds[good, :2].min(axis=0))
            self._bounds[2:] = np.maximum(self._bounds[2:], bounds[good, 2:].max(axis=0))

    def end(self) -> None:
        """Compare the header's extent and types."""
        kinds = {"Multipolygon": "MultiPolygon"}
        found = {kinds.get(kind, kind) for kind in self._kinds}
        said = self._column.get("geometry_types")
        if isinstance(said, list) and said and found and found != {str(kind).removesuffix(" Z") for kind in said}:
            self._outcomes.found("boxes", f"the header says {', '.join(map(str, said))}, the rows are {sorted(found)}")
        box = self._column.get("bbox")
        if not isinstance(box, list) or not np.isfinite(self._bounds).all():
            return
        try:
            west, south, east, north = (float(side) for side in (box if len(box) == 4 else [*box[:2], *box[3:5]]))  # noqa: PLR2004 - of six, z stands between
        except (TypeError, ValueError):
            self._outcomes.found("boxes", "the header's bbox is no box")
            return
        mine = self._bounds.tolist()
        same = abs(south - mine[1]) <= _NEAR and abs(north - mine[3]) <= _NEAR
        if west <= east:
            same = same and abs(west - mine[0]) <= _NEAR and abs(east - mine[2]) <= _NEAR
        elif "MultiPolygon" not in found:  # only what is cut at the antimeridian turns the box round
            same = False
        if not same:
            self._outcomes.found("boxes", f"the header's bbox is {box}, the footprints reach over {mine}")

    def _boxes(self, rows: Rows, bounds: NDArray[np.float64], good: NDArray[np.bool_]) -> None:
        boxes = rows.boxes
        if boxes is None:
            return
        with np.errstate(invalid="ignore"):
            coarse = (boxes == boxes.astype(np.float32)).all(axis=1)
            near = np.where(coarse, _COARSE, _NEAR)[:, None]
            same = (np.abs(boxes - bounds) <= near).all(axis=1)
        self._say("boxes", "the bbox is not the footprint's", rows, good & ~same)

    def _say(self, check: str, message: str, rows: Rows, wrong: NDArray[np.bool_]) -> None:
        _say(self._outcomes, check, message, rows, wrong)


def _say(outcomes: Outcomes, check: str, message: str, rows: Rows, wrong: NDArray[np.bool_]) -> None:
    if wrong.any():
        outcomes.found(check, message, rows.names(wrong), count=int(np.count_nonzero(wrong)))


def _kind(shape: bytes) -> str | None:
    """Say what a WKB begins as; None for what is not read: another kind, or one too long."""
    if not _HEAD <= len(shape) <= MAX_WKB or shape[0] not in {0, 1}:
        return None
    return _KINDS.get(int.from_bytes(shape[1:_HEAD], "little" if shape[0] else "big") % 1000)
