"""waitress, with errors in our JSON form and an end that finishes what was accepted."""

import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, override

import waitress.wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import InternalServerError, RequestEntityTooLarge

from server.app import RECEIVED, EndpointApp, Reception, refusal

MEBIBYTE: Final = 1 << 20
_OWN_CHANNELS: Final = 2
"""waitress counts its listening socket and the pipe that wakes it among its connections."""


class Parser(HTTPRequestParser):  # type: ignore[misc] # waitress is untyped
    """Receives a body over the limit without keeping it: closing at once would reset the connection before the client reads the 400."""

    expect_continue: bool
    unread = 0
    """Bytes of an oversized body that the client will still send."""

    def __init__(self, adjustments: object) -> None:
        super().__init__(adjustments)
        self.began = self.ended = time.perf_counter()

    @override
    def received(self, data: bytes) -> int:
        """Take what belongs to this request and give its length, as waitress asks."""
        taken = self._received(data)
        self.ended = time.perf_counter()
        return taken

    def _received(self, data: bytes) -> int:
        if self.unread:
            taken = min(self.unread, len(data))
            self.unread -= taken
            self.completed = not self.unread
            return taken
        consumed: int = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge) and not self.chunked:
            if self.expect_continue:
                self.expect_continue = False  # it waits for our word before it sends: the 400 is that word
            else:
                self.unread = self.content_length
                self.completed = False
        return consumed


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
    """An error that waitress itself finds: the request is too large or no HTTP, or the application raised."""

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
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc] # waitress is untyped
    """A connection with the classes above."""

    parser_class = Parser
    task_class = Task
    error_task_class = JsonError


class Listener:
    """The socket and the loop that serves it. Bound when made; ``run`` returns after ``stop``."""

    def __init__(
        self, app: EndpointApp, *, host: str, port: int, threads: int, body_limit: int, body_memory: int, connections: int
    ) -> None:
        """Bind. ``threads`` must exceed the requests sent at once, else ``/ping`` waits behind them.

        A body of over ``body_limit`` bytes is refused, one of over ``body_memory`` received into a temporary file. A client beyond
        ``connections`` waits until another is done: so ``body_memory * connections`` bounds what is held of bodies.
        """
        self._channels: dict[int, Any] = {}
        self._server = create_server(
            app,
            map=self._channels,
            host=host,
            port=port,
            threads=threads,
            ident="clayline",
            max_request_body_size=body_limit + 1,  # waitress refuses from this size on
            recv_bytes=MEBIBYTE
            // 8,  # the default of 8 KiB takes three times the CPU time for a request of 2.6 MB, 1 MiB half as much again
            inbuf_overflow=body_memory,
            connection_limit=connections + _OWN_CHANNELS,
            outbuf_overflow=64 * MEBIBYTE,
            outbuf_high_watermark=256 * MEBIBYTE,
        )
        self._server.channel_class = Channel
        self._stopping = False

    @property
    def port(self) -> int:
        """The port that was bound, also when 0 was asked for."""
        return int(self._server.effective_port)

    def stop(self) -> None:
        """End ``run``; safe in a signal handler and from another thread."""
        self._stopping = True
        self._server.pull_trigger()

    def run(self, *, grace: float) -> bool:
        """Serve until ``stop``, then accept nothing more and finish what was accepted; give whether ``grace`` seconds were enough."""
        while not self._stopping:
            self._turn()
        self._server.accepting = False
        waitress.wasyncore.dispatcher.close(self._server)  # the listening socket alone: threads and connections go on
        deadline = time.monotonic() + grace
        while (busy := [channel for channel in self._connections() if not self._close_if_idle(channel)]) and time.monotonic() < deadline:
            self._turn()
        self._server.task_dispatcher.shutdown(timeout=1)
        waitress.wasyncore.close_all(self._channels)
        return not busy

    def _turn(self) -> None:
        waitress.wasyncore.loop(timeout=0.5, map=self._channels, count=1)

    def _connections(self) -> Iterator[Channel]:
        return iter([each for each in self._channels.values() if isinstance(each, Channel)])

    @staticmethod
    def _close_if_idle(channel: Channel) -> bool:
        """Close a connection that waits for its next request; give whether it did."""
        if channel.requests or channel.request is not None or channel.total_outbufs_len:
            return False
        channel.will_close = True
        return True
