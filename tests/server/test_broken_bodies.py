"""Requests that break off, are too long or badly framed, over real sockets.

Each gets its 400 or, with nobody to tell, a log line.
"""

import json
import logging
import queue
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, override

import pytest
import safetensors.numpy
from tests.server.model_folders import build_model_folder
from tests.server.requests import chips, request_body

from server.app import EndpointApp
from server.connections import DISCARDED_BODIES, LONGEST_CHUNK_HEAD, Parser
from server.folders import load_folders
from server.listener import Listener

LIMIT = 400_000
HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WAIT = 60
"""Seconds after which a test gives up."""


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: queue.Queue[logging.LogRecord] = queue.Queue()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.queue.put(record)


@dataclass(frozen=True, kw_only=True)
class Running:
    listener: Listener
    folder: Path
    records: Records

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.listener.port), timeout=WAIT)

    def logged(self, reason: str) -> str:
        """Wait for the next line of the log, which must have this reason, and give its message."""
        record = self.records.queue.get(timeout=WAIT)
        assert vars(record)["reason"] == reason, record.getMessage()
        return record.getMessage()

    def assert_alive(self) -> None:
        """It computes one good request, and nothing else was computed or complained of since the last line that a test
        took.
        """
        body = request_body(self.folder, chips(1), batch="b00001")
        status, answer = exchange(self, HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert status == 200
        assert safetensors.numpy.load(answer)["status"].tolist() == [0]
        record = self.records.queue.get(timeout=WAIT)
        assert (record.getMessage(), vars(record).get("batch")) == ("batch computed", "b00001")
        assert self.records.queue.empty()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = build_model_folder(tmp_path_factory.mktemp("models"))
    app = EndpointApp(micro_batch=1, concurrency=1, give_up=lambda: None)
    app.ready(load_folders(folder.parent, threads=1))
    listener = Listener(app, host="127.0.0.1", port=0, threads=2, body_limit=LIMIT, body_memory=LIMIT, connections=4)
    records, logger = Records(), logging.getLogger("clayline.server")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(records)
    thread = threading.Thread(target=listener.run, kwargs={"grace": 5})
    thread.start()
    try:
        yield Running(listener=listener, folder=folder, records=records)
    finally:
        listener.stop()
        thread.join()
        logger.removeHandler(records)
        logger.setLevel(level)


def answer_on(client: socket.socket) -> tuple[int, bytes]:
    """Read until the server ends its direction; give status and body."""
    head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def exchange(server: Running, sent: bytes, *, half_close: bool = False) -> tuple[int, bytes]:
    with server.connect() as client:
        client.sendall(sent)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        return answer_on(client)


def refusal(answer: tuple[int, bytes]) -> tuple[int, str, str]:
    status, body = answer
    content: dict[str, Any] = json.loads(body)
    return status, content["reason"], content["message"]


@pytest.mark.parametrize(
    ("sent", "extent"),
    [
        (HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 500, "the body breaks off after 500 of 1000 bytes"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", "the body breaks off after 0 of 1000 bytes"),
        (
            CHUNKED + b"100\r\n" + b"x" * 256 + b"\r\n100\r\n" + b"x" * 44,
            "the body breaks off after 300 bytes, before its last chunk",
        ),
        (CHUNKED, "the body breaks off after 0 bytes"),
        (HEAD, f"the request's head breaks off after {len(HEAD)} bytes"),
    ],
)
def test_a_client_that_ends_in_mid_request_is_told_how_far_it_came(server: Running, sent: bytes, extent: str) -> None:
    status, reason, message = refusal(exchange(server, sent, half_close=True))
    assert (status, reason) == (400, "malformed")
    assert extent in message
    assert extent in server.logged("malformed")
    server.assert_alive()


def test_a_client_that_ends_after_a_whole_request_gets_its_answer(server: Running) -> None:
    body = request_body(server.folder, chips(2))
    status, answer = exchange(server, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body, half_close=True)
    assert (status, safetensors.numpy.load(answer)["status"].tolist()) == (200, [0, 0])
    assert server.records.queue.get(timeout=WAIT).getMessage() == "batch computed"


def test_a_connection_without_a_request_is_no_event(server: Running) -> None:
    for sent in (b"", b"\r\n"):
        with server.connect() as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
    server.assert_alive()


def test_a_connection_that_is_reset_in_mid_body_is_in_the_log(server: Running) -> None:
    with server.connect() as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")  # so it waits for the body now
        client.sendall(b"x" * 500)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    message = server.logged("disconnected")
    assert message.startswith("the body breaks off after ")
    assert "of 1000 bytes, and the connection is gone: [Errno 104]" in message
    server.assert_alive()


def test_a_client_that_is_gone_before_its_400_is_in_the_log(server: Running) -> None:
    with server.connect() as client:
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 500)
    assert "500 of 1000 bytes" in server.logged("malformed")
    server.assert_alive()


@pytest.mark.parametrize("times", [2, 30])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_over_the_limit_is_sent_whole_and_its_400_read(server: Running, times: int, framing: str) -> None:
    piece = b"x" * (LIMIT // 2)
    with server.connect() as client:
        if framing == "length":
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (2 * times * len(piece)))
            for _ in range(2 * times):
                client.sendall(piece)
        else:
            client.sendall(CHUNKED)
            for _ in range(2 * times):
                client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            client.sendall(b"0\r\n\r\n")
        status, reason, _ = refusal(answer_on(client))
    assert (status, reason) == (400, "too-large")
    server.logged("too-large")
    server.assert_alive()


def test_who_sends_without_end_is_cut_off(server: Running) -> None:
    sent = 0
    with server.connect() as client, suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(CHUNKED)
        while sent < 1000 * DISCARDED_BODIES * LIMIT:
            client.sendall(b"%x\r\n%b\r\n" % (LIMIT, b"x" * LIMIT))
            sent += LIMIT
    assert (DISCARDED_BODIES - 1) * LIMIT <= sent < 1000 * DISCARDED_BODIES * LIMIT
    server.logged("too-large")
    server.assert_alive()


NEXT = b"GET /ping HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "after", "words"),
    [
        (b"many\r\n", NEXT, "Invalid chunk size"),
        (b"-5\r\nxxxxx\r\n", NEXT, "Invalid chunk size"),
        (b"5\r\nxxxxxxx\r\n", NEXT, "Chunk not properly terminated"),
        (b"5;\x00\r\nxxxxx\r\n", NEXT, "Invalid chunk extension"),
        (b"1", b"1" * 20, "a chunk's head or the trailer is over"),
        (b"0\r\n", b"X: y\r\n" * 4, "a chunk's head or the trailer is over"),
    ],
)
def test_bad_chunks_are_a_400_that_the_client_can_read(server: Running, body: bytes, after: bytes, words: str) -> None:
    with server.connect() as client:
        client.sendall(CHUNKED + body)
        client.sendall(after * 20_000)  # more than the server reads at once; and no next request
        status, reason, message = refusal(answer_on(client))
    assert (status, reason) == (400, "malformed")
    assert words in message
    server.logged("malformed")
    server.assert_alive()


def test_a_request_that_stalls_is_in_the_log_when_it_is_closed(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two minutes without a byte, of which here none passes.

    Waitress is told to look at once, and to allow no time.
    """
    with server.connect() as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        monkeypatch.setattr(server.listener._server.adj, "channel_timeout", -1)
        monkeypatch.setattr(server.listener._server, "next_channel_cleanup", 0)
        server.listener._server.pull_trigger()
        assert client.recv(1) == b""
    assert server.logged("disconnected") == (
        "the body breaks off after 0 of 1000 bytes, and the connection is gone: it was closed without another byte"
    )


def test_nothing_of_a_refused_body_is_kept(server: Running) -> None:
    """What the parser holds when it refuses is what it may hold, and it takes nothing more."""
    parser = Parser(server.listener._server.adj)
    parser.received(CHUNKED)
    parser.received(b"1" * LONGEST_CHUNK_HEAD)
    assert not parser.completed
    assert parser.received(b"1" * LIMIT) == LIMIT
    assert parser.completed
    held = len(parser.body_rcv.control_line)
    assert parser.received(b"1" * LIMIT) == LIMIT
    assert len(parser.body_rcv.control_line) == held
