"""One function, one event, under the real Lambda runtime.

AWS's Runtime Interface Emulator, which comes with the sam command line.

A function as `sam build` left it (``--built``) gets Python, its own folder, its layers and the runtime client, and
nothing of this environment: a layer that lacks something fails here as it would on Lambda. The timeout is enforced, and
so is the memory: what a function may write to (the kernel's RLIMIT_DATA) is held to its MemorySize. Past that its
allocations fail, where Lambda would end it. Its address space cannot be held so: the emulator alone reserves a gigabyte
of it (docs/testing.md).
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from clayline_local.children import CREDENTIALS, child_environment, reserved_port
from clayline_local.errors import LocalCloudError
from clayline_local.function import FunctionSpec
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand
from clayline_local.worker import lambda_environment

BUILT_TEMPLATE: Final = TEMPLATE.parent / ".aws-sam" / "build" / "template.yaml"
SAM_ENVIRONMENT: Final = TEMPLATE.parent / ".venv-sam"
START_SECONDS: Final = 60.0
NOBODY: Final = "http://127.0.0.1:1"
"""Where nothing answers."""
_RUNTIME: Final = ("awslambdaric", "simplejson", "snapshot-restore-py")
_SOURCES: Final = ("functions", "layers")
_TIMED_OUT: Final = "Task timed out after"
_BOUND: Final = (
    "import os, resource, sys; limit, *command = sys.argv[1:];"
    "resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit))); os.execvp(command[0], command)"
)
"""Becomes the command that it is given, with so many bytes to write to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What an invocation gave."""

    payload: Any
    """The handler's answer, or Lambda's error object; a text where the runtime gave one."""
    failed: bool
    """True if the handler raised, the time was up, or the runtime ended."""
    peak: int | None = None
    """MB that the runtime has had in memory at most since it started, libraries included; None if that is not known."""


def emulator(sam: Path = SAM_ENVIRONMENT) -> Path:
    """Find the emulator in the environment of the sam command line.

    Raises LocalCloudError with the command that makes it.
    """
    machine = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    for path in sorted(sam.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")):
        return path
    raise LocalCloudError(
        f"there is no Lambda Runtime Interface Emulator in {sam}: `make .venv-sam` installs the sam command line"
        " with it"
    )


def is_built() -> bool:
    """Say whether `sam build` has run since anything was changed that it builds from."""
    if not BUILT_TEMPLATE.is_file():
        return False
    root = TEMPLATE.parent
    files = (file for folder in _SOURCES for file in (root / folder).rglob("*") if file.suffix != ".pyc")
    changed = max(file.stat().st_mtime for file in (TEMPLATE, *files) if file.is_file())
    return BUILT_TEMPLATE.stat().st_mtime > changed


def invoke(
    spec: FunctionSpec,
    event: object,
    *,
    environment: Mapping[str, str],
    isolated: bool,
    under: Sequence[str] = (),
) -> Reply:
    """Run the function once on ``event``; the rest is ``runtime``'s."""
    with runtime(spec, environment=environment, isolated=isolated, under=under) as call:
        return call(event)


@contextlib.contextmanager
def runtime(
    spec: FunctionSpec,
    *,
    environment: Mapping[str, str],
    isolated: bool,
    log: IO[bytes] | None = None,
    under: Sequence[str] = (),
) -> Iterator[Callable[[object], Reply]]:
    """Keep the function's runtime up, as Lambda keeps an environment warm; gives what runs it on an event.

    ``environment`` says where AWS is. ``isolated`` leaves out everything installed in this environment but the runtime
    client: right for what `sam build` made, whose layers hold all it needs. ``log`` takes what the function and the
    runtime print, else standard error does. ``under`` is a command that becomes the one it is given, such as one that
    leaves the machine's mounts first. Raises LocalCloudError if the emulator does not come up.
    """
    with (
        tempfile.TemporaryDirectory(prefix="clayline-runtime-") as folder,
        reserved_port() as address,
        reserved_port() as runtime,
    ):
        search_path = [str(path.resolve()) for path in spec.search_path]
        python = sys.executable
        if isolated:
            link_runtime(Path(folder))
            search_path.append(folder)
            python = str(
                Path(sys.executable).resolve()
            )  # the interpreter that the environment was made from, without its packages
        command = [
            *(sys.executable, "-I", "-S", "-c", _BOUND, str(spec.memory << 20)),
            *under,
            str(emulator()),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{address}"),
            *("--runtime-api-address", f"127.0.0.1:{runtime}"),
            *(python, "-s", "-m", "awslambdaric", spec.handler),
        ]
        variables = child_environment(
            {"AWS_EC2_METADATA_DISABLED": "true"},
            environment,
            lambda_environment(spec),
            {"PYTHONPATH": os.pathsep.join(search_path), "LAMBDA_TASK_ROOT": str(spec.code.resolve())},
        )
        with _running(command, folder=spec.code, environment=variables, port=address, log=log) as process:
            url = f"http://127.0.0.1:{address}/2015-03-31/functions/function/invocations"
            yield lambda event: replace(_post(url, event, seconds=spec.timeout + 60), peak=_peak(process.pid))


def _peak(process: int) -> int | None:
    """Give the most memory, MB, that any child of a process has had: the runtime's, of the emulator."""
    found: list[str] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended, or the kernel does not tell
        for thread in Path(f"/proc/{process}/task").iterdir():  # whichever of them started it
            for child in (thread / "children").read_text(encoding="ascii").split():
                status = Path(f"/proc/{child}/status").read_text(encoding="utf-8")
                found += re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return max((int(kilobytes) >> 10 for kilobytes in found), default=None)


def link_runtime(folder: Path) -> None:
    """Link the Lambda runtime client, which is part of Lambda and of no layer, into ``folder``."""
    for distribution in _RUNTIME:
        for file in importlib.metadata.files(distribution) or []:
            target = folder / file.parts[0]
            if ".." not in file.parts and not target.exists():
                target.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / file.parts[0])


@contextlib.contextmanager
def _running(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], port: int, log: IO[bytes] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the emulator in a process group of its own, since it starts the runtime, and end the group."""
    output = log or sys.stderr
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                where = f"in {log.name}" if log else "above"
                raise LocalCloudError(
                    f"the Lambda Runtime Interface Emulator did not come up on port {port}; its output is {where}"
                )
            time.sleep(0.05)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _post(url: str, event: object, *, seconds: float) -> Reply:
    request = urllib.request.Request(url, data=json.dumps(event).encode(), method="POST")  # noqa: S310 -- our own http URL
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 -- the same
            text = answer.read().decode()
    except urllib.error.HTTPError as error:  # the runtime ended, or its answer was over 6 MiB
        return Reply(payload=error.read().decode(), failed=True)
    if text.startswith(_TIMED_OUT):
        return Reply(payload=text, failed=True)
    payload = json.loads(text)
    return Reply(payload=payload, failed=isinstance(payload, dict) and "errorType" in payload)


def main(arguments: Sequence[str] | None = None) -> int:
    """Invoke one function; print its reply; 1 if it failed."""
    parser = argparse.ArgumentParser(description="Run one function on one event under the real Lambda runtime.")
    parser.add_argument("--function", required=True, help="logical id in template.yaml, such as PlanFunction")
    parser.add_argument("--event", required=True, type=Path, help="the event, JSON")
    parser.add_argument("--built", action="store_true", help="what `sam build` made, instead of the sources")
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable over the template's; may be repeated",
    )
    options = parser.parse_args(arguments)
    # Without an endpoint named, the user's own account would answer. Then nobody does.
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    named = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    aws = named if endpoint else {**CREDENTIALS, "AWS_ENDPOINT_URL": NOBODY}
    stack = expand(BUILT_TEMPLATE if options.built else TEMPLATE, LOCAL_PARAMETERS, sqs_endpoint=endpoint)
    spec = stack.functions()[options.function]
    spec = spec.model_copy(
        update={"environment": {**spec.environment, **dict(pair.split("=", 1) for pair in options.env)}}
    )
    event = json.loads(options.event.read_text(encoding="utf-8"))
    reply = invoke(spec, event, environment=aws, isolated=options.built)
    print(json.dumps(reply.payload, indent=1))
    return int(reply.failed)


if __name__ == "__main__":
    sys.exit(main())
