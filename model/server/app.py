"""The WSGI application: ``GET /ping`` and ``POST /invocations``."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Final

from clayline.errors import BatchError, WireError
from clayline.model.wire import CONTENT_TYPE, Request
from server.folders import LoadedEntry, ModelFolders
from server.health import Health
from server.inference import check_inputs, embed, warm_up
from server.request_log import Log, RequestLog
from server.sessions import CUDA
from server.turns import Turns

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger("clayline.server")
JSON: Final = "application/json"
MICRO_BATCH: Final = 16
"""Chips in one run of a folder without advice. What the starter makes of other numbers: ``benchmarks/endpoint.py
--micro-batches``."""
RECEIVED: Final = "clayline.reception"
"""Key of a request's Reception in its WSGI environment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reception:
    """How a request came in. Times are of ``time.perf_counter``."""

    began: float
    """When its first bytes were there."""
    ended: float
    """When its last were."""
    size: int
    """Bytes of its body."""


class EndpointApp:
    """SageMaker's container contract.

    Until ``ready`` was called, both routes answer 503; ``/ping`` also once runs fail for good.
    """

    def __init__(self, *, micro_batch: int | None, concurrency: int | None, give_up: Callable[[], None]) -> None:
        """Take the chips of one session run (None: the folder's advice), and how many requests compute at once (None:
        by the device).

        ``give_up`` is called once, from a request's thread, when this process must be replaced: it shall finish what
        was accepted.
        """
        self._health = Health(give_up)
        self._micro_batch = micro_batch
        self._concurrency = concurrency
        self._turns: Turns | None = None
        self._folders: ModelFolders | None = None

    def turns(self, folders: ModelFolders) -> Turns:
        """Give the turns that every run takes, the warm-up's as well.

        The devices of the first folders asked for say how many.

        A request holds one only while it computes: the next one's bytes are received and parsed meanwhile.
        """
        if self._turns is None:
            self._turns = Turns(self._concurrency or default_concurrency(folders), own_threads=on_cuda(folders))
        return self._turns

    def warm_up(self, folders: ModelFolders) -> None:
        """Run every entry of these as requests will. Raises as ``embed``."""
        for loaded in folders.all():
            warm_up(loaded, micro_batch=self.micro_batch(loaded), turns=self.turns(folders))

    def ready(self, folders: ModelFolders) -> None:
        """Begin to answer, with these loaded and warm."""
        self._folders = folders

    def micro_batch(self, loaded: LoadedEntry) -> int:
        """Give the chips that one run of this entry takes.

        As told, else as its folder advises, and no more than memory has allowed.
        """
        if loaded.entry.one_chip_a_run(on=loaded.chain.device):
            return 1
        return loaded.limit.cap(self._micro_batch or loaded.advised or MICRO_BATCH)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one HTTP request; every answer has a Content-Length, which asynchronous endpoints need."""
        status, content_type, body = self._answer(environ)
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: "WSGIEnvironment") -> tuple[HTTPStatus, str, bytes]:
        route = (environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if route not in {("GET", "/ping"), ("POST", "/invocations")}:
            return refusal(
                HTTPStatus.NOT_FOUND, "not-found", f"{route[0]} {route[1]} is neither GET /ping nor POST /invocations"
            )
        if self._folders is None:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "starting", "the model folders are still being loaded")
        if route[1] == "/ping" and self._health.failing:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "failing", "runs fail for good; this process ends")
        if route[1] == "/ping":
            return HTTPStatus.OK, JSON, b"{}"
        return self._invoke(self._folders, environ)

    def _invoke(self, folders: ModelFolders, environ: "WSGIEnvironment") -> tuple[HTTPStatus, str, bytes]:
        reception: Reception = environ[RECEIVED]
        log = RequestLog(logger, began=reception.began)
        try:
            answer = self._compute(folders, environ["wsgi.input"], reception, log)
        except WireError as error:
            return refusal(HTTPStatus.BAD_REQUEST, "malformed", str(error), log)
        except BatchError as error:
            return refusal(HTTPStatus.BAD_REQUEST, error.reason, str(error), log)
        except MemoryError as error:
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "out-of-memory", str(error), log)
        except Exception as error:  # one request must not end the server; the log and the failure object tell
            log.exception("inference failed")
            self._health.failed(error, log)
            return refusal(
                HTTPStatus.INTERNAL_SERVER_ERROR, "inference-failed", f"{type(error).__name__}: {error}", log
            )
        self._health.succeeded()
        return HTTPStatus.OK, CONTENT_TYPE, answer

    def _compute(self, folders: ModelFolders, body: BinaryIO, reception: Reception, log: RequestLog) -> bytes:
        started = time.perf_counter()
        # A small body lies in memory, a large one in a file, of which only a micro-batch at a time comes into memory.
        request = Request.from_bytes(body.read()) if isinstance(body, BytesIO) else Request.from_file(body)
        header = request.header
        log.concerns(header, chips=len(request.index))
        loaded = folders.find(folder=header.folder, token=header.token, digest=header.digest)
        check_inputs(loaded, request)  # before it waits for others
        parsed = time.perf_counter()
        log.debug("batch parsed")
        with self.turns(folders).take(log) as turn:
            acquired = time.perf_counter()
            log.debug("batch begun")
            try:
                response = embed(loaded, request, micro_batch=self.micro_batch(loaded), turn=turn)
            except MemoryError as error:
                # Not even one chip, though the warm-up had room for it: it may be this request, or a process that has
                # lost its memory.
                self._health.failed(error, log)
                raise
            computed = time.perf_counter()
            log.debug("batch embedded")
        answer = replace(response, compute_seconds=turn.seconds).to_bytes()
        ended = time.perf_counter()
        log.info(
            "batch computed",
            extra={
                "bytes": reception.size,
                "micro_batch": self.micro_batch(loaded),
                "non_finite": int(response.status.sum()),
                "seconds": round(ended - reception.began, 6),
                "seconds_receiving": round(reception.ended - reception.began, 6),
                "seconds_parsing": round(parsed - started, 6),
                # For one of the HTTP threads, then for its turn to compute.
                "seconds_waiting": round(started - reception.ended + acquired - parsed, 6),
                "seconds_computing": round(computed - acquired, 6),
                "seconds_serialising": round(ended - computed, 6),
            },
        )
        return answer


def default_concurrency(folders: ModelFolders) -> int:
    """Give how many requests compute at once where nobody says: two on CUDA, one on the CPU.

    On a GPU the second one's pixels are read and go up while the first computes. On the CPU one run takes all cores by
    itself; a second would only share them, and its activations would take as much memory again.
    """
    return 2 if on_cuda(folders) else 1


def on_cuda(folders: ModelFolders) -> bool:
    """Tell whether any entry runs there."""
    return any(loaded.chain.device == CUDA for loaded in folders.all())


def refusal(status: HTTPStatus, reason: str, message: str, log: Log = logger) -> tuple[HTTPStatus, str, bytes]:
    """Give the error body of docs/wire.md, and log it unless it only says that the server is starting or ending."""
    if status is not HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning(message, extra={"reason": reason, "status": status.value})
    return status, JSON, json.dumps({"reason": reason, "message": message}).encode()
