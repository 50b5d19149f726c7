"""Memory: a request's size costs the server none, and a micro-batch that does not fit is halved until it does."""

import re
import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, override

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from tests.server.container import Container, running_container
from tests.server.model_folders import build_chained_folder, build_model_folder, chained_oracle, tiny_oracle
from tests.server.requests import chips, request_body
from tests.server.scripted_chains import Gated
from tests.server.serving import log_of, serving

from clayline.errors import ModelError
from clayline.model.wire import Request
from server.folders import LoadedEntry, load_folders
from server.inference import embed, warm_up
from server.memory import ChipLimit, out_of_memory
from server.turns import Turns

if TYPE_CHECKING:
    from server.chain import Chain

MEGABYTE = 10**6


def status_bytes(container: Container, name: str) -> int:
    """A line of /proc/PID/status that is in kB."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{container.process.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def many_chips(count: int, *, size: int) -> NDArray[np.float32]:
    """Chips [count, 3, size, size] that differ from each other, made without much computing."""
    pixels = np.empty((count, 3, size, size), np.float32)
    pixels[:] = chips(1, dtype="float32", size=size)
    pixels += np.arange(count, dtype=np.float32)[:, None, None, None]
    return pixels


def assert_exact(reply_body: bytes, pixels: NDArray[Any], *, atol: float = 5e-6) -> None:
    """Every chip's vector and loss is its own, in order."""
    tensors = safetensors.numpy.load(reply_body)
    assert tensors["index"].tolist() == [5 + 3 * number for number in range(len(pixels))]
    for start in range(0, len(pixels), 16):
        embeddings, losses = tiny_oracle(pixels[start : start + 16], 8)
        np.testing.assert_allclose(tensors["embeddings"][start : start + 16], embeddings, rtol=0, atol=atol)
        np.testing.assert_allclose(tensors["loss"][start : start + 16], losses, rtol=0, atol=atol)


def test_a_large_request_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """VmHWM is the most that ever lay in memory at once, which after a request of 315 MB may differ by a tenth of
    that.
    """
    folder = build_model_folder(tmp_path / "models", dtype="float32", chip_size=256)
    large = many_chips(400, size=256)
    flags = ("--micro-batch", "4", "--body-memory", "1000000")
    with running_container(tmp_path / "models", tmp_path / "log", *flags) as container:
        for _ in range(
            3
        ):  # ONNX Runtime plans its memory with the first run of a shape, and takes it anew with the second
            assert container.invoke(request_body(folder, large[:4])).status == 200
        before = status_bytes(container, "VmHWM")
        body = request_body(folder, large)
        assert len(body) > 314 * MEGABYTE
        reply = container.invoke(body)
        grown = status_bytes(container, "VmHWM") - before
    assert reply.status == 200, reply.body
    assert_exact(reply.body, large, atol=2e-5)
    assert grown < 32 * MEGABYTE


def test_several_large_requests_at_once_are_bounded_too(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models", dtype="float32", chip_size=256)
    pixels = many_chips(80, size=256)
    body = request_body(folder, pixels)
    flags = ("--micro-batch", "4", "--body-memory", "1000000", "--connections", "5")
    with running_container(tmp_path / "models", tmp_path / "log", *flags) as container, ThreadPoolExecutor(8) as pool:
        for _ in range(
            3
        ):  # ONNX Runtime plans its memory with the first run of a shape, and takes it anew with the second
            assert container.invoke(request_body(folder, pixels[:4])).status == 200
        before = status_bytes(container, "VmHWM")
        replies = list(pool.map(container.invoke, [body] * 8))
        grown = status_bytes(container, "VmHWM") - before
    assert len(body) > 62 * MEGABYTE
    assert [reply.status for reply in replies] == [200] * 8
    assert len({reply.body[-80 * 36 :] for reply in replies}) == 1
    assert_exact(replies[0].body, pixels, atol=2e-5)
    assert (
        grown < 64 * MEGABYTE
    )  # each of 8 threads keeps a micro-batch's 3 MB, each of 5 connections its 1 MB; the bodies are 503 MB


@pytest.mark.parametrize("body_memory", ["1", "100000", "100000000"])
def test_where_a_body_lies_changes_nothing(tmp_path: Path, body_memory: str) -> None:
    folder = build_model_folder(tmp_path / "models")
    with running_container(
        tmp_path / "models", tmp_path / "log", "--micro-batch", "3", "--body-memory", body_memory
    ) as container:
        pixels = chips(11)
        assert_exact(container.invoke(request_body(folder, pixels)).body, pixels)
        malformed = container.invoke(request_body(folder, pixels)[:-1])
        assert (malformed.status, malformed.reason) == (400, "malformed")
        misshapen = container.invoke(request_body(folder, chips(11, size=32)))
        assert (misshapen.status, misshapen.reason) == (400, "wrong-shape")


def test_a_connection_beyond_the_limit_waits_for_its_turn(tmp_path: Path) -> None:
    chain = Gated(1)
    with (
        serving(tmp_path, chain, connections=2) as server,
        log_of("waitress") as log,
        ThreadPoolExecutor(6) as pool,
    ):
        answers = [pool.submit(server.ask, f"b0000{number}") for number in range(6)]
        server.log.wait_for("batch parsed", times=2)
        log.wait_for("total open connections reached the connection limit, no longer accepting new connections")
        chain.gates[0].wait_until_entered()
        chain.gates[0].hold()  # time for a server that goes on to take connections
        assert [answer.result() for answer in answers] == [(200, "")] * 6
        held = most = 0
        for line in server.log():
            held += {"batch parsed": 1, "batch computed": -1}.get(line["message"], 0)
            most = max(most, held)
    assert most == 2


@dataclass
class Faltering:
    """A chain that memory fails above ``most`` chips, in the words of ``message``.

    Its vectors are each chip's first values.
    """

    most: int
    message: str = (
        "Error in execution: bfc_arena.cc:360 AllocateRawInternal Failed to allocate memory for requested buffer of"
        " size 9"
    )
    tried: list[int] = field(default_factory=list)
    device: str = "cpu"

    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        self.tried.append(len(feed["pixels"]))
        if len(feed["pixels"]) > self.most:
            raise RuntimeError(self.message)
        return [feed["pixels"][:, 0, 0, :8].astype(np.float32), feed["pixels"][:, 1, 1, 1].astype(np.float32)]


def faltering_entry(tmp_path: Path, chain: Faltering) -> LoadedEntry:
    build_model_folder(tmp_path)
    (loaded,) = load_folders(tmp_path, threads=1).all()
    return LoadedEntry(
        folder=loaded.folder, entry=loaded.entry, chain=cast("Chain", chain), advised=None, untrained=False
    )


def request_of(tmp_path: Path, pixels: NDArray[Any]) -> Request:
    return Request.from_bytes(request_body(tmp_path / "tiny-v1.0", pixels))


@pytest.mark.parametrize(
    ("most", "count", "tried"),
    [(3, 21, [16, 8, 4, *[2] * 10, 1]), (5, 5, [4, 1]), (1, 3, [2, 1, 1, 1]), (5, 13, [8, 4, 4, 4, 1])],
)
def test_a_micro_batch_too_large_is_halved_and_its_chips_computed_again(
    tmp_path: Path, most: int, count: int, tried: list[int]
) -> None:
    chain = Faltering(most)
    loaded = faltering_entry(tmp_path, chain)
    pixels = chips(count)
    response = embed(loaded, request_of(tmp_path, pixels), micro_batch=16)
    assert chain.tried == tried
    np.testing.assert_array_equal(response.embeddings, pixels[:, 0, 0, :8])
    np.testing.assert_array_equal(response.loss, pixels[:, 1, 1, 1])
    assert not response.status.any()


@pytest.mark.parametrize(
    ("micro_batch", "count", "tried"),
    [(16, 20, [16, 4]), (16, 15, [8, 4, 2, 1]), (16, 32, [16, 16]), (24, 61, [24, 24, 8, 4, 1]), (1, 3, [1, 1, 1])],
)
def test_what_whole_micro_batches_leave_is_computed_in_powers_of_two(
    tmp_path: Path, micro_batch: int, count: int, tried: list[int]
) -> None:
    chain = Faltering(64)
    pixels = chips(count)
    response = embed(faltering_entry(tmp_path, chain), request_of(tmp_path, pixels), micro_batch=micro_batch)
    assert chain.tried == tried
    np.testing.assert_array_equal(response.embeddings, pixels[:, 0, 0, :8])
    np.testing.assert_array_equal(response.loss, pixels[:, 1, 1, 1])


def test_the_size_that_worked_is_kept_for_the_entry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chain = Faltering(4)
    loaded = faltering_entry(tmp_path, chain)
    for _ in range(2):
        embed(loaded, request_of(tmp_path, chips(9)), micro_batch=16)
    assert chain.tried == [8, 4, 4, 1, 4, 4, 1]
    warnings = [(record.message, vars(record)["token"], vars(record)["micro_batch"]) for record in caplog.records]
    lowered = "micro-batch lowered until the process ends"
    assert warnings == [("out of memory, the same chips again", "tiny-v1.0-test", 4), (lowered, "tiny-v1.0-test", 4)]


def test_one_chip_that_does_not_fit_is_an_error_and_lowers_nothing(tmp_path: Path) -> None:
    chain = Faltering(0)
    loaded = faltering_entry(tmp_path, chain)
    with pytest.raises(MemoryError, match=r"tiny-v1\.0-test: memory does not suffice for one chip.*Failed to allocate"):
        embed(loaded, request_of(tmp_path, chips(9)), micro_batch=4)
    assert chain.tried == [4, 2, 1]
    assert loaded.limit.cap(100) == 100


def test_another_failure_is_not_tried_again(tmp_path: Path) -> None:
    chain = Faltering(0, message="Error in execution: indices element out of data bounds, idx=9")
    with pytest.raises(RuntimeError, match="out of data bounds"):
        embed(faltering_entry(tmp_path, chain), request_of(tmp_path, chips(9)), micro_batch=4)
    assert chain.tried == [4]


@pytest.mark.parametrize(
    ("most", "micro_batch", "tried"),
    [
        (20, 64, [64, 32, 16, 16, 16, 16, 8, 4, 2, 1]),
        (64, 24, [24, 16, 8, 4, 2, 1]),
        (2, 3, [3, 1, 1, 1]),
        (64, 1, [1]),
    ],
)
def test_on_cuda_the_warm_up_takes_what_requests_will_and_finds_the_size_that_fits(
    tmp_path: Path, most: int, micro_batch: int, tried: list[int]
) -> None:
    chain = Faltering(most, device="cuda")
    loaded = faltering_entry(tmp_path, chain)
    warm_up(loaded, micro_batch=micro_batch, turns=Turns(1, own_threads=True))
    assert chain.tried == tried
    assert loaded.limit.cap(64) == (64 if most == 64 else 16 if most == 20 else 1)
    on_cpu = Faltering(most)
    warm_up(faltering_entry(tmp_path / "cpu", on_cpu), micro_batch=micro_batch, turns=Turns(1, own_threads=True))
    assert on_cpu.tried == [1]


class Short(Faltering):
    """Loses a chip."""

    @override
    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        return [part[1:] for part in super().run(feed)]


def test_a_graph_that_loses_a_chip_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gave \[\(3, 8\), \(3,\)\] for 4 chips"):
        embed(faltering_entry(tmp_path, Short(9)), request_of(tmp_path, chips(9)), micro_batch=4)


@pytest.mark.parametrize(
    "text",
    [
        (
            "bfc_arena.cc:360 onnxruntime::BFCArena::AllocateRawInternal(size_t) Failed to allocate memory for"
            " requested buffer of size 5"
        ),
        "onnxruntime::BFCArena::AllocateRawInternal Available memory of 0 is smaller than requested bytes of 2048",
        "Non-zero status code returned while running Conv node. Name:'' Status Message: std::bad_alloc",
        (
            "CUDA failure 2: out of memory ; GPU=0 ; hostname=x ; file=cuda_allocator.cc ; line=76 ;"
            " expr=cudaMalloc((void**)&p, size);"
        ),
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);",
        "CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0",
    ],
)
def test_what_onnx_runtime_says_when_memory_fails_is_known(text: str) -> None:
    assert out_of_memory(RuntimeError(text))
    assert not out_of_memory(RuntimeError("CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0"))
    assert out_of_memory(MemoryError())


def test_a_limit_only_falls() -> None:
    limit = ChipLimit()
    assert limit.cap(16) == 16
    assert limit.keep(4)
    assert not limit.keep(8)
    assert not limit.keep(4)
    assert (limit.cap(16), limit.cap(3)) == (4, 3)


def give_room(container: Container, room: int | None) -> None:
    """Limit the server's address space to ``room`` bytes more than it has; None: as before."""
    _, hard = resource.prlimit(container.process.pid, resource.RLIMIT_AS)
    soft = hard if room is None else status_bytes(container, "VmSize") + room
    resource.prlimit(container.process.pid, resource.RLIMIT_AS, (soft, hard))


def halvings(container: Container, token: str) -> list[int]:
    """How many chips failed, each time."""
    lines = [
        line for line in container.lines() if line["message"].startswith("out of memory") and line["token"] == token
    ]
    assert {(line["run"], line["batch"], line["chips"]) for line in lines} == {("0a" * 16, "b00042", 24)}
    return [line["tried"] for line in lines]


def test_a_real_failed_allocation_is_recovered_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime with 130 MB of address space left.

    24 chips of 512 px, 75 MB as float32 and several times that at once, need more.
    """
    folder = build_model_folder(tmp_path / "models", chip_size=512)
    chained = build_chained_folder(tmp_path / "models", chip_size=512)
    wide = build_model_folder(tmp_path / "models", name="wide", chip_size=2048)
    pixels, wide_body = chips(24, size=512), request_body(wide, chips(1, size=2048))
    # Each further thread that allocates may take 64 MB of the address space for itself, if and when it comes to it.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    flags = ("--micro-batch", "24", "--body-memory", "1000000", "--threads", "1", "--cpu-threads", "1")
    with running_container(tmp_path / "models", tmp_path / "log", *flags) as container:
        assert container.invoke(request_body(folder, pixels[:1])).status == 200
        for _ in range(2):
            give_room(
                container, 130 * MEGABYTE
            )  # anew: what the first request's runs keep of it may leave too little to map the body
            reply = container.invoke(request_body(folder, pixels))
            assert reply.status == 200, reply.body
            assert_exact(reply.body, pixels, atol=2e-5)
        failed = halvings(container, "tiny-v1.0-test")
        assert failed == [24 // 2**number for number in range(len(failed))], "the second request met the limit again"
        batches = [line["micro_batch"] for line in container.lines() if line["message"] == "batch computed"]
        assert batches == [24, failed[-1] // 2, failed[-1] // 2]

        give_room(container, 130 * MEGABYTE)
        reply = container.invoke(request_body(chained, pixels))
        assert reply.status == 200, reply.body
        assert halvings(container, "chained-v1.0-sentinel-2-l2a")[0] == 24
        embeddings, losses = chained_oracle(pixels, 8)
        tensors = safetensors.numpy.load(reply.body)
        np.testing.assert_allclose(tensors["embeddings"], embeddings, rtol=0, atol=5e-5)
        np.testing.assert_allclose(tensors["loss"], losses, rtol=0, atol=5e-5)

        give_room(container, 10 * MEGABYTE)  # one chip of 2048 px is 25 MB
        refused = container.invoke(wide_body)
        assert (refused.status, refused.reason) == (500, "out-of-memory")
        give_room(container, None)
        assert container.invoke(wide_body).status == 200
