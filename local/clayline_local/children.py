"""Child processes of the local cloud: how they get a port, an environment, and an end."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from typing import Final

CREDENTIALS: Final[Mapping[str, str]] = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local"}


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Give a port of 127.0.0.1 that is a child's to listen on, and nobody else's, until the context is left.

    For a child that can only be told a port; one that takes any and says which needs none of this. The port stays bound here without
    listening. Linux then hands it to nobody who asks for any port, and lets a child listen on it that sets SO_REUSEADDR, as Go does.
    """
    with contextlib.closing(socket.socket()) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


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
