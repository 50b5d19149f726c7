"""The endpoint over HTTP against the bare ONNX Runtime session on the same chips, in one run.

`benchmarks/endpoint.py` starts the container's program with the starter, sends requests of 64 chips, several in flight,
and between them runs the same graph in this process, with the same options and micro-batch, from memory to memory.
Rounds alternate, because a shared machine's speed drifts; the ratio is the median of the rounds'. `--micro-batches`
prints how the bare session depends on the micro-batch, and `--options` what two requests computing at once would
change.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
sys.path.insert(0, str(Path(__file__).parents[1] / "layers" / "clayline"))

from tests.server.container import Container, running_container

from clayline.model.manifest import Manifest, ModelEntry, read_manifest
from clayline.model.wire import BatchHeader, Request, Response
from server.sessions import session_options

ROOT = Path(__file__).parents[1]
CHIPS = 64
TARGET_RATIO = 0.9


def sample_pixels(entry: ModelEntry, count: int) -> NDArray[Any]:
    """Give ``count`` chips of plausible digital numbers.

    What they show does not change how long a convolution takes.
    """
    numbers = np.random.default_rng(5).integers(200, 3000, (count, len(entry.bands), entry.chip_size, entry.chip_size))
    return numbers.astype(entry.dtype) if entry.dtype != "uint8" else (numbers % 256).astype(np.uint8)


def run_bare(session: onnxruntime.InferenceSession, pixels: NDArray[Any], *, micro_batch: int) -> NDArray[np.float32]:
    """Give the embeddings of ``pixels``."""
    parts = [
        session.run(None, {"pixels": pixels[start : start + micro_batch]})[0]
        for start in range(0, len(pixels), micro_batch)
    ]
    return np.concatenate(parts)


class Sender:
    """Sends one request object over kept connections, one a thread."""

    def __init__(self, container: Container, body: bytes) -> None:
        self._port = container.port
        self._body = body

    def send(self, count: int) -> bytes:
        """Send ``count`` requests one after the other and give the last answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        answer = b""
        for _ in range(count):
            connection.request("POST", "/invocations", self._body)
            response = connection.getresponse()
            answer = response.read()
            assert response.status == http.HTTPStatus.OK, answer
        connection.close()
        return answer


def measure(
    models: Path, manifest: Manifest, entry: ModelEntry, options: argparse.Namespace, concurrency: int
) -> dict[str, Any]:
    """Give chips a second of both, and their ratio, each the median over the rounds."""
    pixels = sample_pixels(entry, CHIPS)
    header = BatchHeader(run="0" * 32, batch="b00000", folder=manifest.folder, token=entry.token, digest=entry.digest)
    body = Request(header=header, index=np.arange(CHIPS), inputs={"pixels": pixels}).to_bytes()
    session = onnxruntime.InferenceSession(
        str(models / manifest.folder / entry.graph),
        session_options(threads=options.cpu_threads),
        providers=["CPUExecutionProvider"],
    )
    flags = [
        "--micro-batch",
        str(options.micro_batch),
        "--cpu-threads",
        str(options.cpu_threads),
        "--concurrency",
        str(concurrency),
    ]
    bare: list[float] = []
    over_http: list[float] = []
    with (
        running_container(models, models.parent / "server.log", *flags) as container,
        ThreadPoolExecutor(options.in_flight) as pool,
    ):
        sender = Sender(container, body)
        expected = run_bare(session, pixels, micro_batch=options.micro_batch)
        assert np.array_equal(Response.from_bytes(sender.send(1)).embeddings, expected)
        requests = options.in_flight * options.each
        for _ in range(options.rounds):
            started = time.perf_counter()
            for _ in range(requests):
                run_bare(session, pixels, micro_batch=options.micro_batch)
            bare.append(requests * CHIPS / (time.perf_counter() - started))
            started = time.perf_counter()
            list(pool.map(sender.send, [options.each] * options.in_flight))
            over_http.append(requests * CHIPS / (time.perf_counter() - started))
    ratios = [one / other for one, other in zip(over_http, bare, strict=True)]
    return {
        "http_chips_per_second": round(statistics.median(over_http)),
        "bare_chips_per_second": round(statistics.median(bare)),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in sorted(ratios)],
        "request_mb": round(len(body) / 1e6, 2),
    }


def micro_batches(graph: Path, entry: ModelEntry, options: argparse.Namespace) -> None:
    """Print the bare session's chips a second by micro-batch, rounds alternating."""
    pixels = sample_pixels(entry, CHIPS)
    session = onnxruntime.InferenceSession(
        str(graph), session_options(threads=options.cpu_threads), providers=["CPUExecutionProvider"]
    )
    sizes = [1, 2, 4, 8, 16, 32, 64]
    speeds: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(options.rounds):
        for size in sizes:
            started = time.perf_counter()
            for _ in range(4):
                run_bare(session, pixels, micro_batch=size)
            speeds[size].append(4 * CHIPS / (time.perf_counter() - started))
    for size in sizes:
        print(
            json.dumps(
                {
                    "micro_batch": size,
                    "token": entry.token,
                    "bare_chips_per_second": round(statistics.median(speeds[size])),
                }
            )
        )


def main() -> None:
    """Measure, print, and fail where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "model/starter/starter-v1.0")
    parser.add_argument("--token", help="an entry of the folder; the first")
    parser.add_argument("--micro-batch", type=int, default=16)
    parser.add_argument("--cpu-threads", type=int, default=os.process_cpu_count() or 1)
    parser.add_argument("--in-flight", type=int, default=4)
    parser.add_argument("--each", type=int, default=2, help="requests of each sender in a round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--micro-batches", action="store_true")
    parser.add_argument("--options", action="store_true")
    options = parser.parse_args()
    manifest = read_manifest((options.folder / "manifest.json").read_bytes(), source=str(options.folder))
    entry = manifest.entry(options.token) if options.token else manifest.entries[0]
    with tempfile.TemporaryDirectory(prefix="clayline-bench-") as place:
        models = Path(place) / "models"
        shutil.copytree(options.folder, models / manifest.folder)
        if options.micro_batches:
            micro_batches(models / manifest.folder / entry.graph, entry, options)
        if options.options:
            for concurrency in (1, 2):
                print(
                    json.dumps({"concurrency": concurrency, **measure(models, manifest, entry, options, concurrency)})
                )
        result = measure(models, manifest, entry, options, concurrency=1)
    met = result["ratio"] >= TARGET_RATIO
    print(
        json.dumps(
            {"name": "endpoint_http_vs_bare", "token": entry.token, **result, "target": TARGET_RATIO, "met": met}
        )
    )
    if not met:
        sys.exit("a target was missed")


if __name__ == "__main__":
    main()
