"""waitress's connections: errors in our JSON form, and an answer or a log line for every request that breaks off."""

import logging
import socket
import time
from http import HTTPStatus
from typing import Any, Final, override

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest, InternalServerError, RequestEntityTooLarge

from server.app import RECEIVED, Reception, refusal

logger = logging.getLogger("clayline.server")
LONGEST_CHUNK_HEAD: Final = 1 << 16
"""Bytes of a chunk's size and extensions, and of the trailer: waitress would keep more of them in memory, without
end."""
DISCARDED_BODIES: Final = 64
"""How many times the body limit a refused client may still send before its connection is reset."""


class Parser(HTTPRequestParser):  # type: ignore[misc] # waitress is untyped
    """Receives one request, and can say how far it came."""

    expect_continue: bool
    path = ""
    """waitress logs it, also of a request whose head it could not read."""

    def __init__(self, adjustments: object) -> None:
        super().__init__(adjustments)
        self.began = self.ended = time.perf_counter()

    @override
    def received(self, data: bytes) -> int:
        """Take what belongs to this request and give its length, as waitress asks."""
        taken: int = super().received(data)
        self.ended = time.perf_counter()
        if (
            self.chunked
            and not self.completed
            and len(self.body_rcv.control_line) + len(self.body_rcv.trailer) > LONGEST_CHUNK_HEAD
        ):
            self.fail(BadRequest(f"a chunk's head or the trailer is over {LONGEST_CHUNK_HEAD} bytes long"))
        if self.error is None:
            return taken
        self.expect_continue = False  # a client that waits for our word before it sends: the 400 is that word
        return len(data)  # what follows a broken request is no next one

    @property
    def begun(self) -> bool:
        """Whether there is more of it than empty lines."""
        return self.headers_finished or bool(self.header_plus.strip())

    @property
    def extent(self) -> str:
        """How far an unfinished request came."""
        if not self.headers_finished:
            return f"the request's head breaks off after {len(self.header_plus)} bytes"
        if self.chunked:
            return f"the body breaks off after {len(self.body_rcv)} bytes, before its last chunk"
        return f"the body breaks off after {self.body_bytes_received} of {self.content_length} bytes"

    def fail(self, error: BadRequest) -> None:
        """End it with an error, which will be the answer."""
        self.error = error
        self.completed = True


class Task(WSGITask):  # type: ignore[misc] # waitress is untyped
    """A request for the application, which is told when it was received: only the parser saw that."""

    @override
    def get_environment(self) -> dict[str, Any]:
        """Give waitress's WSGI environment with the reception in it."""
        environ: dict[str, Any] = super().get_environment()
        parser = self.request
        environ[RECEIVED] = Reception(began=parser.began, ended=parser.ended, size=parser.body_bytes_received)
        return environ


class JsonError(ErrorTask):  # type: ignore[misc] # waitress is untyped
    """An error that waitress itself finds: the request is too large, broken or no HTTP, or the application raised."""

    @override
    def execute(self) -> None:
        """Write the reply in the form of docs/wire.md."""
        error = self.request.error
        if isinstance(error, InternalServerError):
            status, content_type, body = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "inference-failed", error.body)
        else:
            reason = "too-large" if isinstance(error, RequestEntityTooLarge) else "malformed"
            status, content_type, body = refusal(HTTPStatus.BAD_REQUEST, reason, f"{error.reason}: {error.body}")
        self.status = f"{status.value} {status.phrase}"
        self.response_headers.append(("Content-Type", content_type))
        self.content_length = len(body)
        self.set_close_on_finish()
        self.channel.discardable = DISCARDED_BODIES * self.channel.adj.max_request_body_size
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc] # waitress is untyped
    """A connection with the classes above.

    After an error it ends its own direction only, and drops what the client still sends until that ends too: to close
    with bytes unread resets the connection, and the client would lose the answer that says why.
    """

    parser_class = Parser
    task_class = Task
    error_task_class = JsonError
    discardable = 0
    """Bytes that the client may still send; set with an error."""
    discarding = False
    """Whether the error is sent."""
    cause = "it was closed without another byte"
    """Why the connection is gone."""
    request: Parser | None
    close_when_flushed: bool

    @override
    def handle_read(self) -> None:
        """Take what came, or that it ends. A client may end its direction and still read: it is answered."""
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self.cause = str(error)
            self.handle_close()
            return
        self.last_activity = time.time()
        if self.discarding:
            self.discardable -= len(data)
            if not data or self.discardable < 0:
                self.handle_close()
        elif data:
            self.received(data)
        else:
            self._answer_unfinished()

    def _answer_unfinished(self) -> None:
        with self.requests_lock:
            if self.close_when_flushed:  # a thread has just answered: handle_write goes on
                return
            request, self.request = self.request, None
            if request is not None and request.begun:
                request.fail(BadRequest(request.extent))
                self.requests.append(request)
                self.server.add_task(self)
                return
        self.handle_close()

    @override
    def handle_write(self) -> None:
        """Send what is to be sent. After an error, what follows is not the end but the dropping of what still comes."""
        refused = self.close_when_flushed and self.discardable > 0
        if refused:
            self.close_when_flushed = False
        super().handle_write()
        if not refused or not self.connected:
            return
        if self.total_outbufs_len:
            self.close_when_flushed = True
            return
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone; why it was refused is logged
            self.handle_close()
        else:
            self.discarding = True

    @override
    def handle_close(self) -> None:
        """Close. A request that nobody is left to be told about is at least in the log."""
        request, self.request = self.request, None
        if request is not None and request.begun:
            logger.warning(
                "%s, and the connection is gone: %s", request.extent, self.cause, extra={"reason": "disconnected"}
            )
            request.close()
        super().handle_close()
