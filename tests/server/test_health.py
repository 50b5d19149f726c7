"""A process whose runs fail for good gives itself up; one that only sometimes fails lives on."""

import io
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.server.container import running_container
from tests.server.model_folders import build_model_folder
from tests.server.requests import chips, request_body

from server.app import RECEIVED, EndpointApp, Reception
from server.folders import LoadedEntry, ModelFolders, load_folders
from server.health import FAILURES, device_lost

if TYPE_CHECKING:
    from server.chain import Chain

FAIL_AT = 9
LOST = "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=x ; file=cuda_call.cc ; line=121"


@dataclass
class Doomed:
    """A chain whose runs fail in these words, one after the other; None: they do not."""

    words: list[str | None]
    device: str = "cpu"
    runs: int = field(default=0)

    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        words = self.words[self.runs]
        self.runs += 1
        if words is not None:
            raise RuntimeError(words)
        return [np.zeros((len(feed["pixels"]), 8), np.float32), np.zeros(len(feed["pixels"]), np.float32)]


@dataclass
class Asked:
    """An application over such a chain, asked without HTTP."""

    folder: Path
    app: EndpointApp
    given_up: list[None]

    def __call__(self, method: str, path: str) -> tuple[int, str]:
        """Give status and reason."""
        statuses: list[str] = []
        body = request_body(self.folder, chips(2))
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
        environ[RECEIVED] = Reception(began=time.perf_counter(), ended=time.perf_counter(), size=len(body))
        (answer,) = self.app(environ, cast("Any", lambda status, _headers: statuses.append(status)))
        status = int(statuses[0].split()[0])
        return status, "" if status == 200 else json.loads(answer)["reason"]


def asked(tmp_path: Path, *words: str | None) -> Asked:
    folder = build_model_folder(tmp_path)
    (loaded,) = load_folders(tmp_path, threads=1).all()
    chain = cast("Chain", Doomed(list(words)))
    doomed = LoadedEntry(folder=folder.name, entry=loaded.entry, chain=chain, advised=None, untrained=False)
    given_up: list[None] = []
    app = EndpointApp(micro_batch=None, concurrency=None, give_up=lambda: given_up.append(None))
    app.ready(ModelFolders(entries={folder.name: {loaded.entry.token: doomed}}))
    return Asked(folder=folder, app=app, given_up=given_up)


def test_after_a_lost_gpu_ping_says_so_and_the_process_is_given_up_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask = asked(tmp_path, None, LOST, LOST, None)
    assert ask("POST", "/invocations") == (200, "")
    assert ask("GET", "/ping") == (200, "")
    for _ in range(2):
        assert ask("POST", "/invocations") == (500, "inference-failed")
        assert ask("GET", "/ping") == (503, "failing")
    assert ask("POST", "/invocations") == (200, "")
    assert ask("GET", "/ping") == (503, "failing")
    assert ask.given_up == [None]
    (why,) = [record.getMessage() for record in caplog.records if record.levelname == "CRITICAL"]
    assert "its device is lost" in why
    assert LOST in why


def test_failures_with_a_success_between_are_harmless_and_so_are_four(tmp_path: Path) -> None:
    few = ["indices element out of data bounds"] * (FAILURES - 1)
    ask = asked(tmp_path, *few, None, *few, "the fifth")
    assert [ask("POST", "/invocations")[0] for _ in [*few, None]] == [500] * 4 + [200]
    assert ask("GET", "/ping") == (200, "")
    for _ in few:
        ask("POST", "/invocations")
    assert (ask("GET", "/ping"), ask.given_up) == ((200, ""), [])
    ask("POST", "/invocations")
    assert (ask("GET", "/ping"), ask.given_up) == ((503, "failing"), [None])


NO_MEMORY = "Failed to allocate memory for requested buffer"
NO_MEMORY_SAYS_CUDNN = "CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0"
"""Also an internal error, of which others mean that the device is lost."""


@pytest.mark.parametrize(("words", "last"), [(NO_MEMORY, "inference-failed"), (NO_MEMORY_SAYS_CUDNN, "out-of-memory")])
def test_memory_that_does_not_suffice_for_one_chip_counts_as_a_failure(tmp_path: Path, words: str, last: str) -> None:
    refused = [words, words]  # two chips, then one
    halved = [words, None, None]
    ask = asked(
        tmp_path,
        *refused * (FAILURES - 1),
        *halved,
        *[words] * (FAILURES - 1),
        words if last == "out-of-memory" else "another",
    )
    assert [ask("POST", "/invocations") for _ in range(FAILURES - 1)] == [(500, "out-of-memory")] * (FAILURES - 1)
    assert ask("POST", "/invocations") == (200, "")  # which memory did for, one by one
    # That lowered the micro-batch: a run is one chip from now on.
    assert [ask("POST", "/invocations") for _ in range(FAILURES - 1)] == [(500, "out-of-memory")] * (FAILURES - 1)
    assert (ask("GET", "/ping"), ask.given_up) == ((200, ""), [])
    assert ask("POST", "/invocations") == (500, last)
    assert (ask("GET", "/ping"), ask.given_up) == ((503, "failing"), [None])


def test_the_process_ends_with_status_1_after_it_has_answered(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models", fail_when_first_pixel=FAIL_AT)
    good, bad = chips(2), chips(2)
    bad[0, 0, 0, 0] = FAIL_AT
    with running_container(tmp_path / "models", tmp_path / "log") as container:
        for pixels in [*[bad] * (FAILURES - 1), good, *[bad] * FAILURES]:
            assert container.process.poll() is None
            reply = container.invoke(request_body(folder, pixels))
            assert reply.status == (200 if pixels is good else 500)
        assert container.process.wait(timeout=30) == 1
        lines = container.lines()
    (why,) = [line["message"] for line in lines if line["level"] == "CRITICAL"]
    assert "5 requests failed one after the other" in why
    assert (lines[-1]["message"], lines[-1]["finished"]) == ("stopped", True)


@pytest.mark.parametrize(
    "text",
    [
        LOST,
        "CUDA failure 719: unspecified launch failure ; GPU=0 ; expr=cudaStreamSynchronize(stream)",
        "CUDA error cudaErrorAssert:device-side assert triggered",
        "CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0 ; expr=cudnnConvolutionForward(...)",
        "CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0",
        "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1",
    ],
)
def test_words_of_a_lost_gpu(text: str) -> None:
    assert device_lost(RuntimeError(f"Non-zero status code returned while running MatMul node. {text}"))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=x",
        "CUDNN failure 3000: CUDNN_STATUS_NOT_SUPPORTED ; GPU=0",
        "CUDA failure 701: too many resources requested for launch ; GPU=0",
        "indices element out of data bounds, idx=700 must be within the inclusive range [-1,0]",
    ],
)
def test_words_of_a_failure_that_is_one_requests_own(text: str) -> None:
    assert not device_lost(RuntimeError(text))
