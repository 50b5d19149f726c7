"""What is kept under OUT from one call to the next: the ledger of finished runs, a lock, logs; and how outputs get there."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clayline_local.session import Session


class Kept:
    """The folder that a user gave as ``--out``. Nothing in it that this call did not write is removed or overwritten."""

    def __init__(self, out: Path) -> None:
        """Touch nothing yet."""
        self.out = out.absolute()

    @contextmanager
    def lock(self, notice: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Be the only call that uses OUT, which is made if it is not there; a second call tells ``notice`` so and waits.

        Raises LocalCloudError if OUT is no folder or cannot be written.
        """
        yield

    def logs(self) -> Path:
        """Make and give a folder of this call's own, ``OUT/logs/UTCSTART-PID``. Raises LocalCloudError."""
        raise NotImplementedError

    def restore(self, session: "Session") -> None:
        """Put what earlier calls finished into the session's cloud, before anything is dropped. Raises LocalCloudError."""

    def save(self, session: "Session") -> None:
        """Keep what has finished by now, and every revision that was given. Raises LocalCloudError."""

    def fetch(self, session: "Session", detail: Mapping[str, Any]) -> dict[str, Path]:
        """Download the outputs of an event's ``detail`` to their places under OUT; gives them by kind.

        What is there already stays. Raises LocalCloudError, naming the file, if something else is.
        """
        raise NotImplementedError
