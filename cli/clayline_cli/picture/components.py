"""The colours of vectors: their three strongest principal components as red, green and blue."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WHOLE: Final = 0.9
"""Valid fraction below which a chip, as at the scene's edge, is no judge of how the others differ."""
_FEWEST: Final = 4
"""Chips that three components need."""


@dataclass(frozen=True, kw_only=True)
class Components:
    """What is drawn of vectors."""

    colours: NDArray[np.float64]
    """[N, 3] from 0 to 1: the 2nd to the 98th percentile of each component."""
    share: float
    """Of the variance, that the three have."""


def judges(valid: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Mark the chips [N] that set colours: whole ones, unless they are too few to speak for the scene.

    What is padded tells more of its padding than of the ground, and differs from all else by it.
    """
    whole = np.asarray(valid >= _WHOLE)
    return whole if whole.sum() >= max(_FEWEST, len(whole) / 4) else np.ones(len(whole), np.bool_)


def components(vectors: NDArray[np.float64], judging: NDArray[np.bool_]) -> Components:
    """Find the components of ``vectors`` [N, D] by those ``judging`` [N], and colour all."""
    centred = vectors - vectors[judging].mean(axis=0)
    variances, axes = _axes(centred[judging])
    count = min(3, len(variances))
    scores = centred @ axes[:count].T
    judged = scores[judging]
    # A component's sign is arbitrary: settle it.
    sign = np.where(np.abs(judged.min(axis=0)) > judged.max(axis=0), -1, 1)
    scores, judged = scores * sign, judged * sign
    low, high = np.percentile(judged, (2, 98), axis=0)
    colours = np.zeros((len(vectors), 3))
    colours[:, :count] = np.clip((scores - low) / np.maximum(high - low, 1e-12), 0, 1)
    return Components(colours=colours, share=float(variances[:count].sum() / max(variances.sum(), 1e-12)))


def _axes(centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the variances (times their number) and axes [.., D] of ``centred`` [N, D], the strongest first.

    By the products of the shorter side: a decomposition of all N x D numbers takes seconds where this takes tenths, and
    differs where an axis is next to nothing, which nobody draws.
    """
    rows, dimensions = centred.shape
    if rows >= dimensions:
        variances, axes = np.linalg.eigh(centred.T @ centred)
        return np.maximum(variances[::-1], 0), axes.T[::-1]
    variances, sides = np.linalg.eigh(centred @ centred.T)
    strengths = np.sqrt(np.maximum(variances, np.finfo(np.float64).tiny))
    return np.maximum(variances[::-1], 0), (sides.T @ centred / strengths[:, None])[::-1]
