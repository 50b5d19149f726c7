"""EventBridge: saying what became of a scene."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clayline.aws.failures import retryable
from clayline.errors import TransientError
from clayline.run.announced import SOURCE

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


class EventAnnouncer:
    """The Announcer port over a boto3 events client."""

    def __init__(self, client: "EventBridgeClient", *, bus: str) -> None:
        self._client = client
        self._bus = bus

    def announce(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Put one event, at least once; two with one ``run`` and ``landed_uri`` say the same. Raises TransientError."""
        entry = {"Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(detail), "EventBusName": self._bus}
        with retryable(f"announcing {detail_type}"):
            answer = self._client.put_events(Entries=[entry])  # type: ignore[list-item]  # a typed dict with more optional keys
        if answer["FailedEntryCount"]:
            msg = (
                f"EventBridge did not take {detail_type} of run {detail.get('run')}:"
                f" {answer['Entries'][0].get('ErrorMessage')}"
            )
            raise TransientError(msg)
