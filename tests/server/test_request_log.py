"""Every log line about a request says which batch it is about, whatever became of it. Over HTTP, with a chain that fails when told to."""

import http.client
import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from tests.server.model_folders import build_model_folder
from tests.server.requests import chips

from server.app import EndpointApp
from server.folders import LoadedEntry, ModelFolders, load_folders
from server.health import FAILURES
from server.listener import Listener
from server.log_lines import JsonLines
from server.request_log import FieldLog

if TYPE_CHECKING:
    from server.chain import Chain

RUN, TOKEN, FOLDER = "0a" * 16, "tiny-v1.0-test", "tiny-v1.0"
SECONDS = 20
"""After which a test is stuck and fails."""


class Fate(IntEnum):
    """What a chip's first pixel tells the chain to do with the run."""

    FAIL = 1
    FIT_IN_TWOS = 2
    NEVER_FIT = 3
    WAIT = 4
    FAIL_BESIDE = 5


@dataclass
class Told:
    """A chain that does as it is told."""

    device: str = "cpu"
    waits: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        count, fate = len(feed["pixels"]), feed["pixels"][0, 0, 0, 0]
        if fate == Fate.FAIL:
            raise RuntimeError("indices element out of data bounds")
        beside = fate == Fate.FAIL_BESIDE and not self.may_end.is_set()
        if beside or fate == Fate.NEVER_FIT or (fate == Fate.FIT_IN_TWOS and count > 2):
            self.may_end.set()
            raise RuntimeError("Failed to allocate memory for requested buffer of size 9")
        if fate == Fate.WAIT:
            self.waits.set()
            assert self.may_end.wait(SECONDS)
        return [np.zeros((count, 8), np.float32), np.zeros(count, np.float32)]


@dataclass(frozen=True, kw_only=True)
class Serving:
    port: int
    digest: str
    chain: Told
    log: io.StringIO

    def ask(self, batch: str = "b00007", *, fate: int = 0, count: int = 4, size: int = 64, **changed: str) -> tuple[int, str]:
        """Send one batch; give status and reason."""
        pixels = chips(count, size=size)
        pixels[:, 0, 0, 0] = fate
        header = {"clayline": "request/1", "run": RUN, "batch": batch, "attempt": "3", "folder": FOLDER}
        header |= {"token": TOKEN, "digest": self.digest} | changed
        body = safetensors.numpy.save({"index": np.arange(count), "pixels": pixels}, metadata=header)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("POST", "/invocations", body)
            reply = connection.getresponse()
            answer = reply.read()
        finally:
            connection.close()
        return reply.status, "" if reply.status == 200 else json.loads(answer)["reason"]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    build_model_folder(tmp_path)
    (loaded,) = load_folders(tmp_path, threads=1).all()
    chain = Told()
    told = LoadedEntry(folder=FOLDER, entry=loaded.entry, chain=cast("Chain", chain), advised=None, untrained=False)
    app = EndpointApp(micro_batch=4, concurrency=2, give_up=lambda: None)
    app.ready(ModelFolders(entries={FOLDER: {TOKEN: told}}))
    limits = {"threads": 3, "body_limit": 10**7, "body_memory": 10**7, "connections": 4}
    listener = Listener(app, host="127.0.0.1", port=0, **limits)
    running = threading.Thread(target=lambda: listener.run(grace=SECONDS))
    with log_of_the_server() as log:
        running.start()
        yield Serving(port=listener.port, digest=loaded.entry.digest, chain=chain, log=log)
        listener.stop()
        running.join(SECONDS)
    assert not running.is_alive()


@contextmanager
def log_of_the_server() -> Iterator[io.StringIO]:
    """What the server's program writes to stdout."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("clayline.server")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield stream
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def assert_each_names(lines: list[dict[str, Any]], batch: str = "b00007", *, token: str = TOKEN, within: float) -> None:
    for line in lines:
        assert (line["run"], line["batch"], line["attempt"], line["token"], line["chips"]) == (RUN, batch, 3, token, 4), line
        assert 0 < line["seconds"] <= within


GOOD: dict[str, Any] = {}
CASES = {
    "good": (GOOD, (200, ""), ["batch computed"]),
    "no such folder": ({"folder": "other-v1.0"}, (400, "unknown-model"), ["unknown-model"]),
    "no such token": ({"token": "tiny-v1.0-other"}, (400, "unknown-model"), ["unknown-model"]),
    "another digest": ({"digest": "sha256:" + "0" * 64}, (400, "model-changed"), ["model-changed"]),
    "another shape": ({"size": 32}, (400, "wrong-shape"), ["wrong-shape"]),
    "a failed run": ({"fate": Fate.FAIL}, (500, "inference-failed"), ["inference failed", "inference-failed"]),
    "halved": (
        {"fate": Fate.FIT_IN_TWOS},
        (200, ""),
        ["out of memory, the same chips again", "micro-batch lowered until the process ends", "batch computed"],
    ),
    "no memory": ({"fate": Fate.NEVER_FIT}, (500, "out-of-memory"), [*["out of memory, the same chips again"] * 2, "out-of-memory"]),
}


@pytest.mark.parametrize("case", CASES)
def test_every_line_about_a_request_carries_its_batch_and_its_seconds(serving: Serving, case: str) -> None:
    changed, expected, said = CASES[case]
    began = time.perf_counter()
    assert serving.ask(**changed) == expected
    within = time.perf_counter() - began
    lines = serving.lines()
    assert [line.get("reason", line["message"]) for line in lines] == said
    assert_each_names(lines, token=changed.get("token", TOKEN), within=within)
    assert ["exception" in line for line in lines] == [words == "inference failed" for words in said]
    assert [line["tried"] for line in lines if "tried" in line] == [4, 2][: said.count("out of memory, the same chips again")]


def test_the_line_of_a_batch_that_is_computed_again_alone_carries_it_too(serving: Serving) -> None:
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(serving.ask, "b00001", fate=Fate.WAIT)
        assert serving.chain.waits.wait(SECONDS)
        second = pool.submit(serving.ask, "b00002", fate=Fate.FAIL_BESIDE)
        assert (first.result(), second.result()) == ((200, ""), (200, ""))
    lines = [line for line in serving.lines() if line["batch"] == "b00002"]
    alone = "memory does not suffice beside another batch: the same chips again, alone"
    assert [line["message"] for line in lines] == [alone, "batch computed"]
    assert_each_names(lines, "b00002", within=time.perf_counter() - began)


def test_the_last_straw_is_named(serving: Serving) -> None:
    began = time.perf_counter()
    for number in range(FAILURES):
        assert serving.ask(f"b0000{number}", fate=Fate.FAIL)[0] == 500
    lines = [line for line in serving.lines() if line["level"] == "CRITICAL"]
    assert len(lines) == 1
    assert_each_names(lines, f"b0000{FAILURES - 1}", within=time.perf_counter() - began)


def test_a_request_whose_header_says_nothing_has_its_seconds_alone(serving: Serving) -> None:
    assert serving.ask(clayline="request/2") == (400, "malformed")
    (line,) = serving.lines()
    assert (line["reason"], line["seconds"] > 0, "batch" in line) == ("malformed", True, False)


@pytest.mark.parametrize("extra", [None, {"chips": 3, "token": "call's"}])
def test_fields_stand_beside_a_lines_own_as_in_the_newer_logger_adapter(extra: dict[str, object] | None) -> None:
    logger = logging.getLogger("clayline.test")
    adapters = logging.LoggerAdapter(logger, {"token": "own", "folder": "f"}, merge_extra=True), FieldLog(logger, token="own", folder="f")
    expected, found = (adapter.process("said", {} if extra is None else {"extra": extra}) for adapter in adapters)
    assert found == expected
