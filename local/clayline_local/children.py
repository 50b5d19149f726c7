"""Child processes of the local cloud: how they get a port, an environment, and an end."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Mapping
from typing import Final

CREDENTIALS: Final[Mapping[str, str]] = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local"}


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listens on now."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def end_process(process: subprocess.Popen[bytes], *, seconds: float) -> int:
    """Ask a child to end, make it end after ``seconds``, and give its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def child_environment(*parts: Mapping[str, str]) -> dict[str, str]:
    """Give this process's environment with ``parts`` over it, the later the stronger.

    Variables of AWS are left out: a profile or endpoint of the user's must never reach a child that works on the local cloud.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for part in parts:
        environment |= part
    return environment
