"""Child processes of the local cloud: how they start, get a port and an environment, and end."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Final

CREDENTIALS: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_SESSION_TOKEN": "local",
}
_PROGRAM: Final = Path(__file__).with_name("lifeline.py")


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Give a port of 127.0.0.1 that is a child's to listen on, and nobody else's, until the context is left.

    For a child that can only be told a port; one that takes any and says which needs none of this. The port stays bound
    here without listening. Linux then hands it to nobody who asks for any port, and lets a child listen on it that sets
    SO_REUSEADDR, as Go does.
    """
    with contextlib.closing(socket.socket()) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def start_child(
    module: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str],
    log: IO[bytes] | int | None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` as a process that ends with this one, however that ends. End it with ``end_process``.

    ``environment`` is all of it, ``log`` takes what it prints. It is in a process group of its own: what a terminal
    sends at Ctrl-C is for this process alone, which ends its children in order.
    """
    lifeline = _lifeline()[0]
    return subprocess.Popen(
        [sys.executable, "-P", str(_PROGRAM), str(lifeline), module, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(lifeline, *pass_fds),
        process_group=0,
    )


@cache
def _lifeline() -> tuple[int, int]:
    """Give a pipe's two ends. Children read from one; the other is no child's, and closes as this process ends."""
    return os.pipe()


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

    Variables of AWS are left out, its files too: a profile or endpoint of the user's must never reach a child that
    works on the local cloud. Nor does a proxy, for what is on this machine.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if direct != "*":  # which stands for all, and only alone
        direct = ",".join(filter(None, (direct, "127.0.0.1", "localhost")))
    environment |= {"no_proxy": direct, "NO_PROXY": direct}
    for part in parts:
        environment |= part
    return environment
