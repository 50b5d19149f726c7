"""Cloud: which pixels a class mask says are hidden, and of which it says anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.chips.classes import Classes, Classification

SCL = Classification(cloud=(Classes(meaning="hidden", values=(1, 3, 8, 9, 10)),))
"""What plans from before classifications were kept mean by their mask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Cloud on a window of the scene."""

    cloudy: NDArray[np.bool_]
    """[h, w]; False where it is not known."""
    known: NDArray[np.bool_]
    """[h, w]"""


def find_cloud(
    numbers: NDArray[Any], classification: Classification, missing: NDArray[np.bool_] | None = None
) -> Cloud:
    """Read the numbers [h, w] of a mask, whole ones; ``missing`` [h, w] is where the mask has no pixel."""
    cloudy = _any(numbers, classification.cloud)
    known = cloudy | _any(numbers, classification.clear) if classification.clear else np.ones(numbers.shape, np.bool_)
    known &= ~_any(numbers, classification.unknown)
    if missing is not None:
        known &= ~missing
    cloudy &= known
    return Cloud(cloudy=cloudy, known=known)


def _any(numbers: NDArray[Any], kinds: Sequence[Classes]) -> NDArray[np.bool_]:
    """Say where a number is of one of the kinds."""
    found = np.zeros(numbers.shape, np.bool_)
    for kind in kinds:
        field = numbers if kind.bit is None else (numbers >> kind.bit) & ((1 << kind.bits) - 1)
        for value in kind.values:
            found |= field == value
    return found
