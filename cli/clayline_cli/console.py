"""What is told while scenes are embedded: a line that is drawn again on a terminal, a line every so often in a log."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from clayline_local.dropped import Progress

LOG_EVERY: Final = 15.0
"""Seconds between two lines of progress in a log."""
_BAR: Final = 24
_CLEAR: Final = "\r\x1b[K"


class Console:
    """Where progress, notices, warnings and errors go."""

    def __init__(
        self,
        *,
        quiet: bool,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        """Take where to write, standard error by default; ``quiet`` leaves out progress and notices."""
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._quiet = quiet
        self._clock = clock
        self._columns = columns
        self._drawn = False
        self._label = ""
        self._begun = self._told_at = 0.0
        self._told: Progress | None = None

    def notice(self, text: str) -> None:
        """Say what is going on."""
        if not self._quiet:
            self._line(text)

    def warn(self, text: str) -> None:
        """Say what must not be missed."""
        self._line(f"WARNING: {text}")

    def error(self, text: str) -> None:
        """Say why something did not work."""
        self._line(f"clayline: {text}")

    def begin(self, label: str) -> None:
        """Begin with a scene."""
        self._label, self._begun, self._told = label, self._clock(), None

    def progress(self, found: "Progress") -> None:
        """Take how far the scene is, as often as anybody likes."""
        if self._quiet:
            return
        now = self._clock()
        if self._live:
            self._stream.write(_CLEAR + self._state(found, now)[: max(1, self._columns() - 1)])
            self._stream.flush()
            self._drawn = True
        elif self._is_due(found, now):
            self._line(self._state(found, now))
        else:
            return
        self._told, self._told_at = found, now

    def step(self, text: str) -> None:
        """Say how far it is, as often as anybody likes: drawn again on a terminal, a line every so often in a log."""
        now = self._clock()
        self._told_at = self._told_at or now  # in a log, what is done at once says nothing
        if self._quiet or (not self._live and now - self._told_at < LOG_EVERY):
            return
        if self._live:
            self._stream.write(_CLEAR + text[: max(1, self._columns() - 1)])
            self._stream.flush()
            self._drawn = True
        else:
            self._line(text)
        self._told_at = now

    def end(self) -> None:
        """Leave the line that is drawn again."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()
            self._drawn = False

    def _is_due(self, found: "Progress", now: float) -> bool:
        """In a log: the first, planning's end, the last, and else what a while has passed since."""
        if self._told is None or (self._told.batches is None) != (found.batches is None):
            return True
        if found != self._told and found.settled == found.batches:
            return True
        return now - self._told_at >= LOG_EVERY

    def _state(self, found: "Progress", now: float) -> str:
        seconds = f"  {self._label}  {now - self._begun:.0f} s  "
        if found.batches is None:
            return f"{seconds}planning"
        done = found.settled / found.batches if found.batches else 1.0
        return f"{seconds}[{'#' * round(_BAR * done):<{_BAR}}] {found.settled} of {found.batches} batches embedded"

    def _line(self, text: str) -> None:
        self._stream.write(f"{_CLEAR if self._drawn else ''}{text}\n")
        self._stream.flush()
        self._drawn = False
