"""The functions' workers, one process each: started together, ended together, and each started again alone."""

import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from clayline_local.children import end_process
from clayline_local.function import FunctionSpec
from clayline_local.worker import Retry, start_worker

_END_SECONDS: Final = 20


class Fleet:
    """From entering to leaving the context."""

    def __init__(
        self,
        functions: Mapping[str, FunctionSpec],
        *,
        scratch: Path,
        logs: Path,
        environment: Mapping[str, str],
        retry: Retry,
        children: dict[str, subprocess.Popen[bytes]],
    ) -> None:
        """Take the functions by name, where their specifications and logs go, and where each process is noted.

        ``retry`` is when messages come again.
        """
        self._functions = functions
        self._scratch = scratch
        self._logs = logs
        self._environment = environment
        self._retry = retry
        self._children = children
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start all, or none. Raises LocalCloudError."""
        try:
            for name in self._functions:
                self.start(name)
        except BaseException:
            self._end()
            raise
        return self

    def start(self, name: str) -> None:
        """Start a function's worker, be it again; its log goes on."""
        log = self._open.enter_context((self._logs / f"{name}.log").open("ab"))
        self._children[name] = start_worker(
            self._functions[name],
            spec_folder=self._scratch,
            environment=self._environment,
            retry=self._retry,
            log=log,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all at once, each after what it has in hand."""
        self._end()

    def _end(self) -> None:
        workers = [self._children[name] for name in self._functions if name in self._children]
        for worker in workers:
            worker.terminate()
        for worker in workers:
            end_process(worker, seconds=_END_SECONDS)
        self._open.close()
