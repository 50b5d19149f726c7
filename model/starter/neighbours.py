"""Measures of whether an embedding's neighbours make sense, and the two plain descriptors it has to beat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def spectrum(chips: npt.NDArray[np.generic]) -> Floats:
    """Mean and standard deviation of each band: [N, C, H, W] -> [N, 2C]."""
    values = chips.astype(np.float64)
    return np.concatenate([values.mean(axis=(2, 3)), values.std(axis=(2, 3))], axis=1)


def thumbnail(chips: npt.NDArray[np.generic], side: int = 8) -> Floats:
    """8 x 8 block means, standardised within each chip and band: [N, C, H, W] -> [N, C * 64]."""
    count, bands, height, width = chips.shape
    means = (
        chips.astype(np.float64)
        .reshape(count, bands, side, height // side, side, width // side)
        .mean(axis=(3, 5))
        .reshape(count, bands, -1)
    )
    spread = means.std(axis=2, keepdims=True)
    scaled: Floats = (means - means.mean(axis=2, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return scaled.reshape(count, -1)


def normalised(vectors: npt.NDArray[np.floating]) -> Floats:
    """Centred on their mean and scaled to unit length (a zero vector stays zero)."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    result: Floats = centred / np.where(length > 0, length, 1.0)
    return result


def recall(one: Floats, other: Floats, depth: int) -> float:
    """Share of rows whose partner (the same row of the other set) is among the `depth` most similar, the mean of both
    directions.

    A partner's rank counts every row that is at least as similar, so ties do not help.
    """
    similarity = one @ other.T
    partner = np.diag(similarity)
    forward = (similarity >= partner[:, None]).sum(axis=1) <= depth
    backward = (similarity >= partner[None, :]).sum(axis=0) <= depth
    return float((forward.mean() + backward.mean()) / 2)


def vote(
    vectors: Floats, labels: npt.NDArray[np.int64], barred: npt.NDArray[np.bool_], count: int = 5
) -> npt.NDArray[np.int64]:
    """Label each row by the majority of its `count` nearest others; a tie goes to the class of the nearer.

    `barred` [N, N] marks the pairs that may not be used.
    """
    similarity = np.where(barred, -np.inf, vectors @ vectors.T)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    guesses = []
    for row in nearest:
        found = labels[row]
        tally = np.bincount(found)
        guesses.append(next(label for label in found if tally[label] == tally.max()))
    return np.array(guesses, dtype=np.int64)


def agreement(guesses: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Share of right labels: over all rows, and the mean over classes."""
    right = guesses == labels
    return float(right.mean()), float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
