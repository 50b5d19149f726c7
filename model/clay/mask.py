"""The fixed mask under which Clay's loss is measured: the same patches for every chip, on every machine, for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """Which share of a chip's patches is hidden from the encoder, and by which seed they are drawn."""

    ratio: float = 0.75
    seed: int = 0

    @property
    def metric(self) -> str:
        """Name of the loss: metric, mask ratio, masks averaged over, seed."""
        return f"masked-l1-m{self.ratio:g}-k1-s{self.seed}"

    def split(self, patches: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Patch numbers that are hidden, ``int(ratio * patches)`` of them as in claymodel, and those that stay; each ascending.

        The draw orders patches by the SHA-256 of ``seed:patch``: a random generator's stream may change with its library.
        """
        order = sorted(range(patches), key=lambda patch: hashlib.sha256(f"{self.seed}:{patch}".encode()).digest())
        hidden = int(self.ratio * patches)
        return np.array(sorted(order[:hidden]), np.int64), np.array(sorted(order[hidden:]), np.int64)
