"""Exports with a trial, for tests of what it finds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clay.entry import Request
from clay.export import export
from clay.trial import Trial
from clay.weights import Source
from clayline.model.manifest import Manifest, read_manifest


def read(folder: Path) -> Manifest:
    return read_manifest((folder / "manifest.json").read_bytes(), source=str(folder))


def cosines(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: NDArray[np.float64] = (one * other).sum(axis=1) / lengths
    return found


def tried(
    source: Source, out: Path, *requests: Request, precision: str = "fp16"
) -> tuple[Path, dict[str, Any], list[str]]:
    """Export with a trial; give the folder, its report and the lines of progress."""
    lines: list[str] = []
    folder = export(
        source, requests, out, precision=precision, name="t", trial=Trial.of(requests, None, lines.append)
    ).folder
    return folder, json.loads((folder / "metrics.json").read_text()), lines
