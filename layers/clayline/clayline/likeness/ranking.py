"""The best of many, however they come: by likeness, and where that is the same by identifier."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.probe import Probe

ROUNDING: Final = 1e-5
"""By which a likeness in float32 may be off: whatever is that near to the last of the best is computed again."""

_BLOCK: Final = 512
"""Rows at a time: two megabytes of 1,024 numbers, which stay in a core's cache while they are read twice more."""


def exact_scores(probe: Probe, vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Give the likeness [N], -1 to 1, in float64: the number that ranks, whatever came in one block with it.

    The direction is kept in float32, so its length is 1 but for rounding.
    """
    away = vectors.astype(np.float64) - probe.centre.values.astype(np.float64)
    direction = probe.direction.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", away, away)) * np.linalg.norm(direction)
    along = np.einsum("ij,j->i", away, direction)
    return np.asarray(np.clip(along / np.where(lengths > 0, lengths, 1), -1, 1))


def quick_scores(probe: Probe, vectors: NDArray[np.float32], taken: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give the likeness [N] in float32, off by less than ROUNDING: one pass over the vectors [N, D].

    -inf for rows that are not ``taken`` [N], NaN for vectors that are not finite. Raises DatasetError for vectors of
    another length.
    """
    probe.centre.check(vectors)
    found = np.full(len(vectors), -np.inf, np.float32)
    away = np.empty((min(_BLOCK, len(vectors)), probe.centre.dimensions), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        rows = start + np.flatnonzero(taken[start : start + _BLOCK])
        if len(rows):
            found[rows] = _measured(probe, vectors, rows, away[: len(rows)])
    return found


def _measured(
    probe: Probe, vectors: NDArray[np.float32], rows: NDArray[np.intp], away: NDArray[np.float32]
) -> NDArray[np.float32]:
    is_one = rows[-1] - rows[0] + 1 == len(rows)
    block = vectors[rows[0] : rows[-1] + 1] if is_one else vectors[rows]
    with np.errstate(invalid="ignore", over="ignore"):  # that is looked for below
        np.subtract(block, probe.centre.values, out=away)
        squares = np.einsum("ij,ij->i", away, away)
        along = np.einsum("ij,j->i", away, probe.direction)  # no BLAS: its threads would spin
    if not (known := np.isfinite(squares)).all():  # of finite numbers a square may be beyond float32
        with np.errstate(invalid="ignore"):
            along[~known], squares[~known] = exact_scores(probe, block[~known]), 1
    return np.asarray(along / np.sqrt(np.where(squares > 0, squares, 1)))


@dataclass(kw_only=True)
class Best:
    """The ``count`` best so far: what each is, stands under a number of the caller's."""

    count: int
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    names: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype="U1"))
    keys: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def least(self) -> float:
        """What a chip needs to come among them."""
        return float(self.scores[-1]) if len(self.scores) >= self.count else -np.inf

    def add(self, scores: NDArray[np.float64], names: Sequence[str], keys: NDArray[np.int64]) -> None:
        """Take more: likeness [N], identifiers and the caller's numbers. Best first; equal ones by identifier."""
        self.scores = np.concatenate([self.scores, scores])
        self.names = np.concatenate([self.names, np.asarray(names, dtype=np.str_)])
        self.keys = np.concatenate([self.keys, keys])
        order = np.lexsort([self.names, -self.scores])[: self.count]
        self.scores, self.names, self.keys = self.scores[order], self.names[order], self.keys[order]
