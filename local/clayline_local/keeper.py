"""Looks after a session's processes: what ended is started again, as AWS would.

A function's worker at once: Lambda takes a new environment; one that ends at its start again and again, after a wait
that doubles, since nobody would read of it otherwise. The endpoint after a while: an instance is replaced, which
takes minutes, and requests wait meanwhile.
"""

import signal
import time
from collections.abc import Callable
from typing import Final

from clayline_local.cloud import startup_seconds
from clayline_local.errors import LocalCloudError
from clayline_local.session import Session

ENDPOINT: Final = "endpoint"
_SOON: Final = 10.0
"""Seconds: a worker that ran shorter may end again for the same reason."""
_LONGEST_WAIT: Final = 60.0


class Keeper:
    """Of one session, whose endpoint is supervised (``Emulation``)."""

    def __init__(
        self,
        session: Session,
        *,
        endpoint_down: float,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``endpoint_down`` is how many seconds the endpoint stays away when it ended; ``tell`` takes what happened."""
        self._session = session
        self._endpoint_down = endpoint_down
        self._tell = tell
        self._clock = clock
        self._back_at: float | None = None
        self._started: dict[str, float] = {}
        """When a worker was last started again."""
        self._waits: dict[str, float] = {}
        """Seconds that one waited before."""
        self._again_at: dict[str, float] = {}
        """When one that ended is to be started."""

    def look(self) -> bool:
        """Look once; gives whether a process was started or the endpoint is away since.

        Raises LocalCloudError if moto ended: buckets, queues and ledger are gone with it.
        """
        if not self._session.cloud_is_up:
            msg = "moto ended, and with it buckets, queues and ledger. What was fetched stays. Start it again."
            raise LocalCloudError(msg)
        changed = False
        for name, process in list(self._session.children.items()):
            status = process.poll()
            if status is not None:
                changed |= self._endpoint(status) if name == ENDPOINT else self._worker(name, status)
        return changed

    def _worker(self, name: str, status: int) -> bool:
        """Start a worker again; one that ends soon after its start, each time after a longer wait."""
        now = self._clock()
        if name not in self._again_at:
            lived = now - self._started.get(name, -_SOON)
            wait = 0.0 if lived >= _SOON else min(max(1.0, 2 * self._waits.get(name, 0.0)), _LONGEST_WAIT)
            self._waits[name], self._again_at[name] = wait, now + wait
            when = f" in {wait:g} s: it had run for {lived:.0f} s. Its log says why" if wait else ""
            self._tell(f"{name} ended ({_how(status)}); it is started again{when}")
        if now < self._again_at[name]:
            return False
        del self._again_at[name]
        self._started[name] = now
        self._session.fleet.start(name)
        return True

    def _endpoint(self, status: int) -> bool:
        now = self._clock()
        if self._back_at is None:
            container = self._session.endpoint.container
            container.gone(container.url)
            self._back_at = now + self._endpoint_down
            self._tell(
                f"the endpoint ended ({_how(status)}): what it computed has failed, what is queued waits."
                f" It comes back in {self._endpoint_down:g} s"
            )
            return True
        if now < self._back_at:
            return False
        self._back_at = None
        server = self._session.start_endpoint()
        server.wait(seconds=startup_seconds(self._session.stack), notice=self._tell)
        self._session.endpoint.container.back(server.url)
        self._tell(f"the endpoint is back, process {server.process.pid}")
        return True


def _how(status: int) -> str:
    """Say how a process ended."""
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
