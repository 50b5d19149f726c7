"""The first of two stages: which rows may be the best, by one bit a number (docs/dataset.md, Tiers)."""

from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from clayline.dataset.codebook import Codebook
from clayline.errors import DatasetError, digest_shown
from clayline.likeness.probe import Probe

WIDER: Final = 4
"""Times the candidates that are kept by bits apart, of which the weighed signs leave the candidates."""
_BLOCK: Final = 4096
"""Rows that are unpacked at once."""
_BYTES_ADDED: Final = 3
"""Counts of at most 64 that a byte holds the sum of."""


@dataclass(frozen=True, kw_only=True)
class Signs:
    """A probe against bits that say on which side of a codebook's centre each number lies."""

    bits: NDArray[np.uint8]
    """[ceil(D / 8)] of the direction: the first dimension in the highest bit."""
    weights: NDArray[np.float32]
    """[D] direction times the mean distance that a bit stands for."""

    @classmethod
    def of(cls, probe: Probe, codebook: Codebook) -> Self:
        """Raises DatasetError for a codebook of another model or length."""
        if (codebook.token, codebook.digest) != (probe.token, probe.digest):
            msg = f"the codebook is of {codebook.token}, {digest_shown(codebook.digest)}, not of {probe.token}"
            raise DatasetError(msg)
        if codebook.dimensions != len(probe.direction):
            msg = (
                f"the codebook of {codebook.token} has {codebook.dimensions} dimensions, the examples have"
                f" {len(probe.direction)}: it is damaged. `exact=True` (`--exact`) searches without it; the dataset can"
                " be made again: delete dataset/, then `clayline index` and `clayline compact`."
            )
            raise DatasetError(msg)
        return cls(bits=np.packbits(probe.direction > 0), weights=probe.direction * codebook.spread)

    def apart(self, bits: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Give in how many bits each row [N, B] differs from the direction: [N]."""
        width = bits.shape[1]
        if width % 8 or not bits.flags.c_contiguous:
            counts = np.bitwise_count(bits ^ self.bits)
        else:
            counts = np.bitwise_count(bits.view(np.uint64) ^ self.bits.view(np.uint64))
        if counts.shape[1] % 8 == 0 and counts.shape[1] <= 8 * _BYTES_ADDED and not width % 8:
            return _sums(counts)
        apart: NDArray[np.uint16] = np.add.reduce(counts, axis=1, dtype=np.uint16)
        return apart

    def weighed(self, bits: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Give what the signs of each row [N, B] say of its likeness: [N], higher is more alike, no cosine."""
        found = np.empty(len(bits), np.float32)
        for start in range(0, len(bits), _BLOCK):
            part = slice(start, start + _BLOCK)
            ones = np.unpackbits(bits[part], axis=1, count=len(self.weights))
            found[part] = ones.astype(np.float32) @ self.weights
        return found


def _sums(counts: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Give the sum of each row [N, 8 or 16 or 24] of counts up to 64, eight bytes at a time: six times as fast as numpy
    adds along so short a row.
    """
    words = counts.view(np.uint64)
    eight = words[:, 0].copy()
    for other in range(1, words.shape[1]):
        eight += words[:, other]
    even = np.uint64(0x00FF_00FF_00FF_00FF)
    four = (eight & even) + ((eight >> np.uint64(8)) & even)
    return ((four * np.uint64(0x0001_0001_0001_0001)) >> np.uint64(48)).astype(np.uint16)


@dataclass(kw_only=True)
class Candidates:
    """The rows that may be the best, of any number that come; memory holds eight times as many as are wanted."""

    signs: Signs
    count: int
    _apart: list[NDArray[np.uint16]] = field(default_factory=list)
    _bits: list[NDArray[np.uint8]] = field(default_factory=list)
    _keys: list[NDArray[np.int64]] = field(default_factory=list)
    _held: int = 0
    _most: int = 1 << 16

    def add(self, bits: NDArray[np.uint8], keys: NDArray[np.int64]) -> None:
        """Take rows [N, B], each under a number of the caller's."""
        apart = self.signs.apart(bits)
        near = apart <= self._most
        self._apart.append(apart[near])
        self._bits.append(bits[near])
        self._keys.append(keys[near])
        self._held += int(near.sum())
        if self._held > 2 * WIDER * self.count:
            self._thin()

    def best(self) -> NDArray[np.int64]:
        """Give the numbers of the candidates, ascending."""
        if not self._held:
            return np.empty(0, np.int64)
        self._thin()
        [bits], [keys] = self._bits, self._keys
        if len(keys) > self.count:
            scores = self.signs.weighed(bits)
            keys = keys[np.lexsort((keys, -scores))[: self.count]]
        return np.sort(keys)

    def _thin(self) -> None:
        """Keep the nearest by bits apart; of equally near ones those that have the lower numbers."""
        apart, bits, keys = np.concatenate(self._apart), np.concatenate(self._bits), np.concatenate(self._keys)
        if len(keys) > WIDER * self.count:
            kept = np.lexsort((keys, apart))[: WIDER * self.count]
            apart, bits, keys = apart[kept], bits[kept], keys[kept]
            self._most = int(apart[-1])
        self._apart, self._bits, self._keys, self._held = [apart], [bits], [keys], len(keys)
