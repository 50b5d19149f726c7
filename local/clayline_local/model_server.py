"""The container's own program as a child process, on a model folder of this machine."""

import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from clayline_local.children import child_environment, end_process, start_child
from clayline_local.errors import LocalCloudError
from clayline_local.model_folder import ModelFolder
from clayline_local.stopping import check
from clayline_local.template import TEMPLATE

_NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_NOTICE_EVERY = 5.0
"""Seconds."""


class ModelServer:
    """Runs from entering to leaving the context."""

    def __init__(self, model: ModelFolder, *, scratch: Path, log: Path) -> None:
        """Take the folder to serve, a directory to show it in as the endpoint would find it, and a file for what the
        program prints.
        """
        self._model = model
        self._models = scratch / "models"
        path = os.pathsep.join(str(TEMPLATE.parent / part) for part in ("model", "layers/clayline"))
        # ONNX Runtime leaves a file where temporary ones go.
        self._environment = child_environment({"PYTHONPATH": path, "TMPDIR": str(scratch)})
        self._log = log
        self._begun = time.monotonic()
        self._port: int | None = None
        # Its log must say at which port it listens, whatever level the user's environment asks for.
        flags = {"--host": "127.0.0.1", "--port": "0", "--models": str(self._models), "--log-level": "INFO"}
        self._arguments = [part for flag in flags.items() for part in flag]

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``.

        Raises LocalCloudError before it listens, which it does when ``wait`` has come back.
        """
        if self._port is None:
            raise LocalCloudError("the model server does not listen yet")
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Start it; it loads the model meanwhile, see ``wait``."""
        self._models.mkdir()
        (self._models / self._model.manifest.folder).symlink_to(self._model.path.resolve())
        with self._log.open("wb") as log:
            self.process = start_child("server", self._arguments, environment=self._environment, log=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, once it has finished what it computes."""
        end_process(self.process, seconds=30)

    def wait(self, *, seconds: float, notice: Callable[[str], None]) -> None:
        """Wait until the model is loaded, telling every few seconds that it is not yet.

        Raises LocalCloudError, with the reason that the program gave, when it ends, and when it takes longer than
        ``seconds`` in all.
        """
        told = time.monotonic()
        while not self._is_ready():
            check()
            now = time.monotonic()
            if self.process.poll() is not None:
                msg = f"the model server ended before {self._model.path} was loaded: {self._reason()}"
                raise LocalCloudError(msg)
            if now - self._begun > seconds:
                msg = f"model {self._model} was not loaded within {seconds:.0f} s; see {self._log}"
                raise LocalCloudError(msg)
            if now - told >= _NOTICE_EVERY:
                told = now
                notice(f"loading model {self._model}, {now - self._begun:.0f} s ...")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        if self._port is None:
            self._port = self._listening_port()
        if self._port is None:
            return False
        try:
            with _NO_PROXY.open(f"{self.url}/ping", timeout=5) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False  # it is loading: 503

    def _listening_port(self) -> int | None:
        """Give the port that it has chosen, once it listens."""
        return next((int(line["port"]) for line in self._log_lines() if line.get("message") == "listening"), None)

    def _reason(self) -> str:
        """Give the message of the log that stopped it."""
        reasons = [str(line.get("message")) for line in self._log_lines() if line.get("level") == "CRITICAL"]
        return reasons[-1] if reasons else f"see {self._log}"

    def _log_lines(self) -> Iterator[dict[str, Any]]:
        """Give what the program itself has logged, and not a traceback, what a library printed, or a line of which the
        end is missing.
        """
        for line in self._log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                content = json.loads(line)
                if isinstance(content, dict):
                    yield content
