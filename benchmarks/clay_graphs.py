"""Clay's graphs from seeded weights for a benchmark: stem, trunk, tail, and all of it folded into one;
and chips to run them on.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "layers" / "clayline"))
sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

from clay import export
from clay.architecture import ARCHITECTURES, Architecture
from clay.entry import Request
from clay.graph import Graph
from clay.hyper_network import FILE as HYPER
from clay.hyper_network import embedding_of, write_hyper_network
from clay.mask import Mask
from clay.seeded import seeded_weights
from clay.sensor import BandSet, find_sensor
from clay.stem import Stem, declare_inputs
from clay.transformer import Precision
from clay.trunk import FILE, add_trunk, write_trunk
from clay.weights import Source
from clayline.model.manifest import Checkpoint

CHIP = 256
PRECISIONS = {**export.PRECISIONS, "fp16-wide": Precision(matrices="float16", residual="float32")}
"""The exporter's, and ``fp16-wide``: as fp16, with the residual and its normalisation in float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """Builds graphs of one size for one sensor; draws the weights once."""

    folder: Path
    architecture: Architecture
    bands: BandSet
    seed: int
    weights: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, *, size: str, sensor: str, seed: int) -> Workshop:
        """Draw the weights and fold the sensor's wavelengths."""
        architecture = ARCHITECTURES[size]
        weights: dict[str, Any] = dict(seeded_weights(architecture, seed))
        folder.mkdir(parents=True, exist_ok=True)
        write_hyper_network(architecture, weights, loss=True).write(folder, HYPER)
        return cls(folder=folder, architecture=architecture, bands=find_sensor(sensor), seed=seed, weights=weights)

    def chain(self, precision: str, *, loss: bool = False) -> list[str]:
        """Write stem and trunk, with a loss also the tail; give their paths in order."""
        place = self.folder / (precision + ("-loss" if loss else ""))
        place.mkdir()
        stem = self._stem(precision, loss=loss)
        stem.write_tokens().write(place, "stem.onnx")
        write_trunk(self.architecture, self.weights, PRECISIONS[precision], loss=loss).write(place, FILE)
        names = ["stem.onnx", FILE]
        if stem.mask is not None and stem.embedding.pixels_out is not None:
            stem.write_loss(stem.mask, stem.embedding.pixels_out).write(place, "tail.onnx")
            names.append("tail.onnx")
        return [str(place / name) for name in names]

    def folded(self, precision: str) -> list[str]:
        """Write stem and trunk as one graph."""
        place = self.folder / f"{precision}-folded"
        place.mkdir()
        stem = self._stem(precision, loss=False)
        graph = Graph(name="folded", weights_file="folded.weights")
        declare_inputs(graph, self.bands, CHIP, metadata=True)
        stem.add_tokens(graph)
        add_trunk(graph, self.architecture, self.weights, PRECISIONS[precision], loss=False)
        graph.output("embeddings", "float32", ["N", self.architecture.encoder.dim])
        graph.write(place, "folded.onnx")
        return [str(place / "folded.onnx")]

    def model_folder(self, out: Path, precision: str, *, loss: bool = False) -> Path:
        """Write a folder that the server takes: the exporter's, without its trial on probes; give its path."""
        request = Request(sensor=self.bands, mask=Mask() if loss else None)
        checkpoint = Checkpoint(architecture=self.architecture.name, seed=self.seed)
        source = Source(architecture=self.architecture, weights=self.weights, checkpoint=checkpoint, packages=())
        return export.export(source, [request], out, precision=precision, name="bench-untrained").folder

    def chips(self, count: int) -> str:
        """Write ``count`` chips of plausible digital numbers with time and latlon; give their folder."""
        random = np.random.default_rng(5)
        place = self.folder / "chips"
        place.mkdir()
        shape = (count, len(self.bands.mean), CHIP, CHIP)
        np.save(
            place / "pixels.npy",
            random.integers(1, 255 if self.bands.dtype == "uint8" else 4000, shape).astype(self.bands.dtype),
        )
        for name in ("time", "latlon"):
            angles = random.uniform(0, 2 * np.pi, (count, 2))
            np.save(
                place / f"{name}.npy",
                np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(count, 4).astype(np.float32),
            )
        return str(place)

    def sensor(self) -> dict[str, Any]:
        """Give what torch needs to know of the sensor."""
        bands = self.bands
        return {"mean": bands.mean, "std": bands.std, "wavelengths": bands.wavelengths, "gsd": bands.gsd}

    def forget_weights(self) -> None:
        """Give back their memory."""
        self.weights.clear()
        gc.collect()

    def _stem(self, precision: str, *, loss: bool) -> Stem:
        return Stem(
            architecture=self.architecture,
            bands=self.bands,
            chip_size=CHIP,
            embedding=embedding_of(self.folder / HYPER, self.bands.wavelengths),
            tokens=PRECISIONS[precision].matrices,
            mask=Mask() if loss else None,
        )


def similarity(path: Path, reference: Path) -> dict[str, float]:
    """Compare vectors [N, D]: the smallest cosine of a chip's two vectors, and the largest difference."""
    one, other = (np.load(each).astype(np.float64) for each in (path, reference))
    cosine = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return {
        "least_cosine": round(float(cosine.min()), 7),
        "largest_difference": float(f"{np.abs(one - other).max():.2e}"),
    }
