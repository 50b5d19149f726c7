"""One JSON object a log line, which CloudWatch can filter by field."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, override

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


class JsonLines(logging.Formatter):
    """Writes time (UTC), level, logger, message, whatever ``extra`` carried, and the exception."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_json_lines(level: str) -> None:
    """Send the whole process's log to stdout as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # waitress warns whenever a request waits for a thread; here waiting for the one session is normal.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
