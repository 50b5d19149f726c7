"""`sam local invoke` on the local cloud.

A template with literal settings, and a way for containers to servers that listen on 127.0.0.1.
"""

import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, override
from urllib.parse import urlsplit

from clayline_local.children import CREDENTIALS, child_environment
from clayline_local.errors import LocalCloudError
from clayline_local.invoke import SAM_ENVIRONMENT
from clayline_local.template import REGION, Stack

_RESERVED: Final = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"}
)
"""What Lambda sets itself, and no template may."""
_DOCKER_ANSWERS_IN: Final = 30.0


def bridge_gateway() -> str | None:
    """Give this machine's address on Docker's default network; None if no Docker daemon answers."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    command = [docker, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DOCKER_ANSWERS_IN)
    except subprocess.TimeoutExpired:
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def sam_template(stack: Stack, environment: Mapping[str, str], *, replaced: Mapping[str, str]) -> dict[str, Any]:
    """Give a template of the stack's functions and layers with everything resolved.

    Sam itself resolves a Ref to the logical id.

    ``environment`` says where AWS is; each key of ``replaced`` is replaced in every value. Paths are relative to the
    stack's root.
    """
    functions = stack.functions()
    folders = sorted({layer for spec in functions.values() for layer in spec.layers})
    names = {folder: f"Layer{number}" for number, folder in enumerate(folders)}
    resources: dict[str, Any] = {
        name: {
            "Type": "AWS::Serverless::LayerVersion",
            "Properties": {"ContentUri": os.path.relpath(folder, stack.root)},
        }
        for folder, name in names.items()
    }
    for name, spec in functions.items():
        variables = {key: value for key, value in environment.items() if key not in _RESERVED} | spec.environment
        for old, new in replaced.items():
            variables = {key: value.replace(old, new) for key, value in variables.items()}
        resources[name] = {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": spec.handler,
                "CodeUri": os.path.relpath(spec.code, stack.root),
                "Timeout": spec.timeout,
                "MemorySize": spec.memory,
                "Layers": [{"Ref": names[layer]} for layer in spec.layers],
                "Environment": {"Variables": variables},
            },
        }
    return {"AWSTemplateFormatVersion": "2010-09-09", "Transform": "AWS::Serverless-2016-10-31", "Resources": resources}


def run_sam(template: Path, function: str, event: Path, *, skip_pull_image: bool) -> tuple[str, str]:
    """Run `sam local invoke`; gives what it wrote to standard output and error.

    ``skip_pull_image``: the base image is here and cannot be, or need not be, fetched. Raises LocalCloudError.
    """
    command = [
        str(SAM_ENVIRONMENT / "bin" / "sam"),
        "local",
        "invoke",
        function,
        "--template",
        str(template),
        "--event",
        str(event),
        *(["--skip-pull-image"] if skip_pull_image else []),
    ]
    environment = child_environment(CREDENTIALS, {"AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"})
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if not answer.stdout.strip():
        raise LocalCloudError(
            f"{' '.join(command)} gave no reply (status {answer.returncode}): {answer.stderr[-2000:]}"
        )
    return answer.stdout, answer.stderr


@contextmanager
def relay(address: str, url: str) -> Iterator[str]:
    """Listen on ``address`` and pass connections on to ``url``, which listens on 127.0.0.1 only; gives the URL there.

    Raises LocalCloudError if ``address`` is not this machine's, as where Docker runs in a virtual machine of its own.
    """
    target = urlsplit(url)
    try:
        listener = _Relay((address, 0), (target.hostname or "127.0.0.1", target.port or 80))
    except OSError as error:
        raise LocalCloudError(
            f"containers would look for the local cloud on {address}, where this machine cannot listen: {error}"
        ) from error
    with listener as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"http://{address}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Relay(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], target: tuple[str, int]) -> None:
        super().__init__(address, _Connection)
        self.target = target


class _Connection(socketserver.BaseRequestHandler):
    server: _Relay
    request: socket.socket

    @override
    def handle(self) -> None:
        with closing(socket.create_connection(self.server.target)) as target:
            back = threading.Thread(target=_pass_on, args=(target, self.request), daemon=True)
            back.start()
            _pass_on(self.request, target)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until the source has no more, and say so to the target."""
    with suppress(ConnectionError):  # either side may hang up, as it might without a relay
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):  # it is closed already
        target.shutdown(socket.SHUT_WR)
