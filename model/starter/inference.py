"""Run an entry's graph with ONNX Runtime, and the stretch it applies, in numpy (the decoder's targets are made with
it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from starter import decoder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

BATCH = 64


def session(graph: Path, threads: int = 1) -> ort.InferenceSession:
    """Open a graph on the CPU.

    One thread by default: the order in which floats are added, and so the last bits, must not depend on the machine.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def embed(
    opened: ort.InferenceSession, chips: npt.NDArray[np.generic], output: str = "embeddings"
) -> npt.NDArray[np.float32]:
    """One output of the graph for [N, C, 64, 64] chips, in batches of 64."""
    parts = [opened.run([output], {"pixels": chips[start : start + BATCH]})[0] for start in range(0, len(chips), BATCH)]
    return np.concatenate(parts)


def stretched(
    chips: npt.NDArray[np.generic], bands: Sequence[str], stretch: Mapping[str, Sequence[float]]
) -> npt.NDArray[np.float64]:
    """(DN - low) / (high - low), clipped to [0, 1], of [N, C, H, W] chips."""
    low, high = (
        np.array([stretch[band][side] for band in bands], dtype=np.float64).reshape(1, -1, 1, 1) for side in (0, 1)
    )
    result: npt.NDArray[np.float64] = np.clip((chips.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    return result


def targets(
    chips: npt.NDArray[np.uint16 | np.uint8], bands: Sequence[str], stretch: Mapping[str, Sequence[float]]
) -> npt.NDArray[np.float64]:
    """Thumbnails of stretched chips, [N, C * 64].

    In batches: a scene's overlapping chips, all in float64 at once, take gigabytes.
    """
    starts = range(0, len(chips), BATCH)
    return np.concatenate(
        [decoder.thumbnails(stretched(chips[start : start + BATCH], bands, stretch)) for start in starts]
    )
