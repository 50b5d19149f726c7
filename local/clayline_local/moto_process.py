"""moto_server as a child process: S3, SQS, SNS, EventBridge and DynamoDB of one machine."""

import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import boto3

from clayline_local.children import CREDENTIALS, child_environment, end_process
from clayline_local.errors import LocalCloudError
from clayline_local.template import REGION

START_SECONDS: Final = 60.0
END_SECONDS: Final = 10.0
_PROGRAM: Final = """
import os, sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
with os.fdopen(int(sys.argv[1]), "w") as told:
    told.write(str(server.get_host_and_port()[1]))
threading.Event().wait()
"""
"""moto's own server with a port that the system chooses as it binds, told through the file descriptor of the argument. moto_server takes a
number instead, and between finding a free one and binding it another program may do so, and answer in its place."""


class MotoServer:
    """Starts moto's server on a free port of 127.0.0.1 and ends it; a context manager."""

    def __init__(self, *, log: Path | None = None) -> None:
        """Take where its output goes; nowhere by default, since it writes a line a request."""
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._port}"

    def environment(self) -> dict[str, str]:
        """Give what a child process needs to take this server for AWS: boto3's names, and GDAL's."""
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_S3_ENDPOINT": f"127.0.0.1:{self._port}",
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients are generated
        """Give a boto3 client on this server."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # any of the services that moto has
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=CREDENTIALS["AWS_SESSION_TOKEN"],
        )

    def __enter__(self) -> Self:
        """Start and wait until it listens. Raises LocalCloudError if it does not within START_SECONDS."""
        self._log = self._log_path.open("ab") if self._log_path else None
        output = self._log or subprocess.DEVNULL
        reader, writer = os.pipe()
        with os.fdopen(reader, encoding="ascii") as told:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, str(writer)],
                    env=child_environment({**CREDENTIALS, "AWS_DEFAULT_REGION": REGION}),
                    stdout=output,
                    stderr=output,
                    pass_fds=(writer,),
                )
            finally:
                os.close(writer)  # the child's is then the only one: if it ends, reading does
            waiting = select.poll()
            waiting.register(reader, select.POLLIN)
            port = told.read() if waiting.poll(START_SECONDS * 1000) else ""
        if not port:
            self._end()
            where = f"; its output is in {self._log_path}" if self._log_path else ""
            raise LocalCloudError(f"moto_server did not come up{where}")
        self._port = int(port)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it."""
        self._end()

    def _end(self) -> None:
        if self._process:
            end_process(self._process, seconds=END_SECONDS)
        if self._log:
            self._log.close()
