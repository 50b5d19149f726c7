"""Chips whose loss is far from the scene's others, the farthest first (docs/loss.md)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.outliers import standing
from clayline.likeness.taking_part import Traits


@dataclass(frozen=True, kw_only=True)
class Outliers:
    """The outliers of N chips, the farthest first."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    """Modified z-scores: positive where the loss is high."""
    median: float
    judged: int
    """Chips that were compared; 0 where too few could be."""


def loss_outliers(traits: Traits) -> Outliers:
    """Find them among the chips that take part in comparisons: of the others the loss is one of their padding."""
    found = standing(traits.loss, traits.valid)
    judged = np.isfinite(found.deviations)
    far = np.flatnonzero(found.high | found.low)
    rows = far[np.argsort(-np.abs(found.deviations[far]), kind="stable")]
    return Outliers(
        rows=rows,
        scores=found.deviations[rows],
        median=float(np.median(traits.loss[judged])) if judged.any() else float("nan"),
        judged=int(judged.sum()),
    )
