"""What a session knows of a scene between its landing and its end."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

ENDS: Final = frozenset({"SceneEmbedded", "ScenePartial", "SceneFailed"})
"""Types of the events that end a landing: others, such as WatchMatched, are about a scene too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is."""

    batches: int | None
    settled: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """What is known of a scene as it lands."""

    uri: str
    """Where it lies in the local cloud."""
    called: frozenset[str]
    """What the ledger may call it."""
    before: frozenset[str]
    """Runs that were finished before."""


def answers(detail: Mapping[str, Any], called: AbstractSet[str]) -> bool:
    """Tell whether an event is about the landing of an object that is called so.

    What a repeated outcome landed as goes first.
    """
    return (detail.get("landed_uri") or detail["source_uri"]) in called
