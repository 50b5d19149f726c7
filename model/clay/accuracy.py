"""A folder's graphs run on probe chips, and held against the float32 ones: what goes into its report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from clay.magnitude import MATRICES, RESIDUAL, Magnitudes
from clayline.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from clay.chips import Chips

    Values = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What an entry's graphs give for some chips."""

    embeddings: npt.NDArray[np.float64]
    """[N, D]."""
    losses: npt.NDArray[np.float64] | None
    """[N]."""
    magnitudes: Magnitudes | None = None
    """From a trunk that measures them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """Runs entries of a folder on the CPU, fed by name as model/README.md says, by ONNX Runtime and nothing of the
    server's.
    """

    paths: tuple[Path, ...]
    """Where the files are; the first that has one counts."""
    progress: Callable[[str], None]
    sessions: dict[str, onnxruntime.InferenceSession] = field(default_factory=dict)

    def run(self, entry: Mapping[str, Any], chips: Chips, *, what: str, together: int = 1) -> Answer:
        """Run the entry (of a manifest), ``together`` chips a run: one, for int8.

        Raises ModelError where an embedding or a loss is not finite.
        """
        found = []
        for first in range(0, len(chips.pixels), together):
            last = min(first + together, len(chips.pixels))
            start = time.monotonic()
            found.append(self._run(entry, {name: value[first:last] for name, value in chips.feed.items()}))
            self.progress(
                f"{entry['token']}: {what}, chip {last} of {len(chips.pixels)}, {time.monotonic() - start:.1f} s"
            )
        answer = Answer(
            embeddings=np.concatenate([values["embeddings"] for values in found]).astype(np.float64),
            losses=np.concatenate([values["loss"] for values in found]).astype(np.float64)
            if "loss" in found[0]
            else None,
            magnitudes=_magnitudes(found) if RESIDUAL in found[0] else None,
        )
        if (
            not np.isfinite(answer.embeddings).all()
            or not np.isfinite(0 if answer.losses is None else answer.losses).all()
        ):
            raise ModelError(
                f"{entry['token']}: {what} chips give embeddings or losses that are not finite; nothing was written"
            )
        return answer

    def largest_token(self, entry: Mapping[str, Any], chips: Chips) -> float:
        """Give the largest magnitude in what the entry's stem hands to the trunk: infinite or NaN where that is."""
        session = self._session(entry["graph"])
        (tokens,) = session.run(["tokens"], {node.name: chips.feed[node.name] for node in session.get_inputs()})
        return float(np.abs(tokens).max())

    def _run(self, entry: Mapping[str, Any], values: Values) -> Values:
        for file in (entry["graph"], entry["trunk"], entry.get("tail")):
            if file is not None:
                session = self._session(file)
                given = session.run(None, {node.name: values[node.name] for node in session.get_inputs()})
                values = values | dict(zip([node.name for node in session.get_outputs()], given, strict=True))
        return values

    def _session(self, file: str) -> onnxruntime.InferenceSession:
        if file not in self.sessions:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            path = next(each / file for each in self.paths if (each / file).exists())
            self.sessions[file] = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return self.sessions[file]


def difference(ours: Answer, wide: Answer) -> dict[str, float | int]:
    """Compare with the float32 graphs' answer, for the report.

    Numbers of four digits, so that noise changes no report.
    """
    lengths = np.linalg.norm(ours.embeddings, axis=1) * np.linalg.norm(wide.embeddings, axis=1)
    cosines = np.einsum("nd,nd->n", ours.embeddings, wide.embeddings) / lengths
    found: dict[str, float | int] = {
        "chips": len(cosines),
        "cosine_min": round(float(cosines.min()), 8),
        "cosine_mean": round(float(cosines.mean()), 8),
        "max_abs": float(f"{np.abs(ours.embeddings - wide.embeddings).max():.3g}"),
    }
    if ours.losses is not None and wide.losses is not None:
        found["loss_max_abs"] = float(f"{np.abs(ours.losses - wide.losses).max():.3g}")
    return found


def _magnitudes(found: list[Values]) -> Magnitudes:
    residual, matrices = (max(float(values[name].max()) for values in found) for name in (RESIDUAL, MATRICES))
    tokens = max(float(np.abs(values["tokens"]).max()) for values in found)
    return Magnitudes(tokens=tokens, residual=residual, matrices=matrices)
