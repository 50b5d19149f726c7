"""The server in this process, over real HTTP, with a scripted chain.

What happens when is the test's to say, and its log is at hand.
"""

import http.client
import json
import logging
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, override

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from tests.server.model_folders import build_model_folder
from tests.server.requests import chips
from tests.server.scripted_chains import SECONDS

from server.app import EndpointApp
from server.folders import LoadedEntry, ModelFolders, load_folders
from server.listener import Listener
from server.log_lines import JsonLines

if TYPE_CHECKING:
    from server.chain import Chain

RUN, TOKEN, FOLDER = "0a" * 16, "tiny-v1.0-test", "tiny-v1.0"


class ScriptedChain(Protocol):
    """What stands in for a folder's chain."""

    device: str

    def run(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]: ...

    def release(self) -> None:
        """Let go every run that waits."""


class LogLines(logging.Handler):
    """Keeps what is logged, as the server's program writes it, and lets tests wait for a line."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self._lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self._lines.append(json.loads(self.format(record)))
            self._changed.notify_all()

    def __call__(self) -> list[dict[str, Any]]:
        """Give the lines so far."""
        with self._changed:
            return list(self._lines)

    def wait_for(self, message: str, *, batch: str | None = None, times: int = 1) -> None:
        """Wait until ``message`` was logged, of ``batch`` if given, this often.

        Raises AssertionError where it is not.
        """

        def found() -> bool:
            lines = [line for line in self._lines if line["message"] == message]
            return len([line for line in lines if batch is None or line.get("batch") == batch]) >= times

        with self._changed:
            assert self._changed.wait_for(found, SECONDS), (message, self._lines)


@contextmanager
def log_of(name: str, *, level: int = logging.INFO) -> Iterator[LogLines]:
    """Collect what the logger ``name`` and those below it say."""
    lines, logger = LogLines(), logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(lines)
    try:
        yield lines
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before)


@dataclass(frozen=True, kw_only=True)
class Serving:
    listener: Listener
    digest: str
    log: LogLines
    ended: Future[bool]
    """What ``Listener.run`` gives."""

    def body(self, batch: str = "b00007", *, pixel: int = 0, count: int = 4, size: int = 64, **changed: str) -> bytes:
        """Give a request of ``count`` chips whose first pixel is ``pixel``, with some of its header ``changed``."""
        pixels = chips(count, size=size)
        pixels[:, 0, 0, 0] = pixel
        header = {"clayline": "request/2", "run": RUN, "batch": batch, "folder": FOLDER}
        header |= {"token": TOKEN, "digest": self.digest} | changed
        return safetensors.numpy.save({"index": np.arange(count), "pixels": pixels}, metadata=header)

    def send(self, body: bytes | Iterable[bytes], **headers: str) -> tuple[int, str]:
        """Send a request; give status and reason."""
        return self._ask("POST", "/invocations", body, headers)

    def ask(self, batch: str = "b00007", **about: Any) -> tuple[int, str]:
        """Send the request that ``body`` gives for these; give status and reason."""
        return self.send(self.body(batch, **about))

    def ping(self) -> int:
        """Give the status of GET /ping."""
        return self._ask("GET", "/ping", None, {})[0]

    def line(self, message: str, batch: str) -> dict[str, Any]:
        """Give the one line that says this of a batch."""
        (line,) = [line for line in self.log() if (line["message"], line.get("batch")) == (message, batch)]
        return line

    def _ask(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None, headers: dict[str, str]
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.listener.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            answer = reply.read()
        finally:
            connection.close()
        return reply.status, "" if reply.status == 200 else json.loads(answer)["reason"]


@contextmanager
def serving(
    models: Path,
    chain: ScriptedChain,
    *,
    concurrency: int = 1,
    micro_batch: int = 4,
    threads: int = 8,
    connections: int = 16,
    level: int = logging.DEBUG,
) -> Iterator[Serving]:
    """Serve one folder, made under ``models``, whose runs are ``chain``'s.

    At the end nothing that was accepted may be left undone.
    """
    build_model_folder(models)
    (loaded,) = load_folders(models, threads=1).all()
    scripted = LoadedEntry(folder=FOLDER, entry=loaded.entry, chain=cast("Chain", chain), advised=None, untrained=False)
    app = EndpointApp(micro_batch=micro_batch, concurrency=concurrency, give_up=lambda: None)
    app.ready(ModelFolders(entries={FOLDER: {TOKEN: scripted}}))
    limits = {"threads": threads, "body_limit": 10**7, "body_memory": 10**7, "connections": connections}
    listener = Listener(app, host="127.0.0.1", port=0, **limits)
    with log_of("clayline.server", level=level) as log, ThreadPoolExecutor(1) as pool:
        ended = pool.submit(listener.run, grace=SECONDS)
        try:
            yield Serving(listener=listener, digest=loaded.entry.digest, log=log, ended=ended)
        finally:
            chain.release()
            listener.stop()  # a second time where the test did
        assert ended.result(2 * SECONDS)
