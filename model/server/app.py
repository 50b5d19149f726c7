"""The WSGI application: ``GET /ping`` and ``POST /invocations``."""

import json
import logging
import time
from collections.abc import Iterable
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final

from clayline.errors import BatchError, WireError
from clayline.wire import CONTENT_TYPE, Request
from server.folders import ModelFolders
from server.inference import embed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger("clayline.server")
JSON: Final = "application/json"


class EndpointApp:
    """SageMaker's container contract. Until ``ready`` was called, both routes answer 503."""

    def __init__(self, *, micro_batch: int, concurrency: int) -> None:
        """Take the chips of one session run, and how many requests compute at once."""
        self.micro_batch = micro_batch
        # A request holds this only while it computes: the next one's bytes are received and parsed meanwhile.
        self._computing = BoundedSemaphore(concurrency)
        self._folders: ModelFolders | None = None

    def ready(self, folders: ModelFolders) -> None:
        """Begin to answer, with these loaded and warm."""
        self._folders = folders

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one HTTP request; every answer has a Content-Length, which asynchronous endpoints need."""
        status, content_type, body = self._answer(environ)
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: "WSGIEnvironment") -> tuple[HTTPStatus, str, bytes]:
        route = (environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if route not in {("GET", "/ping"), ("POST", "/invocations")}:
            return refusal(HTTPStatus.NOT_FOUND, "not-found", f"{route[0]} {route[1]} is neither GET /ping nor POST /invocations")
        if self._folders is None:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "starting", "the model folders are still being loaded")
        if route[1] == "/ping":
            return HTTPStatus.OK, JSON, b"{}"
        return self._invoke(self._folders, environ)

    def _invoke(self, folders: ModelFolders, environ: "WSGIEnvironment") -> tuple[HTTPStatus, str, bytes]:
        try:
            return HTTPStatus.OK, CONTENT_TYPE, self._compute(folders, environ["wsgi.input"].read())
        except WireError as error:
            return refusal(HTTPStatus.BAD_REQUEST, "malformed", str(error))
        except BatchError as error:
            return refusal(HTTPStatus.BAD_REQUEST, error.reason, str(error))
        except Exception as error:  # one request must not end the server; the log and the failure object tell
            logger.exception("inference failed")
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "inference-failed", f"{type(error).__name__}: {error}")

    def _compute(self, folders: ModelFolders, body: bytes) -> bytes:
        started = time.perf_counter()
        request = Request.from_bytes(body)
        header = request.header
        loaded = folders.find(folder=header.folder, token=header.token, digest=header.digest)
        parsed = time.perf_counter()
        with self._computing:
            acquired = time.perf_counter()
            response = embed(loaded, request, micro_batch=self.micro_batch)
            computed = time.perf_counter()
        answer = response.to_bytes()
        logger.info(
            "batch computed",
            extra={
                "run": header.run,
                "batch": header.batch,
                "attempt": header.attempt,
                "token": header.token,
                "chips": len(request.index),
                "non_finite": int(response.status.sum()),
                "seconds": round(time.perf_counter() - started, 6),
                "seconds_waiting": round(acquired - parsed, 6),
                "seconds_computing": round(computed - acquired, 6),
            },
        )
        return answer


def refusal(status: HTTPStatus, reason: str, message: str) -> tuple[HTTPStatus, str, bytes]:
    """Give the error body of docs/wire.md, and log it unless it only says that the server is starting."""
    if status is not HTTPStatus.SERVICE_UNAVAILABLE:
        logger.warning(message, extra={"reason": reason, "status": status.value})
    return status, JSON, json.dumps({"reason": reason, "message": message}).encode()
