"""The container's program as it is; under Python 3.12, which a lent GPU machine has, with what the server takes from 3.13's library."""

import logging
import os
import runpy
import sys
from collections.abc import MutableMapping
from typing import Any


class MergingAdapter(logging.LoggerAdapter[logging.Logger]):
    """3.13's ``LoggerAdapter``: with ``merge_extra`` a call's own fields stand beside the adapter's."""

    def __init__(self, logger: logging.Logger, extra: dict[str, object] | None = None, *, merge_extra: bool = False) -> None:
        super().__init__(logger, extra)
        self._merge = merge_extra

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:  # noqa: ANN401 - logging's
        """Add the adapter's fields to a call's."""
        own = kwargs.get("extra") if self._merge else None
        kwargs["extra"] = {**(self.extra or {}), **(own or {})}
        return msg, kwargs


if __name__ == "__main__":
    sys.path.pop(0)  # this directory: no name in it is the server's
    if not hasattr(os, "process_cpu_count"):
        vars(os)["process_cpu_count"] = os.cpu_count
        vars(logging)["LoggerAdapter"] = MergingAdapter
    runpy.run_module("server", run_name="__main__")
