"""Random weights in Clay's shapes, for everything that can be tried without a checkpoint. They have learnt nothing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from clay.architecture import Architecture


def seeded_weights(
    architecture: Architecture, seed: int, *, decoder: bool = True
) -> dict[str, npt.NDArray[np.float32]]:
    """Draw each tensor by itself, from the seed and its name, so that one more tensor changes none of the others.

    Matrices are uniform with a variance of 1 / (number of inputs), so that numbers stay of one magnitude through the
    depth; normalisations are near 1 and 0 rather than there, so that a wrong one shows.
    """
    return {name: _draw(name, shape, seed) for name, shape in architecture.tensors(decoder=decoder).items()}


def _draw(name: str, shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16])
    generator = np.random.Generator(np.random.Philox(key=key))
    values = generator.random(shape, np.float32) * np.float32(2) - np.float32(1)  # uniform in [-1, 1): variance 1/3
    if name.endswith(("cls_token", "weight_tokens", "bias_token")):
        return values * np.float32(0.035)  # standard deviation 0.02, as claymodel draws them
    if name.endswith("mask_patch"):
        return values * np.float32(3**0.5)
    if len(shape) > 1:
        return values * np.float32((3 / shape[-1]) ** 0.5)
    if name.endswith("weight"):  # of a normalisation
        return np.float32(1) + values * np.float32(0.1)
    return values * np.float32(0.1)
