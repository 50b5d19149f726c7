"""What a file's footprints cover together, gathered while they pass."""

import numpy as np
from numpy.typing import NDArray

from clayline.outputs.footprints import Footprints


class Extent:
    """The bounding box and geometry types of a file. Memory: 16 bytes a footprint."""

    def __init__(self) -> None:
        self._spans: list[NDArray[np.float64]] = []
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._cut = 0
        self._count = 0

    def add(self, shapes: Footprints) -> None:
        """Take some footprints in."""
        self._spans.append(shapes.spans)
        self._bounds[:2] = np.minimum(self._bounds[:2], shapes.bounds[:, :2].min(axis=0))
        self._bounds[2:] = np.maximum(self._bounds[2:], shapes.bounds[:, 2:].max(axis=0))
        self._cut += int(np.count_nonzero(shapes.cut))
        self._count += len(shapes.wkb)

    @property
    def geometry_types(self) -> list[str]:
        """Exactly the types that occur."""
        return ["Polygon"] * (self._cut < self._count) + ["MultiPolygon"] * (self._cut > 0)

    @property
    def bbox(self) -> list[float]:
        """West, south, east, north.

        If a footprint crosses the antimeridian, west is greater than east (RFC 7946, 5.2).
        """
        west, south, east, north = self._bounds.tolist()
        if self._cut:
            west, east = _around_the_gap(np.concatenate(self._spans))
        return [west, south, east, north]


def _around_the_gap(spans: NDArray[np.float64]) -> tuple[float, float]:
    """Give the longitudes of the shortest arc that holds all ``spans`` [n, 2].

    -180 and 180 where it would be the whole circle.
    """
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    starts = np.append(spans[1:, 0], spans[0, 0] + 360)
    # A span over the antimeridian reaches into the first ones from behind: reach is at least its end, one turn back.
    reach = np.maximum(reach, reach[-1] - 360)
    gap = int(np.argmax(starts - reach))
    if starts[gap] - reach[gap] <= 0:
        return -180.0, 180.0
    return float((starts[gap] + 180) % 360 - 180), float(reach[gap] if reach[gap] <= 180 else reach[gap] - 360)  # noqa: PLR2004 - degrees
