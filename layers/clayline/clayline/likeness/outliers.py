"""Which chips' losses stand out from the others of their scene (docs/loss.md)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.taking_part import VALID_LEAST

FAR: Final = 3.5
"""Robust deviations from the median beyond which a loss is an outlier (Iglewicz and Hoaglin, 1993)."""
NORMAL: Final = 1.4826
"""Median absolute deviations in a standard deviation, of normal numbers."""
LEAST_CHIPS: Final = 30
"""Of fewer, median and spread say too little: none is an outlier then."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far each of N chips' losses is from the others'."""

    deviations: NDArray[np.float64]
    """[N]: (loss - median) / (1.4826 MAD). NaN for a chip that was not judged: mostly outside the scene, or without a
    loss; for all, where too few are left or half of them have one and the same loss."""

    @property
    def high(self) -> NDArray[np.bool_]:
        """[N]: which are far above."""
        return self.deviations > FAR

    @property
    def low(self) -> NDArray[np.bool_]:
        """[N]: which are far below."""
        return self.deviations < -FAR


def standing(losses: NDArray[np.floating], valid: NDArray[np.floating]) -> Standing:
    """Judge the losses [N] of one scene under one model, as one loss metric names them; NaN is none.

    ``valid`` [N], 0 to 1: chips of which less than 0.9 is valid take no part and are not judged.
    """
    deviations = np.full(len(losses), np.nan)
    judged = np.isfinite(losses) & (valid >= VALID_LEAST)
    if judged.sum() < LEAST_CHIPS:
        return Standing(deviations=deviations)
    values = losses[judged].astype(np.float64)
    away = values - np.median(values)
    if (spread := NORMAL * float(np.median(np.abs(away)))) > 0:
        deviations[judged] = away / spread
    return Standing(deviations=deviations)
