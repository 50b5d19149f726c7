"""What an export folds into constants, against the published functions.

The hyper-network's kernels, positions, wavelengths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clay.architecture import ARCHITECTURES, METADATA, WAVE
from clay.hyper_network import FILE, embedding_of, write_hyper_network
from clay.positions import grid_frequencies, grid_positions, wave_frequencies
from clay.proof.reference import published_frequencies, published_positions, published_waves

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from clay.proof.reference import Published
    from clay.sensor import BandSet
    from clay.weights import Source

    Line = dict[str, Any]

KERNEL_LIMIT: Final = 5e-6
"""Largest difference of a kernel, over its largest value."""
SINE_LIMIT: Final = 1e-6
SIDE: Final = 32
PIXEL_SIZES: Final = (0.5, 1.0, 5.0, 10.0, 30.0, 445.0, 500.0)
WAVELENGTHS: Final = (0.443, 0.665, 2.19, 3.5, 4.0, 12.0)


def compare_folded(published: Published, source: Source, sensors: Sequence[BandSet], work: Path) -> Iterator[Line]:
    """Compare the hyper-network's graph for each sensor, then the positions of every size.

    Write the graph into ``work``.
    """
    write_hyper_network(source.architecture, source.weights, loss=True).write(work, FILE)
    for bands in sensors:
        yield _kernels(published, work / FILE, bands)
    widths = {stack.dim - METADATA for each in ARCHITECTURES.values() for stack in (each.encoder, each.decoder)}
    for width in sorted(widths):
        for gsd in PIXEL_SIZES:
            yield _positions(width, gsd)
    angles = np.array(WAVELENGTHS, np.float32)[:, np.newaxis] * wave_frequencies(WAVE)
    difference = largest_difference(
        np.concatenate([np.sin(angles), np.cos(angles)], axis=1), published_waves(WAVELENGTHS)
    )
    yield {"waves": WAVE, "max_abs": difference, "holds": difference <= SINE_LIMIT}


def largest_difference(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> float:
    """Largest absolute difference. Raises ValueError for arrays of two shapes."""
    if ours.shape != theirs.shape:
        raise ValueError(f"ours is {ours.shape}, the published model's {theirs.shape}")
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def _kernels(published: Published, file: Path, bands: BandSet) -> Line:
    ours, theirs = embedding_of(file, bands.wavelengths), published.embedding(bands.wavelengths)
    found = {}
    for name in ("kernel", "bias", "pixels_out"):
        other = getattr(theirs, name)
        found[name] = largest_difference(getattr(ours, name), other) / float(np.abs(other).max())
    return {
        "kernels": bands.name,
        "bands": len(bands.bands),
        **found,
        "holds": all(each <= KERNEL_LIMIT for each in found.values()),
    }


def _positions(width: int, gsd: float) -> Line:
    ours, theirs = grid_positions(SIDE, width, gsd=gsd), published_positions(SIDE, width, gsd=gsd)
    largest_difference(ours, theirs)
    apart = (
        np.abs(ours - theirs).max(axis=0).reshape(4, -1).max(axis=0)
    )  # by frequency: each has a sine and a cosine of either axis
    odd = np.flatnonzero(~(apart <= SINE_LIMIT)).tolist()
    # Which powers torch rounds otherwise depends on its build and the CPU: taken from the torch that is here.
    frequencies, published = grid_frequencies(width, gsd=gsd), published_frequencies(width, gsd=gsd)
    otherwise = np.flatnonzero(frequencies != published)
    # A power one unit in the last place apart is up to two units apart once divided and multiplied.
    near = bool((np.abs(frequencies - published) <= 2 * np.spacing(frequencies)).all())
    # A frequency one unit in the last place apart moves the largest angle, that of row or column 31, by two of its
    # units at most.
    allowed = 2 * np.spacing(np.float32((SIDE - 1) * gsd))
    holds = near and set(odd) <= set(otherwise.tolist()) and bool(apart.max() <= max(allowed, SINE_LIMIT))
    line = {
        "positions": width,
        "gsd": gsd,
        "max_abs": float(apart.max()),
        "odd": odd,
        "rounded_otherwise": otherwise.tolist(),
    }
    return line | {"frequencies": len(apart), "holds": holds}
