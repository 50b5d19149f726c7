"""Whether a cell's neighbours changed too: one chip alone is more often a cloud or a truck than a felled forest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.pairing import Ints

_LATTICE: Final = re.compile(r"(?P<grid>.+)-(?P<north>[ns]\d+)(?P<east>[ew]\d+)")
_WINDOW: Final = re.compile(r"(?P<tile>.+)-r(?P<row>\d{5})c(?P<col>\d{5})s(?P<size>\d+)g(?P<gsd>\d+)")
"""docs/uci.md, Cells."""
_AROUND: Final = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where N cells lie on their grids."""

    grid: Ints
    """[N] which grid; -1 for a cell whose name is none."""
    row: Ints
    col: Ints

    @classmethod
    def of(cls, cells: Sequence[str | None]) -> "Places":
        """Read names of cells."""
        grids: dict[str, int] = {}
        found = np.full((3, len(cells)), -1, np.int64)
        for number, cell in enumerate(cells):
            if match := _LATTICE.fullmatch(cell or ""):
                grid, row, col = match["grid"], _signed(match["north"], "s"), _signed(match["east"], "w")
            elif match := _WINDOW.fullmatch(cell or ""):
                size = int(match["size"])
                grid = f"{match['tile']} {size} {match['gsd']}"
                # The last row and column of a tile are shifted back: they are the next ones all the same.
                row, col = -(-int(match["row"]) // size), -(-int(match["col"]) // size)
            else:
                continue
            found[:, number] = grids.setdefault(grid, len(grids)), row, col
        return cls(grid=found[0], row=found[1], col=found[2])


def neighbours(places: Places, group: Ints) -> NDArray[np.int64]:
    """Give of each of N cells its eight neighbours of the same grid and ``group`` [N]: [N, 8] numbers, -1 for none.

    Of one group no cell stands twice.
    """
    count = len(group)
    known = np.flatnonzero(places.grid >= 0)
    found = np.full((count, len(_AROUND)), -1, np.int64)
    if not len(known):
        return found
    # One number a place, with room for a neighbour on every side.
    rows, cols = (values[known] - values[known].min() + 1 for values in (places.row, places.col))
    height, width = int(rows.max()) + 2, int(cols.max()) + 2
    _, where = np.unique(np.stack([places.grid[known], group[known]]), axis=1, return_inverse=True)
    keys = (where.ravel() * height + rows) * width + cols
    order = np.argsort(keys)
    for number, (down, across) in enumerate(_AROUND):
        sought = keys + down * width + across
        at = np.minimum(np.searchsorted(keys[order], sought), len(order) - 1)
        is_there = keys[order][at] == sought
        found[known[is_there], number] = known[order[at[is_there]]]
    return found


def medians(around: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the median of the neighbours' ``values`` [N], of those that are no NaN; NaN without any."""
    found = np.where(around >= 0, values[np.maximum(around, 0)], np.nan)
    result = np.full(len(values), np.nan)
    some = ~np.isnan(found).all(axis=1)
    result[some] = np.nanmedian(found[some], axis=1)
    return result


def _signed(text: str, minus: str) -> int:
    return -int(text[1:]) if text[0] == minus else int(text[1:])
