"""Model folders small enough for tests.

Graphs whose embeddings numpy can recompute, and which fail, give NaN or dawdle when told to.

The one-graph folder takes digital numbers, reduces each band to its mean and its standard deviation (in thousands) and
multiplies those 2 C features with ``tiny_weights``; the loss is the mean of the standard deviations. The chained folder
does the like in a stem for each sensor, a trunk that all share, with its weights in a file of their own, and a tail for
each sensor. ``tiny_oracle`` and ``chained_oracle`` are the same in numpy and share nothing with the graphs but this
description, the docstrings of tests/server/tiny_graphs.py and the weights.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from tests.server.tiny_graphs import SCALE, WIDTH, stem_graph, tail_graph, tiny_graph, tiny_weights, trunk_graph

from clayline.model.manifest import ModelEntry, entry_digest

LOSS_METRIC: Final = "mean-std"
GRAPH: Final = "tiny.onnx"
TRUNK: Final = "trunk.onnx"
TRUNK_WEIGHTS: Final = "trunk.bin"
CHAINED_SENSORS: Final = MappingProxyType(
    {"sentinel-2-l2a": ("red", "green", "blue"), "landsat-c2l1": ("red", "green", "blue", "nir08")}
)
"""Two sensors of the registry, with another number of bands each."""


def tiny_oracle(pixels: NDArray[Any], dimensions: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Embeddings [N, D] and losses [N] of ``pixels`` [N, C, H, W] for a folder whose only input is ``pixels``, in
    float64.
    """
    mean, std = _moments(pixels)
    return np.concatenate([mean, std], axis=1) @ _weights(2 * pixels.shape[1], dimensions), std.mean(axis=1)


def chained_oracle(
    pixels: NDArray[Any], dimensions: int, *, located: NDArray[Any] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Embeddings [N, D] and losses [N] of a chained folder, in float64.

    ``located`` [N] is what ``time`` and ``latlon`` sum to.
    """
    mean, std = _moments(pixels)
    bands = _weights(pixels.shape[1], WIDTH)
    first, second = mean @ bands, std @ bands
    if located is not None:
        first += located[:, None]
    embeddings = np.concatenate([first, second], axis=1) @ _weights(2 * WIDTH, dimensions)
    losses = (
        np.abs(second @ _weights(WIDTH, WIDTH)).mean(axis=1) + pixels.astype(np.float64).mean(axis=(1, 2, 3)) / SCALE
    )
    return embeddings, losses


def build_model_folder(
    path: Path,
    *,
    name: str = "tiny",
    version: str = "1.0",
    sensor: str = "sentinel-2-l2a",
    bands: tuple[str, ...] = ("red", "green", "blue"),
    dtype: str = "uint16",
    chip_size: int = 64,
    gsd: float = 10.0,
    dimensions: int = 8,
    loss: bool = True,
    inputs: tuple[str, ...] = ("pixels",),
    nan_when_first_pixel: int | None = None,
    fail_when_first_pixel: int | None = None,
    busy_loops: int = 0,
) -> Path:
    """Write the model folder ``path/{name}-v{version}`` with one entry ``{name}-v{version}-test`` and return its path.

    ``nan_when_first_pixel``: a chip whose first pixel in the first band is this gets a NaN embedding, the others of its
    batch do not. ``fail_when_first_pixel``: ONNX Runtime raises for a batch that has such a chip. ``busy_loops``:
    matrix products of 400 x 400 a run computes for nothing, to take time. ``time`` and ``latlon`` in ``inputs`` are
    added, summed over their 4 values, to every dimension.
    """
    folder = path / f"{name}-v{version}"
    folder.mkdir(parents=True)
    graph = tiny_graph(
        channels=len(bands),
        dtype=dtype,
        chip_size=chip_size,
        dimensions=dimensions,
        loss=loss,
        inputs=inputs,
        nan_when=nan_when_first_pixel,
        fail_when=fail_when_first_pixel,
        busy_loops=busy_loops,
    )
    (folder / GRAPH).write_bytes(graph.SerializeToString())
    entry = _entry(
        f"{name}-v{version}-test",
        sensor=sensor,
        bands=bands,
        dtype=dtype,
        chip_size=chip_size,
        gsd=gsd,
        dimensions=dimensions,
        inputs=inputs,
    )
    entry |= {"graph": GRAPH, "files": [GRAPH], "loss_metric": LOSS_METRIC if loss else None}
    write_manifest(folder, [entry], name=name, version=version)
    return folder


def build_chained_folder(
    path: Path,
    *,
    name: str = "chained",
    version: str = "1.0",
    sensors: Mapping[str, tuple[str, ...]] = CHAINED_SENSORS,
    dtype: str = "uint16",
    chip_size: int = 64,
    gsd: float = 10.0,
    dimensions: int = 8,
    loss: bool = True,
    inputs: tuple[str, ...] = ("pixels",),
    half: bool = False,
    nan_when_first_pixel: int | None = None,
    busy_loops: int = 0,
    micro_batch: dict[str, int] | None = None,
    seed: int | None = None,
) -> Path:
    """Write the model folder ``path/{name}-v{version}`` with an entry ``{name}-v{version}-{sensor}`` for each sensor.

    Return its path.

    ``sensors`` gives each sensor's bands. The entries share ``TRUNK`` with its weights in ``TRUNK_WEIGHTS``. ``half``:
    tokens are float16. ``seed``: the manifest's checkpoint says that the weights are random numbers. ``micro_batch`` is
    the manifest's. The rest as in ``build_model_folder``.
    """
    folder = path / f"{name}-v{version}"
    folder.mkdir(parents=True)
    trunk = trunk_graph(dimensions=dimensions, loss=loss, half=half)
    onnx.save_model(trunk, folder / TRUNK, save_as_external_data=True, location=TRUNK_WEIGHTS, size_threshold=64)
    entries = []
    for sensor, bands in sensors.items():
        shape: dict[str, Any] = {"channels": len(bands), "dtype": dtype, "chip_size": chip_size, "half": half}
        graphs = {
            "graph": (
                f"stem-{sensor}.onnx",
                stem_graph(**shape, loss=loss, inputs=inputs, nan_when=nan_when_first_pixel, busy_loops=busy_loops),
            )
        }
        if loss:
            graphs["tail"] = (f"tail-{sensor}.onnx", tail_graph(**shape))
        for file, graph in graphs.values():
            (folder / file).write_bytes(graph.SerializeToString())
        token = f"{name}-v{version}-{sensor}"
        entry = _entry(
            token,
            sensor=sensor,
            bands=bands,
            dtype=dtype,
            chip_size=chip_size,
            gsd=gsd,
            dimensions=dimensions,
            inputs=inputs,
        )
        entry |= {role: file for role, (file, _) in graphs.items()}
        entry |= {"trunk": TRUNK, "files": [*(file for file, _ in graphs.values()), TRUNK, TRUNK_WEIGHTS]}
        entries.append(entry | {"loss_metric": LOSS_METRIC if loss else None})
    extra: dict[str, Any] = {} if micro_batch is None else {"micro_batch": micro_batch}
    if seed is not None:
        extra["checkpoint"] = {"architecture": "tiny", "seed": seed}
    write_manifest(folder, entries, name=name, version=version, **extra)
    return folder


def write_manifest(folder: Path, entries: list[dict[str, Any]], *, name: str, version: str, **extra: Any) -> None:
    """Write card and manifest, with the digests of ``folder``'s files and of ``entries``."""
    (folder / "card.md").write_text(f"# {name}\nFor tests: means and standard deviations. Not a model.\n")
    names = sorted({"card.md"}.union(*(entry["files"] for entry in entries)))
    files = {file: "sha256:" + hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in names}
    for entry in entries:
        entry["digest"] = entry_digest(ModelEntry.model_validate(entry), files)
    manifest = {
        "schema": "clayline-model/1",
        "name": name,
        "version": version,
        "licence": "Apache-2.0",
        "card": "card.md",
        "files": files,
        "entries": entries,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | extra, indent=1))


def _entry(token: str, *, bands: tuple[str, ...], inputs: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    return {
        "token": token,
        "digest": "sha256:" + "0" * 64,
        "bands": bands,
        "inputs": inputs,
        "stretch": None,
        "nodata_fill": 0.0,
        "options": {
            "precision": "fp32",
            "coordinate_order": "lonlat" if "latlon" in inputs else None,
            "hour": "acquisition" if "time" in inputs else None,
        },
        "preprocessing": "test/1",
        **fields,
    }


def _moments(pixels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each band, [N, C], in thousands."""
    flat = pixels.reshape(*pixels.shape[:2], -1).astype(np.float64) / SCALE
    return flat.mean(axis=2), flat.std(axis=2)


def _weights(features: int, dimensions: int) -> NDArray[np.float64]:
    return tiny_weights(features, dimensions).astype(np.float64)
