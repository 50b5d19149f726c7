"""SageMaker's asynchronous contract in front of a real container: the part of AWS that moto only pretends to have.

boto3 reaches it through AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME. A call is checked and queued; workers fetch the input from
S3, POST it to the container's /invocations, write what it answers to the output or failure path, and publish the
notification (notifier.py).
"""

import json
import logging
import re
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, override

from botocore.exceptions import BotoCoreError, ClientError

from clayline_local.container import Container, FailureError, NoContainerError
from clayline_local.invocation import MAX_INPUT, Accepted, AsyncEndpointConfig, Invocation, InvocationRejectedError
from clayline_local.notifier import Faults, Notifier

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient

logger = logging.getLogger(__name__)
_ROUTE: Final = re.compile(r"/endpoints/([^/]+)/async-invocations")


class AsyncEndpoint:
    """The emulator. ``start`` before use, ``stop`` after it; both threads and processes can call ``url``."""

    def __init__(
        self,
        config: AsyncEndpointConfig,
        container: Container | str,
        *,
        s3: "S3Client",
        sns: "SNSClient",
        port: int = 0,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.time,
        name_output: Callable[[str], str] = lambda _: str(uuid.uuid4()),
    ) -> None:
        """Bind 127.0.0.1 at ``port`` (0: any free one), in front of a container or of what listens at a URL.

        ``clock`` gives seconds since the epoch and decides what has expired.

        ``name_output`` names a request's output and failure objects after its InferenceId, where the call names none;
        at random, as the service does, unless something else is given.
        """
        self.config = config
        self.container = Container(container, supervised=False) if isinstance(container, str) else container
        self._stopping = False
        self._s3 = s3
        self._clock = clock
        self._name_output = name_output
        self._notifier = Notifier(sns, faults=faults or Faults(), clock=clock)
        self._workers = ThreadPoolExecutor(config.max_concurrent, thread_name_prefix="async-endpoint")
        self._http = _HttpServer(("127.0.0.1", port), self)
        self._open = 0
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        """Value for AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def open_requests(self) -> int:
        """Accepted requests that are queued or being computed."""
        return self._open

    @property
    def notification_failures(self) -> int:
        """Notifications that SNS did not take, SageMaker's metric NotificationFailures: nobody is told of them."""
        return self._notifier.failures

    def start(self) -> None:
        """Begin to accept calls."""
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="async-endpoint-http", daemon=True
        ).start()

    def stop(self) -> None:
        """Accept nothing more, finish what is being computed, forget what is queued and what is delayed."""
        self._http.shutdown()
        self._http.server_close()
        self._stopping = True
        self.container.back(self.container.url)  # nobody waits any more
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._notifier.cancel()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until every accepted request has had its notifications.

        Give whether that took less than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            computed = self._changed.wait_for(lambda: not self._open, timeout)
        return computed and self._notifier.wait_idle(deadline - time.monotonic())

    def accept(self, endpoint_name: str, invocation: Invocation) -> Accepted:
        """Queue a request. Raises InvocationRejectedError if there is no such endpoint."""
        if endpoint_name != self.config.endpoint_name:
            msg = f"Endpoint {endpoint_name} of account 123456789012 not found."
            raise InvocationRejectedError(msg)
        texts = invocation.texts
        inference_id = texts.get("InferenceId") or str(uuid.uuid4())
        name = self._name_output(inference_id)
        parts = [
            self.config.output_path.rstrip("/"),
            texts.get("S3OutputPathExtension", "").strip("/"),
            texts.get("Filename", f"{name}.out"),
        ]
        accepted = Accepted(
            invocation=invocation,
            inference_id=inference_id,
            received=self._clock(),
            output="/".join(part for part in parts if part),
            failure=f"{self.config.failure_path.rstrip('/')}/{name}-error.out" if self.config.failure_path else None,
        )
        self._count(1)
        self._workers.submit(self._process, accepted).add_done_callback(self._finished)
        return accepted

    def _finished(self, future: "Future[None]") -> None:
        self._count(-1)
        if not future.cancelled() and (error := future.exception()):
            logger.error("a request was lost in the emulator", exc_info=error)

    def _count(self, change: int) -> None:
        with self._changed:
            self._open += change
            self._changed.notify_all()

    def _process(self, accepted: Accepted) -> None:
        while not self._stopping:
            self.container.wait()
            if self._clock() > accepted.expires:
                reason = f"The request waited longer than {accepted.invocation.ttl_seconds} seconds."
                self._notify(accepted, "Expired", failure_reason=reason)
                return
            try:
                content_type, body = self._compute(accepted)
                self._put(accepted.output, body, content_type)
            except NoContainerError:
                continue
            except FailureError as error:
                self._notify(
                    accepted,
                    "Failed",
                    failure_reason=str(error),
                    response_parameters=self._put_failure(accepted, error),
                )
                return
            answered = {"contentType": content_type, "outputLocation": accepted.output}
            self._notify(accepted, "Completed", response_parameters=answered)
            return

    def _notify(
        self,
        accepted: Accepted,
        status: str,
        *,
        failure_reason: str | None = None,
        response_parameters: Mapping[str, str] | None = None,
    ) -> None:
        topic = self.config.success_topic if status == "Completed" else self.config.error_topic
        if topic is None:
            return
        request_parameters = {"endpointName": self.config.endpoint_name}
        for name, key in (("ContentType", "contentType"), ("InputLocation", "inputLocation")):
            if name in accepted.invocation.texts:
                request_parameters[key] = accepted.invocation.texts[name]
        outcome: dict[str, Any] = {"invocationStatus": status, "requestParameters": request_parameters}
        if response_parameters:
            outcome["responseParameters"] = response_parameters
        if failure_reason:
            outcome["failureReason"] = failure_reason
        self._notifier.notify(topic, inference_id=accepted.inference_id, received=accepted.received, outcome=outcome)

    def _compute(self, accepted: Accepted) -> tuple[str, bytes]:
        invocation = accepted.invocation
        body = self._fetch(invocation.texts["InputLocation"]) if invocation.body is None else invocation.body
        headers = {"Content-Type": invocation.texts.get("ContentType", "application/octet-stream")}
        for name, header in (("Accept", "Accept"), ("CustomAttributes", "X-Amzn-SageMaker-Custom-Attributes")):
            if name in invocation.texts:
                headers[header] = invocation.texts[name]
        return self.container.answer(body, headers, seconds=invocation.timeout_seconds)

    def _fetch(self, location: str) -> bytes:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            found = self._s3.get_object(Bucket=bucket, Key=key)
            if found["ContentLength"] > MAX_INPUT:
                raise FailureError(f"{location} has {found['ContentLength']} bytes; an input may have {MAX_INPUT}.")
            return found["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise FailureError(f"Unable to read {location}: {error}") from error

    def _put(self, location: str, body: bytes, content_type: str) -> None:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        except (ClientError, BotoCoreError) as error:
            raise FailureError(f"Unable to write {location}: {error}") from error

    def _put_failure(self, accepted: Accepted, error: FailureError) -> dict[str, str]:
        """Write the error's body where there is a path for it, and give the notification's responseParameters."""
        if accepted.failure is None:
            return {}
        try:
            self._put(accepted.failure, error.body, error.content_type)
        except FailureError:
            logger.exception("the failure object of %s is lost", accepted.inference_id)
            return {}
        return {"contentType": error.content_type, "failureLocation": accepted.failure}


class _HttpServer(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], endpoint: AsyncEndpoint) -> None:
        super().__init__(address, _Handler)
        self.endpoint = endpoint


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer as the service does: 202, or its JSON error with the code in x-amzn-ErrorType."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = _ROUTE.fullmatch(urllib.parse.urlsplit(self.path).path)
        if not route:
            self._reply(
                HTTPStatus.NOT_FOUND,
                {"Message": f"{self.path} is no operation of this emulator"},
                {"x-amzn-ErrorType": "UnknownOperation"},
            )
            return
        try:
            invocation = Invocation.from_http(dict(self.headers.items()), body)
            accepted = self.server.endpoint.accept(urllib.parse.unquote(route[1]), invocation)
        except InvocationRejectedError as error:
            self._reply(HTTPStatus.BAD_REQUEST, {"Message": str(error)}, {"x-amzn-ErrorType": "ValidationError"})
            return
        locations = {"X-Amzn-SageMaker-OutputLocation": accepted.output}
        if accepted.failure:
            locations["X-Amzn-SageMaker-FailureLocation"] = accepted.failure
        self._reply(HTTPStatus.ACCEPTED, {"InferenceId": accepted.inference_id}, locations)

    def _reply(self, status: HTTPStatus, content: dict[str, str], headers: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "x-amzn-RequestId": str(uuid.uuid4()),
            **headers,
        }.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        logger.debug(format, *args)
