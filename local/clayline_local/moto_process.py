"""moto_server as a child process: S3, SQS, SNS, EventBridge and DynamoDB of one machine."""

import os
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from clayline_local.children import CREDENTIALS, child_environment, end_process, start_child
from clayline_local.clients import local_client
from clayline_local.errors import LocalCloudError
from clayline_local.stopping import stoppable
from clayline_local.template import REGION

START_SECONDS: Final = 60.0
END_SECONDS: Final = 10.0
_PROGRAM: Final = "clayline_local.moto_program"


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

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

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
        return local_client(service, url=self.url, region=REGION)

    def __enter__(self) -> Self:
        """Start and wait until it listens. Raises LocalCloudError if it does not within START_SECONDS."""
        self._log = self._log_path.open("ab") if self._log_path else None
        reader, writer = os.pipe()
        try:
            with os.fdopen(reader, encoding="ascii") as told:
                try:
                    self._process = start_child(
                        _PROGRAM,
                        [str(writer)],
                        environment=child_environment({**CREDENTIALS, "AWS_DEFAULT_REGION": REGION}),
                        log=self._log or subprocess.DEVNULL,
                        pass_fds=(writer,),
                    )
                finally:
                    os.close(writer)  # the child's is then the only one: if it ends, reading does
                waiting = select.poll()
                waiting.register(reader, select.POLLIN)
                with stoppable():
                    port = told.read() if waiting.poll(START_SECONDS * 1000) else ""
        except BaseException:
            self._end()
            raise
        if not port:
            self._end()
            where = f"; its output is in {self._log_path}" if self._log_path else ""
            raise LocalCloudError(f"moto_server did not come up{where}")
        self._port = int(port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._end()

    def _end(self) -> None:
        if self._process:
            end_process(self._process, seconds=END_SECONDS)
        if self._log:
            self._log.close()
