"""A principal's only way to the local cloud.

Passes every request on and writes it down, whoever makes it, boto3 or GDAL.

It stands on the wire, not in a client, so that nothing a function calls can escape it: the function's environment knows
no other address.
"""

import http.client
import threading
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self, override

_HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server", "expect"}
_RECEIVE: Final = "AmazonSQS.ReceiveMessage"
_LEDGER: Final = "DynamoDB_20120810."
_REFUSED: Final = b'{"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "refused once"}'
_REFUSED_BY_S3: Final = b"<Error><Code>Refused</Code><Message>refused once</Message></Error>"
_SECONDS: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request and how it was answered."""

    method: str
    target: str
    """Path and query, as they were sent."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    status: int


class Recorder:
    """A proxy for one principal, while the context lasts."""

    def __init__(self, *, cloud: str, endpoint: str | None = None, without_ledger: bool = False) -> None:
        """Take where requests go: the cloud, and, for /endpoints/, what answers for SageMaker's runtime."""
        self._without_ledger = without_ledger
        self.requests: list[Request] = []
        self._cloud = cloud
        self._endpoint = endpoint
        self._held = False
        self._refuses = False
        self._receiving = 0
        self._changed = threading.Condition()
        self._http = _Proxy(("127.0.0.1", 0), self)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._http.server_port}"

    @property
    def url(self) -> str:
        """What clients take for AWS."""
        return f"http://{self.address}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Answer no more."""
        self._http.shutdown()
        self._http.server_close()

    def hold(self) -> None:
        """Let no more messages through: as if the function were throttled. Returns once none is on its way."""
        with self._changed:
            self._held = True
            assert self._changed.wait_for(lambda: not self._receiving, _SECONDS)

    def release(self) -> None:
        """Let messages through again."""
        with self._changed:
            self._held = False

    def refuse_once(self) -> None:
        """Refuse the next call to the ledger, or, of a function that knows no ledger, of an object."""
        with self._changed:
            self._refuses = True

    def pass_on(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Have a request answered, and write it down; gives status, headers, body."""
        is_receive = headers.get("x-amz-target") == _RECEIVE
        if is_receive and not self._begin_receive():
            threading.Event().wait(0.1)
            return 200, [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", "2")], b"{}"
        if headers.get("x-amz-target", "").startswith(_LEDGER) and self._is_refused():
            return 400, [("Content-Type", "application/x-amz-json-1.0")], _REFUSED
        # Of a HEAD that is refused so botocore thinks that the bucket is in another region, and asks again.
        is_of_object = "/s3/" in headers.get("authorization", "") and method != "HEAD"
        if self._without_ledger and is_of_object and self._is_refused():
            return 400, [("Content-Type", "application/xml")], _REFUSED_BY_S3
        try:
            status, answered, content = self._ask(method, target, headers, body)
        finally:
            if is_receive:
                with self._changed:
                    self._receiving -= 1
                    self._changed.notify_all()
        is_object = "/s3/" in headers.get("authorization", "") and method == "PUT"
        self.requests.append(
            Request(
                method=method, target=target, headers=headers, body=b"" if is_object else body, status=status
            )  # pixels say nothing
        )
        return status, answered, content

    def _is_refused(self) -> bool:
        with self._changed:
            refuses, self._refuses = self._refuses, False
            return refuses

    def _begin_receive(self) -> bool:
        with self._changed:
            self._receiving += not self._held
            return not self._held

    def _ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = self._endpoint if self._endpoint and target.startswith("/endpoints/") else self._cloud
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(upstream).netloc, timeout=_SECONDS)
        try:
            # Content-Length is set anew; Host stays, so that the URLs of queues that the cloud answers with lead back
            # here.
            connection.request(
                method, target, body, {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
            )
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Proxy(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True

    def __init__(self, address: tuple[str, int], recorder: Recorder) -> None:
        super().__init__(address, _Handler)
        self.recorder = recorder


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "transfer-encoding" in headers:  # never met: boto3 and GDAL say how long a body is
            self.send_error(411)
            return
        body = self.rfile.read(int(headers.get("content-length", "0")))
        status, answered, content = self.server.recorder.pass_on(self.command, self.path, headers, body)
        self.send_response_only(status)
        for name, value in answered:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = {name.lower(): value for name, value in answered}.get("content-length", "0")
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - http.server's names

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what matters is written down."""
