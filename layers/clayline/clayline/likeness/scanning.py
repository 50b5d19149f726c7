"""Vectors of one model held in memory and asked many times: what a notebook does, and what benchmarks measure."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.ranking import ROUNDING, exact_scores
from clayline.likeness.signs import WIDER, Signs

_BLOCK: Final = 8192
"""Rows at a time: a megabyte of bits of 1,024 dimensions."""
_SAMPLE: Final = 16_384
"""Rows from which is guessed how many bits apart the candidates are at most."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Vectors, and how far each is from the centre."""

    vectors: NDArray[np.float32]
    """[N, D], as the model gave them."""
    centre: Centre
    inverse: NDArray[np.float32]
    """[N] one over the length of each vector less the centre; 0 for a vector that is the centre."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32], centre: Centre) -> Self:
        """Measure the lengths, a block at a time. Raises DatasetError for vectors of another length."""
        inverse = np.empty(len(vectors), np.float32)
        for start in range(0, len(vectors), _BLOCK):
            away = vectors[start : start + _BLOCK] - centre.values
            lengths = np.sqrt(np.einsum("ij,ij->i", away, away))
            inverse[start : start + _BLOCK] = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return cls(vectors=vectors, centre=centre, inverse=inverse)

    def scores(self, probe: Probe) -> NDArray[np.float32]:
        """Give the likeness [N] of all: one pass over the vectors."""
        found: NDArray[np.float32] = self.vectors @ probe.direction
        found -= np.float32(np.dot(self.centre.values.astype(np.float64), probe.direction))
        found *= self.inverse
        return found

    def best(self, probe: Probe, count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Give the numbers of the best rows, best first, and their likeness in float64; of equal ones the first."""
        scores = self.scores(probe)
        least = np.partition(scores, -count)[-count] if count < len(scores) else -np.inf
        return self._ranked(probe, np.flatnonzero(scores >= least - ROUNDING), count)

    def best_of(self, probe: Probe, rows: NDArray[np.intp], count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Give the best of some rows in the same way: the second of two stages."""
        along = self.vectors[rows] @ probe.direction
        along -= np.float32(np.dot(self.centre.values.astype(np.float64), probe.direction))
        along *= self.inverse[rows]
        least = np.partition(along, -count)[-count] if count < len(along) else -np.inf
        return self._ranked(probe, rows[along >= least - ROUNDING], count)

    def _ranked(self, probe: Probe, rows: NDArray[np.intp], count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        exact = exact_scores(probe, self.vectors[rows])
        order = np.lexsort((rows, -exact))[:count]
        return rows[order], exact[order]


@dataclass(frozen=True, kw_only=True)
class HeldBits:
    """The bits of vectors that lie elsewhere."""

    bits: NDArray[np.uint8]
    """[N, B], as ``Codebook.bits`` gives them."""
    threads: int = 2

    def candidates(self, signs: Signs, count: int, *, weighed: bool = False) -> NDArray[np.intp]:
        """Give the numbers of about ``count`` rows that may be the best, ascending: those the fewest bits apart.

        ``weighed``: of four times as many those that weigh most, as ``signs.Candidates`` chooses them; it finds more
        where there are few rows, and takes as long again.
        """
        total = len(self.bits)
        if total <= count:
            return np.arange(total)
        apart = np.empty(total, np.uint16)

        def measure(start: int) -> None:
            apart[start : start + _BLOCK] = signs.apart(self.bits[start : start + _BLOCK])

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(measure, range(0, total, _BLOCK)))
        if not weighed:
            return _nearest(apart, count)
        near = _nearest(apart, min(total, WIDER * count))
        weights = signs.weighed(self.bits[near])
        return np.sort(near[np.argpartition(-weights, count)[:count]]) if len(near) > count else near


def _nearest(apart: NDArray[np.uint16], count: int) -> NDArray[np.intp]:
    """Give about ``count`` rows that are the nearest, no fewer: all up to so many bits apart."""
    sample = apart[:: max(1, len(apart) // _SAMPLE)]
    share = min(len(sample) - 1, int(len(sample) * count / len(apart)))
    most = int(np.partition(sample, share)[share])
    while True:
        near = np.flatnonzero(apart <= most)
        if len(near) >= count or len(near) == len(apart):
            return near
        most += 1
