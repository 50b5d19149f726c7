"""Request objects for the server's tests, written as docs/wire.md says, without clayline.model.wire."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray


def chips(count: int, *, seed: int = 0, dtype: str = "uint16", size: int = 64, bands: int = 3) -> NDArray[Any]:
    """Give pixels [count, bands, size, size]."""
    return np.random.default_rng(seed).integers(100, 3000, (count, bands, size, size)).astype(dtype)


def request_body(
    folder: Path,
    pixels: NDArray[Any],
    *,
    token: str | None = None,
    tensors: dict[str, NDArray[Any]] | None = None,
    batch: str = "b00042",
) -> bytes:
    """Give a request for the entry ``token`` of a model folder (None: its first), with windows 5, 8, 11 and so on."""
    entries = json.loads((folder / "manifest.json").read_text())["entries"]
    entry = next(each for each in entries if token in {None, each["token"]})
    header = {"clayline": "request/2", "run": "0a" * 16, "batch": batch, "folder": folder.name}
    header |= {"token": entry["token"], "digest": entry["digest"]}
    index = np.arange(len(pixels), dtype=np.int64) * 3 + 5
    return safetensors.numpy.save({"index": index, "pixels": pixels, **(tensors or {})}, metadata=header)
