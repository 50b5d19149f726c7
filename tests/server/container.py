"""The container's program as a process of its own, for tests and benchmarks.

Started on a free port, asked over real HTTP.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = (sys.executable, "-m", "server")
ONNX_RUNTIME: Final = re.compile(r"(\x1b\[[0-9;]*m)?\d{4}-\d\d-\d\d .*\[[WE]:onnxruntime:")
"""A line of ONNX Runtime's own, coloured or not: on machines with some graphics cards it warns when it is imported,
before any setting."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def reason(self) -> str:
        """The reason of an error reply."""
        content: dict[str, str] = json.loads(self.body)
        assert content.keys() == {"reason", "message"}
        return content["reason"]


@dataclass(frozen=True, kw_only=True)
class Container:
    process: subprocess.Popen[bytes]
    log: Path
    port: int
    libraries_print: bool = False
    """Whether the log may hold further lines that are not JSON: CUDA's libraries print past the server's logging."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(
                status=response.status,
                headers={name.lower(): value for name, value in response.getheaders()},
                body=response.read(),
            )
        finally:
            connection.close()

    def invoke(self, body: bytes) -> Reply:
        return self.request("POST", "/invocations", body, headers={"Content-Type": "application/x-safetensors"})

    def lines(self) -> list[dict[str, Any]]:
        """What it logged so far."""
        return log_lines(self.log, libraries_print=self.libraries_print)

    def wait_until_ready(self, *, seconds: float = 60) -> None:
        """Ask /ping until it answers 200 and the log says so.

        Raises AssertionError with it if the process ends first, or takes longer.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.request("GET", "/ping").status == http.HTTPStatus.OK:
                    self.wait_for("ready")  # /ping answers a moment before
                    return
            except ConnectionError:
                time.sleep(0.5)  # it is ending: let its last lines reach the log
            time.sleep(0.05)
        raise AssertionError(f"the server does not become ready:\n{self.log.read_text()}")

    def wait_for(self, message: str, *, batch: str | None = None, times: int = 1) -> None:
        """Wait until it logged ``message``, of ``batch`` if given, this often.

        Raises AssertionError with the log after a minute.
        """
        deadline = time.monotonic() + 60
        goes_on = True
        while goes_on:
            goes_on = (
                time.monotonic() < deadline and self.process.poll() is None
            )  # before the look: what it logged last counts
            found = [line for line in self.lines() if line["message"] == message and batch in {None, line.get("batch")}]
            if len(found) >= times:
                return
            time.sleep(0.01)
        raise AssertionError(f"no {message!r}:\n{self.log.read_text()}")

    def terminate(self) -> int:
        """Send SIGTERM and give the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def log_lines(log: Path, *, libraries_print: bool = False) -> list[dict[str, Any]]:
    """Give what was logged so far.

    Raises ValueError for a line that is neither JSON nor ONNX Runtime's, unless ``libraries_print``.
    """
    whole = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [
        json.loads(line) for line in whole if line.startswith("{") or not (libraries_print or ONNX_RUNTIME.match(line))
    ]


def start_process(models: Path, log: Path, *flags: str, program: tuple[str, ...] = PROGRAM) -> subprocess.Popen[bytes]:
    """Start it on a free port; ``log`` takes stdout and stderr.

    The caller's PYTHONPATH follows the program's: packages may lie there.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLAYLINE_")}
    paths = [
        str(ROOT / "model"),
        str(ROOT / "layers/clayline"),
        *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    with log.open("wb") as out:
        command = [*program, "--host", "127.0.0.1", "--port", "0", "--models", str(models), *flags]
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)


def listening_port(
    process: subprocess.Popen[bytes], log: Path, *, seconds: float = 60, libraries_print: bool = False
) -> int:
    """Wait until it listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        for line in log_lines(log, libraries_print=libraries_print):
            if line["message"] == "listening":
                return int(line["port"])
        time.sleep(0.05)
    raise AssertionError(f"the server does not listen:\n{log.read_text()}")


@contextmanager
def listening_container(
    models: Path, log: Path, *flags: str, program: tuple[str, ...] = PROGRAM
) -> Iterator[Container]:
    """Start the program, wait until it listens, end it."""
    process = start_process(models, log, *flags, program=program)
    try:
        yield Container(process=process, log=log, port=listening_port(process, log))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running_container(models: Path, log: Path, *flags: str) -> Iterator[Container]:
    """Start the program, wait until /ping answers 200, end it."""
    with listening_container(models, log, *flags) as container:
        container.wait_until_ready()
        yield container
