"""waitress, with an end that finishes what was accepted."""

import time
from collections.abc import Iterator
from typing import Any, Final

import waitress.wasyncore
from waitress.server import create_server

from server.app import EndpointApp
from server.connections import Channel

MEBIBYTE: Final = 1 << 20
_OWN_CHANNELS: Final = 2
"""waitress counts its listening socket and the pipe that wakes it among its connections."""


class Listener:
    """The socket and the loop that serves it. Bound when made; ``run`` returns after ``stop``."""

    def __init__(
        self,
        app: EndpointApp,
        *,
        host: str,
        port: int,
        threads: int,
        body_limit: int,
        body_memory: int,
        connections: int,
    ) -> None:
        """Bind. ``threads`` must exceed the requests sent at once, else ``/ping`` waits behind them.

        A body of over ``body_limit`` bytes is refused, one of over ``body_memory`` received into a temporary file. A
        client beyond ``connections`` waits until another is done: so ``body_memory * connections`` bounds what is held
        of bodies.
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
            recv_bytes=MEBIBYTE // 8,  # the default of 8 KiB takes many turns of the loop for a request of some MB
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
        """End ``run``; safe in a signal handler and from another thread, and again when it has ended."""
        if not self._stopping:  # a second time there may be nothing left to wake
            self._stopping = True
            self._server.pull_trigger()

    def run(self, *, grace: float) -> bool:
        """Serve until ``stop``, then accept nothing more and finish what was accepted.

        Give whether ``grace`` seconds were enough.
        """
        while not self._stopping:
            self._turn()
        self._server.accepting = False
        waitress.wasyncore.dispatcher.close(self._server)  # the listening socket alone: threads and connections go on
        deadline = time.monotonic() + grace
        while (
            busy := [channel for channel in self._connections() if not self._close_if_idle(channel)]
        ) and time.monotonic() < deadline:
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
