"""The fixed mask under which Clay's loss is measured: the same patches for every chip, on every machine, for ever."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clayline.errors import ModelError


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """Which share of a chip's patches is hidden from the encoder, and by which seed they are drawn."""

    ratio: float = 0.75
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a ratio that its name would not tell from another. Raises ModelError."""
        if not 0 < self.ratio < 1 or round(self.ratio, 3) != self.ratio or self.seed < 0:
            raise ModelError(
                f"mask ratio {self.ratio}, seed {self.seed}: the ratio is between 0 and 1, of 3 decimals at most, the"
                " seed >= 0"
            )

    @property
    def metric(self) -> str:
        """Name of the loss: metric, mask ratio, masks averaged over, seed."""
        return f"masked-l1-m{self.ratio:g}-k1-s{self.seed}"

    @classmethod
    def of(cls, metric: str) -> Mask:
        """Give the mask of a loss by its name. Raises ModelError for the name of no such loss."""
        if (found := re.fullmatch(r"masked-l1-m(0\.\d{1,3})-k1-s(\d+)", metric)) is None:
            raise ModelError(f"the loss {metric} is none that this exporter makes")
        return cls(ratio=float(found[1]), seed=int(found[2]))

    @property
    def suffixes(self) -> list[str]:
        """What a token adds for another mask than the usual one, e.g. ``m5``, ``s7``.

        The ratio's decimals, the seed.
        """
        usual = Mask()
        parts = [f"m{f'{self.ratio:g}'.partition('.')[2]}"] if self.ratio != usual.ratio else []
        return parts + ([f"s{self.seed}"] if self.seed != usual.seed else [])

    def split(self, patches: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Patch numbers that are hidden, ``int(ratio * patches)`` of them as in claymodel, and those that stay.

        Each ascending.

        The draw orders patches by the SHA-256 of ``seed:patch``: a random generator's stream may change with its
        library.
        """
        order = sorted(range(patches), key=lambda patch: hashlib.sha256(f"{self.seed}:{patch}".encode()).digest())
        hidden = int(self.ratio * patches)
        return np.array(sorted(order[:hidden]), np.int64), np.array(sorted(order[hidden:]), np.int64)
