"""Kills processes of a local cloud, and looks after it until nothing moves."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.faults.real_scenes import Landed

from clayline_local.keeper import ENDPOINT, Keeper
from clayline_local.session import Session
from clayline_local.upload import upload

QUEUES: Final = {
    "PlanFunction": "SceneQueue",
    "TileFunction": "TileQueue",
    "SettleFunction": "ResultQueue",
    "CollectFunction": "SettledQueue",
    "IndexFunction": "IndexQueue",
    "WatchFunction": "WatchQueue",
    "SheetFunction": "SheetQueue",
}
"""From which a function's worker takes its messages."""
PROCESSES: Final = (*QUEUES, "ReconcileFunction", ENDPOINT)
_COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Tended:
    """A session whose processes may be killed: what ended is started again, and every event is kept."""

    def __init__(self, session: Session, *, endpoint_down: float, tell: Callable[[str], None]) -> None:
        """The endpoint stays away for ``endpoint_down`` seconds; ``tell`` takes what happened."""
        self.session = session
        self.keeper = Keeper(session, endpoint_down=endpoint_down, tell=tell)
        self.kills: Counter[str] = Counter()
        self.busy_kills: Counter[str] = Counter()
        """Those of processes that had work in hand."""
        self.landed: dict[str, Landed] = {}
        """Scenes by URI of their landing."""
        self.landings: Counter[str] = Counter()
        """PUTs of each."""
        self.events: list[dict[str, Any]] = []
        self._told: set[str] = set()

    def land(self, scene: Landed) -> str:
        """Put a scene into the bucket, be it again; gives its URI."""
        bucket = self.session.scenes_bucket
        upload(scene.staged, s3=self.session.s3, bucket=bucket)
        uri = f"s3://{bucket}/{scene.staged.landing[0]}"
        self.landed[uri] = scene
        self.landings[uri] += 1
        return uri

    def tend(self, *, wait_seconds: int = 0) -> None:
        """Start what ended, and take the events that are there. Raises LocalCloudError if moto ended."""
        self.keeper.look()
        for event in self.session.announced(wait_seconds=wait_seconds):
            self.events.append(event)
            self._told.add(event["detail"]["landed_uri"])

    @property
    def untold(self) -> set[str]:
        """Landings of which no event has told."""
        return set(self.landed) - self._told

    def is_busy(self, name: str) -> bool:
        """Whether a process has work in hand. Of reconcile, which has no queue, that cannot be seen.

        Its queue says so: a message that was received and not deleted may also be that of a worker killed before.
        """
        if name == ENDPOINT:
            return self.session.endpoint.open_requests > 0
        return name in QUEUES and self.depth(QUEUES[name])[1] > 0

    def strike(self, name: str, *, only_busy: bool = False) -> bool:
        """Kill a process, or with ``only_busy`` only one that has work in hand; gives whether it was killed.

        It stands still while that is looked at, so that it is true at the kill.
        """
        process = self.session.children[name]
        if process.poll() is not None:
            return False
        process.send_signal(signal.SIGSTOP)
        busy = self.is_busy(name)
        if only_busy and not busy:
            process.send_signal(signal.SIGCONT)
            return False
        process.kill()
        process.wait()
        self.kills[name] += 1
        self.busy_kills[name] += busy
        return True

    def depth(self, queue: str) -> tuple[int, ...]:
        """Count a queue's messages: waiting, in hand, delayed."""
        url = self.session.stack.resources[queue].physical.ref
        found = self.session.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))["Attributes"]
        return tuple(int(found[name]) for name in _COUNTS)

    def until_quiet(self, *, seconds: float) -> str | None:
        """Wait until nothing moves and everything was told; gives what still moves after ``seconds``."""
        deadline = time.monotonic() + seconds
        while moving := list(self._moving()):
            if time.monotonic() > deadline:
                return "; ".join(moving)
            self.tend(wait_seconds=1)
        self.tend()
        return None

    def _moving(self) -> Iterator[str]:
        if untold := self.untold:
            yield f"no event of {sorted(untold)}"
        states = Counter(row.get("state", {}).get("S", "begun") for row in self.session.ledger_rows("scene"))
        if under_way := {state: number for state, number in states.items() if state != "announced"}:
            yield f"runs under way: {under_way}"
        for queue in QUEUES.values():
            if any(depth := self.depth(queue)):
                yield f"{queue}: {depth[0]} waiting, {depth[1]} in hand, {depth[2]} delayed"
        if not self.session.endpoint.wait_idle(0):
            yield "the endpoint has requests or notifications"
