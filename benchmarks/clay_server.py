"""Clay through the server over HTTP against the bare ONNX Runtime sessions on the same chips, in one run.

`.venv/bin/python benchmarks/clay_server.py` writes a folder from seeded weights (`--size`, `--precision`, `--loss`) or
takes one (`--folder`), starts the container's program with it, sends requests of `--chips`, `--in-flight` of them at a
time, and in turn has a process of its own run the same graphs with the same options and micro-batch, from memory to
memory. A ratio is the median of the rounds'; exit status 1 where it is under 0.95, or a side lost a round.

Takes 3 to 5 minutes with the defaults on two cores. A chip of `large` takes seconds on a CPU, 64 of them minutes: there
measure 64-chip requests with `--size tiny` or `small`, and `large` with `--precision int8 --chips 4 --in-flight 3
--rounds 2` (about 5 minutes).
"""

import argparse
import http.client
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
sys.path.insert(0, str(Path(__file__).parents[1] / "layers" / "clayline"))

from benchmarks.clay_contenders import Contender, ContenderError, alternate, judge, last_lines, report
from benchmarks.clay_graphs import Workshop
from benchmarks.clay_worker import load_chips
from tests.server.container import Container, listening_port, start_process

from clayline.model.manifest import Manifest, ModelEntry, read_manifest
from clayline.model.wire import BatchHeader, Request, Response
from server.sessions import CUDA_PROVIDER

TARGET = 0.95
START_SECONDS = {"cpu": 120.0, "cuda": 300.0}
"""In which the server must be ready: on CUDA its libraries are loaded, kernels prepared and arenas grown."""
ANSWER_SECONDS = 900.0
PROGRAM = Path(__file__).with_name("clay_server_program.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What is sent in a round."""

    chips: int
    """In a request."""
    in_flight: int
    each: int
    """Requests of each sender."""

    @property
    def requests(self) -> int:
        """In a round."""
        return self.in_flight * self.each


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """How both sides compute."""

    device: str
    micro_batch: int
    threads: int
    concurrency: int
    """Requests that the server computes at once."""
    python: str = sys.executable
    """With the ONNX Runtime to measure."""
    deadline: float = math.inf
    """Of ``time.monotonic``."""

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least one."""
        return max(1.0, self.deadline - time.monotonic())


def write_chips(place: Path, entry: ModelEntry, count: int) -> Path:
    """Write chips of plausible digital numbers, as the bare sessions read them."""
    place.mkdir()
    random = np.random.default_rng(5)
    shape = (count, len(entry.bands), entry.chip_size, entry.chip_size)
    np.save(
        place / "pixels.npy", random.integers(1, 255 if entry.dtype == "uint8" else 4000, shape).astype(entry.dtype)
    )
    for name in ("time", "latlon"):
        np.save(place / f"{name}.npy", random.uniform(-1, 1, (count, 4)).astype(np.float32))
    return place


@contextmanager
def running_server(models: Path, log: Path, setting: Setting) -> Iterator[Container]:
    """Start the container's program and wait until it is ready.

    Raises AssertionError with its log where it is not in time.
    """
    flags = [
        "--micro-batch",
        str(setting.micro_batch),
        "--cpu-threads",
        str(setting.threads),
        "--concurrency",
        str(setting.concurrency),
    ]
    process = start_process(models, log, *flags, program=(setting.python, str(PROGRAM)))
    seconds = min(START_SECONDS[setting.device], setting.left)
    try:
        port = listening_port(process, log, seconds=seconds, libraries_print=True)
        container = Container(process=process, log=log, port=port, libraries_print=True)
        container.wait_until_ready(seconds=seconds)
        yield container
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check_device(container: Container, token: str, device: str) -> None:
    """Raise ContenderError unless every graph of the entry runs on ``device``, as the server's line `ready` tells."""
    container.wait_for("ready")
    graphs = next(line["tokens"][token] for line in container.lines() if line["message"] == "ready")
    if not graphs or any((CUDA_PROVIDER in providers) is not (device == "cuda") for providers in graphs):
        raise ContenderError(
            f"the server does not run on {device}, its graphs have {graphs}; its log ends: {last_lines(container.log)}"
        )


def send(container: Container, body: bytes, count: int, *, seconds: float = ANSWER_SECONDS) -> bytes:
    """Send a request ``count`` times over one connection and give the last answer. Raises ContenderError."""
    connection = http.client.HTTPConnection("127.0.0.1", container.port, timeout=min(ANSWER_SECONDS, seconds))
    answer = b""
    try:
        for _ in range(count):
            connection.request("POST", "/invocations", body, {"Content-Type": "application/x-safetensors"})
            response = connection.getresponse()
            answer = response.read()
            if response.status != http.HTTPStatus.OK:
                raise ContenderError(f"the server answers {response.status}: {answer[:500].decode(errors='replace')}")
    except (OSError, http.client.HTTPException) as error:
        raise ContenderError(
            f"the server gives no answer: {error!r}; its log ends: {last_lines(container.log)}"
        ) from error
    finally:
        connection.close()
    return answer


def measure(
    folder: Path,
    entry: ModelEntry,
    manifest: Manifest,
    *,
    setting: Setting,
    load: Load,
    rounds: int,
    target: float | None = TARGET,
) -> dict[str, Any]:
    """Print and give chips a second of both, and their ratio.

    Raises AssertionError where the two give different vectors, ContenderError where one does not run, or not on the
    device asked for.
    """
    with tempfile.TemporaryDirectory(prefix="clayline-bench-") as name:
        place = Path(name)
        chips = write_chips(place / "chips", entry, load.chips)
        header = BatchHeader(
            run="0" * 32, batch="b00000", folder=manifest.folder, token=entry.token, digest=entry.digest
        )
        inputs = load_chips(chips)
        body = Request(
            header=header, index=np.arange(load.chips), inputs={key: inputs[key] for key in entry.inputs}
        ).to_bytes()
        order: dict[str, Any] = {"device": setting.device, "threads": setting.threads, "chips": str(chips)}
        order["stages"] = [str(folder / graph) for graph in entry.graphs]
        bare = Contender(
            "benchmarks.clay_onnx", order, folder=place, python=setting.python, seconds=min(3600.0, setting.left)
        )
        try:
            (place / "models").mkdir()
            (place / "models" / manifest.folder).symlink_to(folder.resolve(), target_is_directory=True)
            with running_server(place / "models", place / "server.log", setting) as container:
                check_device(container, entry.token, setting.device)
                same = {"chips": load.chips, "micro_batch": setting.micro_batch}
                bare.ask("embed", **same, to=str(place / "bare.npy"))
                vectors = Response.from_bytes(send(container, body, 1, seconds=setting.left)).embeddings
                agree(vectors, np.load(place / "bare.npy"), exactly=setting.device == "cpu")
                with ThreadPoolExecutor(load.in_flight) as pool:

                    def over_http() -> Mapping[str, float]:
                        started = time.perf_counter()
                        list(
                            pool.map(
                                lambda _: send(container, body, load.each, seconds=setting.left), range(load.in_flight)
                            )
                        )
                        return {"seconds": time.perf_counter() - started}

                    work = {"http": over_http, "bare": lambda: bare.ask("run", **same, repeat=load.requests)}
                    found = alternate(work, rounds=rounds, dropped=lose, deadline=setting.deadline)
        finally:
            bare.stop()
    if without := sorted(work.keys() - found.keys()):
        raise ContenderError(f"no round was completed by: {', '.join(without)}")
    speeds = {
        f"{name}_chips_per_second": round(
            load.requests * load.chips / statistics.median(one["seconds"] for one in results), 3
        )
        for name, results in found.items()
    }
    more = {
        "token": entry.token,
        "loss_metric": entry.loss_metric,
        "chips_per_request": load.chips,
        "in_flight": load.in_flight,
        "precision": entry.options.precision,
        "request_mb": round(len(body) / 1e6, 2),
        "rounds": min(map(len, found.values())),
    }
    more |= {"micro_batch": setting.micro_batch, "concurrency": setting.concurrency, "device": setting.device}
    return judge("clay_server_http_vs_bare", found["http"], found["bare"], target=target, more=more | speeds)


def lose(side: str, error: ContenderError) -> None:
    """Say that a side has no further rounds."""
    report({"name": "clay_server", "not_done": f"further rounds of {side}", "why": str(error)})


def agree(one: Any, other: Any, *, exactly: bool) -> None:  # noqa: ANN401 - arrays
    """Raise AssertionError unless both are the same vectors; on a GPU but for the order in which sums are made."""
    assert np.array_equal(one, other) if exactly else np.allclose(one, other, atol=1e-2), (
        "the server and the bare sessions disagree"
    )


def main() -> None:
    """Measure, print, and fail where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="a model folder; without one it is written")
    parser.add_argument("--token", help="an entry of the folder; the first")
    parser.add_argument("--size", default="tiny", choices=["tiny", "small", "base", "large"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "fp16", "int8"])
    parser.add_argument("--sensor", default="sentinel-2-l2a")
    parser.add_argument("--loss", action="store_true")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--micro-batch", type=int, help="what the folder's manifest advises")
    parser.add_argument("--concurrency", type=int, help="1 on the CPU, 2 on CUDA")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--chips", type=int, default=64, help="in a request")
    parser.add_argument("--in-flight", type=int, default=4)
    parser.add_argument("--each", type=int, default=1, help="requests of each sender in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clayline-bench-") as place:
        if (folder := options.folder) is None:
            workshop = Workshop.open(Path(place) / "graphs", size=options.size, sensor=options.sensor, seed=0)
            folder = workshop.model_folder(Path(place) / "out", options.precision, loss=options.loss)
            workshop.forget_weights()
        manifest = read_manifest((folder / "manifest.json").read_bytes(), source=str(folder))
        entry = manifest.entry(options.token) if options.token else manifest.entries[0]
        advised = {"cpu": 1, "cuda": 16, **(manifest.micro_batch or {})}[options.device]
        setting = Setting(
            device=options.device,
            # The server runs some entries chip by chip, whatever it is told: so do the bare sessions.
            micro_batch=1 if entry.one_chip_a_run(on=options.device) else options.micro_batch or advised,
            threads=options.threads,
            concurrency=options.concurrency or (1 if options.device == "cpu" else 2),
        )
        load = Load(chips=options.chips, in_flight=options.in_flight, each=options.each)
        result = measure(folder, entry, manifest, setting=setting, load=load, rounds=options.rounds)
    if not result["met"] or result["rounds"] < options.rounds:
        sys.exit("a target was missed")


if __name__ == "__main__":
    main()
