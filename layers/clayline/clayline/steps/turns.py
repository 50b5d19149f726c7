"""Turns: who may be at a scene's vectors, so that one who was stopped is seen (docs/vectors.md, Several at once)."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self

from clayline.dataset.ports import WritableRoot

COVERS: Final = timedelta(minutes=30)
"""How long after it was begun a sender may start requests; then it begins once more."""
OVER: Final = timedelta(hours=1)
"""How long after it was begun no request of that sender is under way: the half hour, its last request's tries, and half
an hour for all that is slow."""
_BEGUN: Final = re.compile(r"(?P<scene>[0-9a-f]{12})_begun_[0-9a-z]+(?P<given_up>_over)?\.json")


def begun_scene(name: str) -> str | None:
    """Read the name of an object in a model's folder; gives the scene of one that says that a sender began."""
    found = _BEGUN.fullmatch(name)
    return found["scene"] if found else None


@dataclass(kw_only=True)
class Turn:
    """One sender's turn at one scene of one vector bucket."""

    root: WritableRoot
    stem: str
    """Key of the model's folder and the scene: what marks and beginnings begin with."""
    clock: Callable[[], datetime]
    name: Callable[[], str]
    """Gives another word each time, of 0-9 and a-z."""
    seen: frozenset[str]
    """Keys of marks and beginnings that were there before."""
    wrote: bool = False
    ended: bool = False
    _own: list[str] = field(default_factory=list)
    _since: datetime | None = None

    @classmethod
    def look(cls, root: WritableRoot, stem: str, *, clock: Callable[[], datetime], name: Callable[[], str]) -> Self:
        """See what stands, with one listing. Raises what ``root`` raises."""
        return cls(
            root=root,
            stem=stem,
            clock=clock,
            name=name,
            seen=frozenset(stored.key for stored in root.list(f"{stem}_")),
        )

    def is_settled(self, mark: str) -> bool:
        """Say whether the mark stands and nobody has begun who has not ended."""
        return mark in self.seen and not any(key.startswith(self._begun) for key in self.seen)

    def cover(self) -> None:
        """Call it before each request that writes vectors: it may start only if this says so.

        Before the first one, and whenever the last beginning covers no more, writes another. Raises TransientError.
        """
        now = self.clock()
        if self._since is None or not timedelta() <= now - self._since <= COVERS:
            key = f"{self._begun}{self.name()}.json"
            self._own.append(key)
            self.root.put_new(key, json.dumps({"format": "clayline-vectors-begun/1", "at": now.isoformat()}).encode())
            self._since = now

    def end(self) -> bool:
        """Take away the own beginnings and those whose senders can put nothing any more; gives whether none is left.

        To be called when all was put, after the mark. Raises TransientError.
        """
        there = {stored.key: stored.modified for stored in self.root.list(self._begun)}
        first = min((there[key] for key in self._own if key in there), default=None)
        given_up = {key for key in self.seen if key.endswith("_over.json")}
        past = {*self._own, *given_up, *(key.replace("_over.json", ".json") for key in given_up)}
        if first is not None:  # by the clock that stamped both
            past |= {key for key, moment in there.items() if first - moment > OVER}
        self.root.discard(sorted(past & there.keys()))
        self.ended = True
        return there.keys() <= past

    def give_up(self) -> None:
        """Say that this sender puts nothing any more; whoever puts all after that may take its beginnings away.

        Raises TransientError.
        """
        if not self.wrote:
            self.root.discard(self._own)
            return
        for key in self._own:
            self.root.put_new(key.replace(".json", "_over.json"), b"{}")

    @property
    def _begun(self) -> str:
        return f"{self.stem}_begun_"
