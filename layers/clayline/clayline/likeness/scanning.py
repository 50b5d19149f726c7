"""Vectors of one model held in memory and asked many times: what a notebook does, and what benchmarks measure."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.ranking import exact_scores
from clayline.likeness.signs import WIDER, Signs

_OFF: Final = np.float32(2e-6)
"""By which a product of vectors of length 1 in float32 may be off: some thirty steps of it."""
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
    slack: NDArray[np.float32]
    """[N] by which a likeness in float32 may be off."""
    lost: NDArray[np.intp]
    """The rows whose vectors have no length in float32, as of NaN: they are like nothing, and never among the best."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32], centre: Centre) -> Self:
        """Measure the lengths, a block at a time. Raises DatasetError for vectors of another length."""
        centre.check(vectors)
        lengths = np.empty(len(vectors), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # such are lost
            for start in range(0, len(vectors), _BLOCK):
                away = vectors[start : start + _BLOCK] - centre.values
                lengths[start : start + _BLOCK] = np.sqrt(np.einsum("ij,ij->i", away, away))
        known = np.isfinite(lengths)
        inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=known & (lengths > 0))
        slack = _OFF * (1 + np.float32(np.linalg.norm(centre.values)) * inverse)
        return cls(vectors=vectors, centre=centre, inverse=inverse, slack=slack, lost=np.flatnonzero(~known))

    def scores(self, probe: Probe) -> NDArray[np.float32]:
        """Give the likeness [N] of all, off by ``slack`` at most: one pass over the vectors. -inf for the lost."""
        found = self._along(probe, self.vectors)
        found[self.lost] = 0
        found *= self.inverse
        found[self.lost] = -np.inf
        return found

    def best(self, probe: Probe, count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Give the numbers of the best rows, best first, and their likeness in float64; of equal ones the first."""
        return self._ranked(probe, _near(self.scores(probe), self.slack, count), count)

    def best_of(self, probe: Probe, rows: NDArray[np.intp], count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Give the best of some rows in the same way: the second of two stages."""
        rows = rows[~np.isin(rows, self.lost)] if len(self.lost) else rows
        along = self._along(probe, self.vectors[rows])
        along *= self.inverse[rows]
        return self._ranked(probe, rows[_near(along, self.slack[rows], count)], count)

    def _along(self, probe: Probe, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give how far vectors reach from the centre along the direction; the centre's part is one number."""
        with np.errstate(invalid="ignore", over="ignore"):
            found: NDArray[np.float32] = vectors @ probe.direction
        found -= np.float32(np.dot(self.centre.values.astype(np.float64), probe.direction))
        return found

    def _ranked(self, probe: Probe, rows: NDArray[np.intp], count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        exact = exact_scores(probe, self.vectors[rows])
        order = np.lexsort((rows, -exact))[:count]
        return rows[order], exact[order]


@dataclass(frozen=True, kw_only=True)
class HeldBits:
    """The bits of vectors that lie elsewhere, a block's rows side by side.

    So the sum over a row's words goes along what lies together: a third of the time that rows one after another take.
    """

    words: NDArray[np.uint64]
    """[blocks, ceil(B / 8), 8192]: word w of row r in [r // 8192, w, r % 8192]; what is beyond the rows is 0."""
    rows: int
    threads: int = 2

    @classmethod
    def of(cls, parts: Iterable[NDArray[np.uint8]], rows: int, *, threads: int = 2) -> Self:
        """Take the bits [n, B] of one part after the other, as ``Codebook.bits`` gives them: ``rows`` in all.

        Memory holds them once, beside the part that is being taken. Raises ValueError if the parts have other than
        ``rows`` rows or are of different widths.
        """
        words = np.empty((0, 0, _BLOCK), np.uint64)
        taken = 0
        for part in parts:
            if taken == 0:
                words = np.zeros((-(-rows // _BLOCK), -(-part.shape[1] // 8), _BLOCK), np.uint64)
            for row in range(0, len(part), _BLOCK):
                taken = _lay(words, part[row : row + _BLOCK], taken)
        if taken != rows:
            msg = f"{taken} rows of bits came, not {rows}"
            raise ValueError(msg)
        return cls(words=words, rows=rows, threads=threads)

    def candidates(self, signs: Signs, count: int, *, weighed: bool = False) -> NDArray[np.intp]:
        """Give the numbers of about ``count`` rows that may be the best, ascending: those the fewest bits apart.

        ``weighed``: of four times as many those that weigh most, as ``signs.Candidates`` chooses them; it finds more
        where there are few rows, and takes as long again.
        """
        if self.rows <= count:
            return np.arange(self.rows)
        apart = self._apart(signs)
        if not weighed:
            return _nearest(apart, count)
        near = _nearest(apart, min(self.rows, WIDER * count))
        weights = signs.weighed(self._bits(near, len(signs.bits)))
        return np.sort(near[np.argpartition(-weights, count)[:count]]) if len(near) > count else near

    def _apart(self, signs: Signs) -> NDArray[np.uint16]:
        blocks, words, _ = self.words.shape
        asked = np.zeros(8 * words, np.uint8)
        asked[: len(signs.bits)] = signs.bits
        asked_words = asked.view(np.uint64)[:, None]
        apart = np.empty((blocks, _BLOCK), np.uint16)

        def measure(first: int) -> None:
            other = np.empty((words, _BLOCK), np.uint64)  # once a thread: new ones cost more than the sums
            counts = np.empty((words, _BLOCK), np.uint8)
            for block in range(first, blocks, self.threads):
                np.bitwise_xor(self.words[block], asked_words, out=other)
                np.bitwise_count(other, out=counts)
                np.add.reduce(counts, axis=0, dtype=np.uint16, out=apart[block])

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(measure, range(self.threads)))
        return apart.ravel()[: self.rows]

    def _bits(self, rows: NDArray[np.intp], width: int) -> NDArray[np.uint8]:
        words = np.ascontiguousarray(self.words[rows // _BLOCK, :, rows % _BLOCK])
        return words.view(np.uint8)[:, :width]


def _near(scores: NDArray[np.float32], slack: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Give the rows that may be among the ``count`` best, of scores [N] that may be off by ``slack`` [N]."""
    if count >= len(scores):
        return np.flatnonzero(scores > -np.inf)
    surely = scores - slack
    least = np.partition(surely, -count)[-count]
    return np.flatnonzero((scores + slack >= least) & (scores > -np.inf))


def _lay(words: NDArray[np.uint64], part: NDArray[np.uint8], first: int) -> int:
    """Write the bits [n, B] of at most 8,192 rows where row ``first`` and those after it lie; give the next row."""
    blocks, count, _ = words.shape
    if first + len(part) > blocks * _BLOCK or -(-part.shape[1] // 8) != count:
        msg = f"bits of {part.shape[1]} bytes a row, {first + len(part)} rows or more: not what was announced"
        raise ValueError(msg)
    filled = np.zeros((len(part), 8 * count), np.uint8)
    filled[:, : part.shape[1]] = part
    rows = np.arange(first, first + len(part))
    words[rows // _BLOCK, :, rows % _BLOCK] = filled.view(np.uint64)
    return first + len(part)


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
