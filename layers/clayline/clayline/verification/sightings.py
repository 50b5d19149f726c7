"""What was seen before: hashes, in bounded memory, however many there are."""

import tempfile
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

_FIELDS = 3
_PARTS = 64
MOST = 2_000_000
"""Sightings in memory, 24 bytes each; more go to a file of temporary space each 64th."""


def hashes(texts: Sequence[bytes]) -> NDArray[np.uint64]:
    """Give 64 bits of BLAKE2b of each."""
    joined = b"".join(blake2b(text, digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, np.uint64)


class Sightings:
    """Keeps (what, which, where) of each sighting, and tells what was seen with different ``which``, or twice."""

    def __init__(self, *, most: int = MOST) -> None:
        """Take how many are kept in memory."""
        self._most = most
        self._kept: list[NDArray[np.uint64]] = []
        self._count = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was put on disk."""
        if self._folder:
            self._folder.cleanup()

    def add(self, what: NDArray[np.uint64], which: NDArray[np.uint64], where: NDArray[np.int64]) -> None:
        """Take sightings [n]. Raises OSError."""
        self._kept.append(np.stack([what, which, where.astype(np.uint64)], axis=1))
        self._count += len(what)
        if self._count >= self._most:
            self._spill()

    def repeated(self, *, other: bool) -> Iterator[list[int]]:
        """Give, of each ``what`` that was seen more than once, where; ``other``: with more than one ``which``, and
        then of each the first. Raises OSError.
        """
        for part in self._parts():
            order = np.lexsort((part[:, 2], part[:, 1], part[:, 0]))
            ordered = part[order]
            if other and len(ordered):
                fresh = np.ones(len(ordered), np.bool_)
                fresh[1:] = (ordered[1:, :2] != ordered[:-1, :2]).any(axis=1)
                ordered = ordered[fresh]
            same = np.flatnonzero(ordered[1:, 0] == ordered[:-1, 0])
            for run in np.split(same, np.flatnonzero(np.diff(same) != 1) + 1):
                if len(run):
                    yield sorted(ordered[run[0] : run[-1] + 2, 2].tolist())

    def groups(self) -> Iterator[tuple[list[int], bool]]:
        """Give of each ``what`` where it was seen, and whether with one ``which``; of those that were seen twice, once
        at an even and once at an odd place, with one ``which``, nothing. Raises OSError.
        """
        for part in self._parts():
            ordered = part[np.lexsort((part[:, 2], part[:, 0]))]
            _, first, count = np.unique(ordered[:, 0], return_index=True, return_counts=True)
            second = np.minimum(first + 1, max(0, len(ordered) - 1))
            one, other = ordered[first], ordered[second]
            paired = (count == 2) & ((one[:, 2] + other[:, 2]) % 2 == 1) & (one[:, 1] == other[:, 1])  # noqa: PLR2004 - a pair
            for at in np.flatnonzero(~paired).tolist():
                group = ordered[first[at] : first[at] + count[at]]
                yield group[:, 2].tolist(), len(np.unique(group[:, 1])) == 1

    def _parts(self) -> Iterator[NDArray[np.uint64]]:
        if self._folder is None:
            yield np.concatenate(self._kept) if self._kept else np.empty((0, _FIELDS), np.uint64)
            return
        self._spill()
        for path in sorted(Path(self._folder.name).iterdir()):
            yield np.fromfile(path, np.uint64).reshape(-1, _FIELDS)

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="clayline-verify-")
        if not self._kept:
            return
        rows = np.concatenate(self._kept)
        self._kept, self._count = [], 0
        parts = rows[:, 0] % _PARTS
        for number in np.unique(parts).tolist():
            with (Path(self._folder.name) / f"{number:02d}").open("ab") as stream:
                rows[parts == number].tofile(stream)
