"""The vectors themselves: shape, numbers, spread, and chips that have the same."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.model.statistics import VectorStatistics
from clayline.verification.outcomes import Outcomes
from clayline.verification.rows import Rows
from clayline.verification.sightings import Sightings, hashes

_BINS: Final = 600
"""Powers of two of a vector's length: float32 has them from -149 to 128, squared sums reach further."""
_FAR: Final = 10
"""Powers of two from the median length: a thousand times."""


class Vectors:
    """Takes the vectors of a file, row by row."""

    def __init__(self, outcomes: Outcomes, spread: VectorStatistics | None, pairs: Sightings) -> None:
        """Take what the model's card states, and what keeps hashes of vectors and pixels."""
        self._outcomes = outcomes
        self._spread = spread
        self._pairs = pairs
        self._lengths = np.zeros(_BINS, np.int64)
        self._named: dict[int, str] = {}
        self._dimensions: int | None = None

    def check(self, rows: Rows) -> None:
        """Look at some rows."""
        if rows.vectors is None or rows.whole is None:
            return
        vectors, whole = rows.vectors, rows.whole
        if self._dimensions not in {None, vectors.shape[1]}:
            self._outcomes.found(
                "vectors-shape", f"there are vectors of {self._dimensions} and of {vectors.shape[1]} components"
            )
        self._dimensions = vectors.shape[1]
        self._say("vectors-shape", "there is no vector, or one of another length", rows, ~whole)
        finite = np.isfinite(vectors).all(axis=1)
        self._say("vectors-finite", "a component is NaN or infinite", rows, whole & ~finite)
        good = whole & finite
        with np.errstate(over="ignore"):
            flat = vectors.max(axis=1, initial=-np.inf) == vectors.min(axis=1, initial=np.inf)
        zero = flat & (vectors[:, :1] == 0).all(axis=1)
        self._say("vectors-constant", "the vector is zero", rows, good & zero)
        self._say("vectors-constant", "all components are one number", rows, good & flat & ~zero)
        good &= ~flat
        self._measure(rows, good)
        self._compare(rows, good)
        self._remember(rows, good)

    def end(self) -> None:
        """Tell what only all rows together show. Raises OSError."""
        if (total := int(self._lengths.sum())) > 1:
            median = int(np.searchsorted(np.cumsum(self._lengths), (total + 1) // 2))
            far = [at for at in np.flatnonzero(self._lengths).tolist() if abs(at - median) >= _FAR]
            for at in far:
                self._outcomes.found(
                    "vectors-scale",
                    "the vector is a thousand times longer or shorter than the file's median",
                    [self._named[at]],
                    count=int(self._lengths[at]),
                )

    def _say(self, check: str, message: str, rows: Rows, wrong: NDArray[np.bool_]) -> None:
        if wrong.any():
            self._outcomes.found(check, message, rows.names(wrong), count=int(np.count_nonzero(wrong)))

    def _measure(self, rows: Rows, good: NDArray[np.bool_]) -> None:
        if rows.vectors is None or not good.any():
            return
        lengths = np.linalg.norm(rows.vectors[good].astype(np.float64), axis=1)
        bins = np.clip(np.frexp(lengths)[1] + _BINS // 2, 0, _BINS - 1)
        self._lengths += np.bincount(bins, minlength=_BINS)
        fresh = [at for at in np.unique(bins).tolist() if at not in self._named]
        for at in fresh:
            self._named[at] = rows.name(int(np.flatnonzero(good)[int(np.argmax(bins == at))]))

    def _compare(self, rows: Rows, good: NDArray[np.bool_]) -> None:
        if self._spread is None or rows.vectors is None or rows.vectors.shape[1] != len(self._spread.mean):
            return
        least, most = self._spread.possible
        out = good & ((rows.vectors < least) | (rows.vectors > most)).any(axis=1)
        self._say("vectors-spread", "a component is far beyond all that the model's card has seen", rows, out)

    def _remember(self, rows: Rows, good: NDArray[np.bool_]) -> None:
        """Keep what the vector is and which pixels it is of: a footprint at a time, or the row."""
        if rows.vectors is None or not good.any():
            return
        which = np.flatnonzero(good).tolist()
        what = hashes([rows.vectors[row].tobytes() for row in which])
        self._pairs.add(what, hashes([pixels(rows, row) for row in which]), rows.first + np.flatnonzero(good))


def pixels(rows: Rows, row: int) -> bytes:
    """Give what says which pixels a row is of: footprint and moment; the row's number where it has no footprint."""
    shape = rows.shapes[row] if rows.shapes else None
    if shape is None:
        return f"row {rows.first + row}".encode()
    times = [column[row] for column in (rows.moments, rows.dates) if column is not None]
    return shape + b"".join(str(time).encode() for time in times)
