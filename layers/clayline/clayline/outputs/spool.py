"""Vectors that arrive in any order, kept on disk until they are read in theirs."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray


class VectorSpool:
    """A plain file of ``rows`` float32 vectors of ``dimensions``, written at positions and read in order.

    Responses come back batch by batch while the file's rows are sorted by identifier, and a large scene's vectors
    (152,000 x 1024 are 623 MB) should not cost a function its memory: in memory is only one flag a row. The file takes
    ``rows * dimensions * 4`` bytes and is removed at the end.
    """

    def __init__(self, path: Path, rows: int, dimensions: int) -> None:
        """Take where the file goes (one that a killed run left there is replaced) and the shape of all vectors
        together.
        """
        if rows < 1 or dimensions < 1:
            msg = f"a spool needs at least one row and dimension, got {rows} x {dimensions}"
            raise ValueError(msg)
        self._path = path
        self._dimensions = dimensions
        self._stride = dimensions * np.dtype(np.float32).itemsize
        self._written = np.zeros(rows, dtype=np.bool_)
        self._file = -1

    def __enter__(self) -> Self:
        """Make the file. Raises OSError."""
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close and remove the file: a function's /tmp outlives the invocation."""
        os.close(self._file)
        self._file = -1
        self._path.unlink(missing_ok=True)

    @property
    def missing(self) -> int:
        """Number of positions that hold no vector yet."""
        return len(self._written) - int(np.count_nonzero(self._written))

    def put(self, positions: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Write ``vectors`` [n, D] at ``positions`` [n], in any order.

        Raises ValueError if the shapes do not fit, a position lies outside, or one is taken already: two vectors for
        one chip must never happen. Raises OSError if the disk is full.
        """
        if vectors.dtype != np.float32 or vectors.shape != (len(positions), self._dimensions):
            msg = (
                f"{len(positions)} positions need float32 [{len(positions)}, {self._dimensions}], got {vectors.dtype}"
                f" {list(vectors.shape)}"
            )
            raise ValueError(msg)
        if not len(positions):
            return
        order = np.argsort(positions, kind="stable")
        ordered = positions[order]
        if ordered[0] < 0 or ordered[-1] >= len(self._written):
            msg = f"positions {ordered[0]} to {ordered[-1]} do not lie within the {len(self._written)} rows"
            raise ValueError(msg)
        steps = np.diff(ordered)
        if (steps == 0).any() or self._written[ordered].any():
            taken = ordered[:-1][steps == 0] if (steps == 0).any() else ordered[self._written[ordered]]
            msg = f"position {taken[0]} has two vectors"
            raise ValueError(msg)
        for run in np.split(np.arange(len(order)), np.flatnonzero(steps != 1) + 1):
            self._write(np.ascontiguousarray(vectors[order[run]]), int(ordered[run[0]]) * self._stride)
        self._written[ordered] = True

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read the vectors of positions ``start`` to before ``stop``, [stop - start, D].

        Raises ValueError where one was never written.
        """
        if not 0 <= start < stop <= len(self._written):
            msg = f"rows {start} to {stop} do not lie within the {len(self._written)} rows"
            raise ValueError(msg)
        holes = np.flatnonzero(~self._written[start:stop])
        if len(holes):
            msg = (
                f"position {start + int(holes[0])} was never written ({len(holes)} of rows {start} to {stop} were not)"
            )
            raise ValueError(msg)
        vectors = np.empty((stop - start, self._dimensions), dtype=np.float32)
        rest = memoryview(vectors).cast("B")
        offset = start * self._stride
        while rest:
            count = os.preadv(self._file, [rest], offset)
            if count == 0:
                msg = f"{self._path} ends before row {stop}"
                raise OSError(msg)
            rest, offset = rest[count:], offset + count
        return vectors

    def _write(self, vectors: NDArray[np.float32], offset: int) -> None:
        rest = memoryview(vectors).cast("B")
        while rest:  # one call may write less than it was given
            count = os.pwrite(self._file, rest, offset)
            rest, offset = rest[count:], offset + count
