"""Chips whose loss is far from the scene's others."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.taking_part import Filters, Traits

FAR: Final = 3.5
"""Modified z-scores beyond which a value is an outlier (Iglewicz and Hoaglin, 1993)."""
_NORMAL: Final = 0.6745
"""Median absolute deviation of a normal distribution, by its standard deviation."""


@dataclass(frozen=True, kw_only=True)
class Outliers:
    """The outliers of N chips, the farthest first."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    """Modified z-scores: positive where the loss is high."""
    median: float
    judged: int
    """Chips that were compared."""


def loss_outliers(traits: Traits) -> Outliers:
    """Find them among the chips that take part in comparisons: of the others the loss is one of their padding."""
    taken, _ = Filters().judge(traits)
    rows = np.flatnonzero(taken & ~np.isnan(traits.loss))
    loss = traits.loss[rows]
    median = float(np.median(loss)) if len(loss) else float("nan")
    spread = float(np.median(np.abs(loss - median))) if len(loss) else 0.0
    scores = np.asarray(_NORMAL * (loss - median) / spread if spread > 0 else np.zeros(len(loss)), np.float64)
    far = np.flatnonzero(np.abs(scores) > FAR)
    order = far[np.argsort(-np.abs(scores[far]), kind="stable")]
    return Outliers(rows=rows[order], scores=scores[order], median=median, judged=len(rows))
