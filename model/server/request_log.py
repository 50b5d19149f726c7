"""Log lines about a request.

Each says which, so that one batch can be followed from its chips to its answer or its failure.
"""

import logging
import time
from collections.abc import MutableMapping
from typing import Any, override

from clayline.model.wire import BatchHeader

type Log = logging.Logger | logging.LoggerAdapter[logging.Logger]
"""Where lines go that may be about a request."""


class FieldLog(logging.LoggerAdapter[logging.Logger]):
    """Adds fields to each line, beside the line's own.

    As ``merge_extra`` does from Python 3.13 on; the benchmarks run this server under a GPU machine's 3.12 too.
    """

    def __init__(self, logger: logging.Logger, **fields: str) -> None:
        """``fields`` give way to a line's own of the same name."""
        super().__init__(logger)
        self._fields: dict[str, Any] = fields

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**self._fields, **(kwargs.get("extra") or {})}}


class RequestLog(FieldLog):
    """Adds to each line ``seconds`` since the request's first byte and, once ``concerns`` was called, its batch.

    An object that is passed along and no context variable: the threads that receive and those that compute are others.
    """

    def __init__(self, logger: logging.Logger, *, began: float) -> None:
        """``began``: when the first byte was there, of ``time.perf_counter``."""
        super().__init__(logger)
        self._began = began

    def concerns(self, header: BatchHeader, *, chips: int) -> None:
        """Name the batch in every line from now on."""
        self._fields = {
            "run": header.run,
            "batch": header.batch,
            "token": header.token,
            "chips": chips,
        }

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        msg, kwargs = super().process(msg, kwargs)
        seconds = round(time.perf_counter() - self._began, 6)
        return msg, {**kwargs, "extra": {"seconds": seconds, **kwargs["extra"]}}
