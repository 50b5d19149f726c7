"""SIGINT, SIGTERM and SIGHUP as one exception that is raised where work can be left, and never where something is begun
or ended.

Outside ``stoppable`` a signal is only noted: children, temporary folders and whatever else must be put away are made
and put away there. The next ``stoppable`` then raises it. Further signals change nothing: the end is under way, and it
is short.
"""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(number)
        self.signal = signal.Signals(number)

    @property
    def exit_status(self) -> int:
        """As shells give it."""
        return 128 + self.signal


class _State:
    """Of the process, as its signal handlers are."""

    def __init__(self) -> None:
        self.caught = False
        self.armed = False
        self.noted: int | None = None


_STATE: Final = _State()


@contextmanager
def catching() -> Iterator[None]:
    """Handle the signals, from the main thread, until the context is left.

    One that was ignored, as by nohup, stays ignored.
    """
    before = {number: found for number in SIGNALS if (found := signal.getsignal(number)) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, _note)
    _STATE.caught, _STATE.noted = True, None
    try:
        yield
    finally:
        _STATE.caught = False
        for number, found in before.items():
            signal.signal(number, found)


def ignore() -> None:
    """Let nothing interrupt what the interpreter itself puts away as it ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let a signal raise Stopped in here, and one that came before, at once.

    Nothing changes where nobody is ``catching``.
    """
    check()
    before, _STATE.armed = _STATE.armed, _STATE.caught
    try:
        yield
    finally:
        _STATE.armed = before and _STATE.noted is None
    check()


@contextmanager
def temporary_folder(prefix: str, *, within: Path | None = None) -> Iterator[Path]:
    """Make a folder, in the system's temporary one or ``within`` another, gone afterwards whenever a signal comes.

    None is raised between the making of the folder and the note that it is there, nor while it is put away. What is
    done in the context can be left as it could before.
    """
    armed, _STATE.armed = _STATE.armed, False
    with tempfile.TemporaryDirectory(prefix=prefix, dir=within) as folder:
        try:
            if armed:
                check()
            _STATE.armed = armed
            yield Path(folder)
        finally:
            _STATE.armed = False
    _STATE.armed = armed and _STATE.noted is None
    if armed:
        check()


def check() -> None:
    """Raise Stopped if a signal was noted: loops that wait ask, since what is raised inside a destructor gets lost."""
    if _STATE.caught and _STATE.noted is not None:
        raise Stopped(_STATE.noted)


def _note(number: int, _frame: FrameType | None) -> None:
    if _STATE.noted is None:
        _STATE.noted = number
    if _STATE.armed:
        _STATE.armed = False  # once: what is left on the way out is not to be left half
        raise Stopped(_STATE.noted)
