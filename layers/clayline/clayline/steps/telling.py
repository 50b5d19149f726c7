"""Telling: the events of matches go on the bus, and one mark a scene says which did (docs/watches.md)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from clayline.dataset.ports import WritableRoot
from clayline.errors import TransientError
from clayline.likeness.watch_receipt import MATCHED, WATCHED, WatchReceipt
from clayline.ports import Announcer, Clock, ObjectMissingError

_MOST_MARK_BYTES: Final = 4 * 1024 * 1024
_TRIES: Final = 5


class Mark(BaseModel):
    """Which events of a scene were put. One object for all watches: a write costs more than all else of a watch."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["clayline-watch-told/1"] = "clayline-watch-told/1"
    told: tuple[str, ...] = ()
    """Identities of receipts."""
    at: datetime
    """When the last was told."""


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Ports of telling."""

    root: WritableRoot
    announcer: Announcer
    clock: Clock

    def tell(self, receipts: Sequence[WatchReceipt], *, run: str, generation: int) -> None:
        """Put the event of each receipt with matches that is not marked as told; then mark them.

        Killed in between, the next try puts the same events again. Raises TransientError.
        """
        due = [receipt for receipt in receipts if receipt.matched]
        if not due:
            return
        key = mark_key(run, generation)
        told, etag = self._read(key)
        left = [receipt for receipt in due if receipt.id not in told]
        for receipt in left:
            self.announcer.announce(MATCHED, receipt.event())
        self._mark(key, {receipt.id for receipt in left}, told, etag)

    def _mark(self, key: str, new: set[str], told: frozenset[str], etag: str | None) -> None:
        for _ in range(_TRIES):
            if new <= told:
                return
            body = _body(new | told, self.clock())
            if self.root.put_new(key, body) if etag is None else self.root.replace(key, body, etag=etag):
                return
            told, etag = self._read(key)  # another delivery was first
        msg = f"{self.root.uri}/{key} was written by others {_TRIES} times meanwhile. It is tried again."
        raise TransientError(msg)

    def _read(self, key: str) -> tuple[frozenset[str], str | None]:
        """Give what was told, and the mark's ETag; of a mark that cannot be read, nothing: then it is told again."""
        try:
            content, etag = self.root.get(key, most=_MOST_MARK_BYTES)
        except ObjectMissingError:
            return frozenset(), None
        try:
            return frozenset(Mark.model_validate_json(content).told), etag
        except ValidationError:
            return frozenset(), etag


def mark_key(run: str, generation: int) -> str:
    """Give the mark's key, relative to the root. No watch can have that name."""
    return f"{WATCHED}_told/{run}_v{generation:03d}.json"


def _body(told: Iterable[str], at: datetime) -> bytes:
    return Mark(told=tuple(sorted(told)), at=at).model_dump_json().encode()
