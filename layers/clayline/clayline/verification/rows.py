"""Rows of a file as they are checked, whatever wrote them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Some rows, in the file's order. What the file has no column for is None."""

    first: int
    """Number of the first of them in the file."""
    count: int
    ids: list[str | None] | None = None
    """Identifiers."""
    vectors: NDArray[np.float32] | None = None
    """[n, D]; of rows that are not ``whole``, zeros."""
    whole: NDArray[np.bool_] | None = None
    """[n], whether the vector is there and has D components."""
    shapes: list[bytes | None] | None = None
    """WKB."""
    index: NDArray[np.int64] | None = None
    """[n], -1 where null."""
    cells: list[str | None] | None = None
    boxes: NDArray[np.float64] | None = None
    """[n, 4], NaN where null."""
    dates: NDArray[np.datetime64] | None = None
    """[n] of days, NaT where null."""
    moments: NDArray[np.datetime64] | None = None
    """[n] of microseconds, NaT where null."""
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """``loss``, ``valid_fraction``, ``cloud_fraction``: [n], NaN where null."""
    nan: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Of the same columns, where the number itself is no number."""
    texts: Mapping[str, frozenset[str | None]] = field(default_factory=dict)
    """Of repeating columns, the different texts."""

    def name(self, row: int) -> str:
        """Name a row for people."""
        known = self.ids[row] if self.ids else None
        return known[:140] if known else f"row {self.first + row}"

    def names(self, rows: NDArray[np.bool_]) -> list[str]:
        """Name the first few of the rows that are marked."""
        return [self.name(row) for row in np.flatnonzero(rows)[:3].tolist()]
