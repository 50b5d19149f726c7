"""A contender: the published claymodel in torch, as shipped or compiled; and torch's rate of matrix products."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from benchmarks.clay_worker import load_chips, serve, timed

from clay.architecture import ARCHITECTURES
from clay.proof import reference
from clay.seeded import seeded_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.clay_worker import Handler, Order


class Published:
    """claymodel's encoder with the weights that the graphs have."""

    def __init__(self, order: Order) -> None:
        torch.set_num_threads(order["threads"])
        if order["compiled"]:
            # What einops did by itself with older torch; without it dynamo stumbles over a dictionary of einops's.
            # Before claymodel, for which ``reference`` takes the modules that it finds and afterwards forgets those
            # that came with it.
            importlib.import_module("einops._torch_specific").allow_ops_in_compiled_graph()
        self._device: str = order["device"]
        self._autocast: bool = order["compiled"]
        architecture = ARCHITECTURES[order["size"]]
        claymodel = Path(order.get("claymodel") or reference.CLAYMODEL)
        published = reference.Published(architecture, seeded_weights(architecture, order["seed"]), claymodel)
        self._shipped = torch.get_float32_matmul_precision()
        # The encoder itself: ``embeddings`` would copy from and to numpy, which is not what is compared.
        encoder = published.encoder.to(self._device).eval()
        self._encoder = torch.compile(encoder, dynamic=False) if order["compiled"] else encoder
        self._chips = load_chips(Path(order["chips"]))
        self._sensor = order["sensor"]
        self._cubes: dict[tuple[int, int], dict[str, torch.Tensor]] = {}

    def _cube(self, start: int, stop: int) -> dict[str, torch.Tensor]:
        """Give a datacube that lies on the device, normalised: neither is timed."""
        if (start, stop) not in self._cubes:
            self._cubes.clear()
            mean, std = (torch.tensor(self._sensor[name]).reshape(1, -1, 1, 1) for name in ("mean", "std"))
            pixels = (torch.from_numpy(self._chips["pixels"][start:stop].astype(np.float32)) - mean) / std
            self._cubes[start, stop] = {
                "pixels": pixels.to(self._device),
                "time": torch.from_numpy(self._chips["time"][start:stop]).to(self._device),
                "latlon": torch.from_numpy(self._chips["latlon"][start:stop]).to(self._device),
                "gsd": torch.tensor(self._sensor["gsd"]),
                "waves": torch.tensor(self._sensor["wavelengths"]).to(self._device),
            }
        return self._cubes[start, stop]

    def _once(self, start: int, stop: int) -> torch.Tensor:
        half = torch.autocast(self._device, torch.bfloat16) if self._autocast else contextlib.nullcontext()
        with torch.inference_mode(), half:
            vectors: torch.Tensor = self._encoder(self._cube(start, stop))[0][:, 0]
        return vectors

    def run(self, order: Order) -> dict[str, Any]:
        """Time ``repeat`` times ``chips`` chips, ``micro_batch`` at a time, with ``matmul`` as torch's precision of
        float32 products.
        """
        torch.set_float32_matmul_precision(order.get("matmul", self._shipped))
        size = order["micro_batch"]

        def work() -> None:
            for start in range(0, order["chips"], size):
                self._once(start, min(start + size, order["chips"]))
            _wait(self._device)

        self._cube(0, min(size, order["chips"]))
        _wait(self._device)
        return timed(work, repeat=order.get("repeat", 1)) | {"matmul": torch.get_float32_matmul_precision()}

    def embed(self, order: Order) -> dict[str, Any]:
        """Write the vectors of ``chips`` chips to ``to``, [N, D] float32, in torch's highest precision unless
        ``matmul`` says another.
        """
        torch.set_float32_matmul_precision(order.get("matmul", "highest"))
        size = order["micro_batch"]
        parts = [
            self._once(start, min(start + size, order["chips"])).float().cpu()
            for start in range(0, order["chips"], size)
        ]
        np.save(order["to"], torch.cat(parts).numpy())
        return {}


def product_rate(order: Order) -> dict[str, Any]:
    """Time ``rows`` x ``inner`` x ``columns`` products of random numbers of ``dtype``, each by itself, in operations a
    second.
    """
    rows, inner, columns = order["product"]
    device, kind = order["device"], getattr(torch, order.get("dtype", "float16"))
    generator = torch.Generator(device).manual_seed(0)
    # Three sets of factors in turn: a product must not find the one before in the cache.
    sets = [
        tuple(
            torch.randn(shape, generator=generator, device=device, dtype=torch.float32).to(kind)
            for shape in ((rows, inner), (inner, columns))
        )
        for _ in range(3)
    ]
    seconds = []
    for number in range(order["repeat"] + 3):
        left, right = sets[number % 3]
        _wait(device)
        if device == "cuda":
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            torch.matmul(left, right)
            last.record()
            _wait(device)
            seconds.append(first.elapsed_time(last) / 1e3)
        else:
            started = time.perf_counter()
            torch.matmul(left, right)
            seconds.append(time.perf_counter() - started)
    return {"tflops": 2 * rows * inner * columns / float(np.median(seconds[3:])) / 1e12}


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def versions(_order: Order) -> dict[str, Any]:
    """Give what it runs with."""
    return {"torch": torch.__version__, "python": sys.version.split()[0]}


def make(order: Order) -> Mapping[str, Handler]:
    """Make the contender: the model, or none where only products are to be timed."""
    if order["device"] == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} here sees no CUDA device")
    if "size" not in order:
        return {"versions": versions, "product": lambda asked: product_rate({**order, **asked})}
    published = Published(order)
    return {"versions": versions, "run": published.run, "embed": published.embed}


if __name__ == "__main__":
    serve(make)
