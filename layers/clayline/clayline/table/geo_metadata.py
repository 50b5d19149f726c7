"""GeoParquet metadata of rows that were read: their kinds of geometry and the box around them."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from clayline.table.geoparquet import CRS84

_KINDS: Final = {3: "Polygon", 6: "MultiPolygon"}
_SIDES: Final = ("xmin", "ymin", "xmax", "ymax")


class Covered:
    """Adds up tables with ``geometry`` and ``bbox``."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._least = np.full(4, np.inf)
        self._greatest = np.full(4, -np.inf)
        self._known = False
        self._boxes = False

    def add(self, table: pa.Table) -> None:
        """Take some rows; without a geometry nothing is known of them."""
        if "geometry" not in table.column_names:
            return
        self._known = True
        footprints: list[Any] = table.column("geometry").to_pylist()
        for wkb in footprints:
            self._kinds.add(_KINDS.get(int.from_bytes(wkb[1:5], "little" if wkb[0] else "big"), "Polygon"))
        if "bbox" not in table.column_names or not table.num_rows:
            return
        self._boxes = True
        boxes: Any = table.column("bbox").combine_chunks()
        sides = np.stack([boxes.field(name).to_numpy() for name in _SIDES])
        self._least = np.minimum(self._least, sides.min(axis=1))
        self._greatest = np.maximum(self._greatest, sides.max(axis=1))

    def metadata(self) -> dict[str, Any] | None:
        """Give the value of ``geo``; None for rows without a geometry.

        A chip that is cut at the antimeridian makes the box the whole circle.
        """
        if not self._known:
            return None
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._kinds),
            "crs": CRS84,
            "edges": "planar",
            "orientation": "counterclockwise",
        }
        if self._boxes:
            column["bbox"] = [float(each) for each in (*self._least[:2], *self._greatest[2:])]
            column["covering"] = {"bbox": {name: ["bbox", name] for name in _SIDES}}
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
