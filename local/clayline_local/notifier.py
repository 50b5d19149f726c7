"""The asynchronous endpoint's notifications on SNS, with the faults that the service allows itself.

Twice, late, out of order, never.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """What notifications suffer, drawn from ``seed`` and the InferenceId alone, so that a run can be repeated whatever
    the threads do.
    """

    seed: int = 0
    duplicate: float = 0.0
    """Share of notifications that are published twice."""
    drop: float = 0.0
    """Share that is never published."""
    delay_seconds: float = 0.0
    """Each one waits up to so long, so that later ones overtake it."""

    def draw(self, what: str, inference_id: str) -> float:
        """Give a number from 0 up to 1 that is always the same for these arguments."""
        digest = hashlib.sha256(f"{self.seed}/{what}/{inference_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


class Notifier:
    """Publishes what became of a request. Threads may share it."""

    def __init__(self, sns: "SNSClient", *, faults: Faults, clock: Callable[[], float]) -> None:
        """``clock`` gives the eventTime in seconds since the epoch."""
        self.failures = 0
        self._sns = sns
        self._faults = faults
        self._clock = clock
        self._timers: set[threading.Timer] = set()
        self._changed = threading.Condition()

    def notify(self, topic: str, *, inference_id: str, received: float, outcome: Mapping[str, Any]) -> None:
        """Publish to ``topic`` as often and as late as the faults say; ``received`` is in seconds since the epoch."""
        if self._faults.draw("drop", inference_id) < self._faults.drop:
            return
        message = {
            "awsRegion": self._sns.meta.region_name,
            "eventTime": _iso(self._clock()),
            "receivedTime": _iso(received),
            "inferenceId": inference_id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
            **outcome,
        }
        copies = 2 if self._faults.draw("duplicate", inference_id) < self._faults.duplicate else 1
        for copy in range(copies):
            seconds = self._faults.delay_seconds * self._faults.draw(f"delay {copy}", inference_id)
            if seconds:
                self._publish_later(seconds, topic, message)
            else:
                self._publish(topic, message)

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing is delayed any more; give whether that took less than ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._timers, timeout)

    def cancel(self) -> None:
        """Forget what is delayed."""
        with self._changed:
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()
            self._changed.notify_all()

    def _publish_later(self, seconds: float, topic: str, message: Mapping[str, Any]) -> None:
        def fire() -> None:
            try:
                self._publish(topic, message)
            finally:
                with self._changed:
                    self._timers.discard(timer)
                    self._changed.notify_all()

        timer = threading.Timer(seconds, fire)
        timer.daemon = True
        with self._changed:
            self._timers.add(timer)
        timer.start()

    def _publish(self, topic: str, message: Mapping[str, Any]) -> None:
        try:
            self._sns.publish(TopicArn=topic, Message=json.dumps(message))
        except (ClientError, BotoCoreError):
            logger.exception("the notification of %s failed", message["inferenceId"])
            with self._changed:
                self.failures += 1


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
