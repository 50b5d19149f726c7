"""A model that costs nothing: whole numbers times whole numbers, so that no batch's size changes a bit."""

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tests.faults.imagery import BANDS, CHIP

from clayline.model.manifest import Manifest, ModelEntry, entry_digest, read_manifest
from clayline.model.wire import Request, Response

DIMENSIONS: Final = 4
LOSS: Final = "test-loss"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model folder."""

    manifest: Manifest
    weights: NDArray[np.int64]
    """[C x size x size, D]."""

    @property
    def entry(self) -> ModelEntry:
        return self.manifest.entries[0]

    def compute(self, pixels: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give embeddings [N, D] and losses [N] of chips [N, C, size, size]."""
        flat = pixels.reshape(len(pixels), -1).astype(np.int64)
        return (flat @ self.weights).astype(np.float32), (flat.sum(axis=1) % 1009).astype(np.float32)

    def answer(self, request: Request) -> Response:
        """Give the response as the container does."""
        embeddings, loss = self.compute(request.inputs["pixels"][:])
        header = replace(request.header, token=self.entry.token, digest=self.entry.digest)
        status = np.zeros(len(request.index), np.uint8)
        return Response(
            header=header, index=request.index, embeddings=embeddings, status=status, loss=loss, loss_metric=LOSS
        )


def make_model(version: str, *, seed: int) -> Model:
    """Make a folder of this version; another seed is other weights under the same names."""
    files = {name: f"sha256:{sha256(f'{name} {seed}'.encode()).hexdigest()}" for name in ("card.md", "graph.onnx")}
    entry = {
        "token": f"faults-v{version}-test", "digest": f"sha256:{'0' * 64}", "graph": "graph.onnx",
        "files": ["graph.onnx"], "sensor": "landsat-c2l1", "bands": BANDS, "dtype": "uint16", "chip_size": CHIP,
        "gsd": 30.0, "dimensions": DIMENSIONS, "inputs": ["pixels"], "loss_metric": LOSS, "stretch": None,
        "nodata_fill": 0.0, "options": {"precision": "fp32", "coordinate_order": None, "hour": None},
        "preprocessing": "test/1",
    }  # fmt: skip
    entry["digest"] = entry_digest(ModelEntry.model_validate(entry), files)
    content = {
        "schema": "clayline-model/1", "name": "faults", "version": version, "licence": "Apache-2.0",
        "card": "card.md", "files": files, "entries": [entry],
    }  # fmt: skip
    weights = np.random.default_rng(seed).integers(-99, 99, (len(BANDS) * CHIP**2, DIMENSIONS))
    return Model(manifest=read_manifest(json.dumps(content).encode(), source="test"), weights=weights)
