"""Telling: the events of matches go on the bus, and one mark a scene says what is due and told (docs/watches.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from clayline.dataset.ports import WritableRoot
from clayline.errors import TransientError
from clayline.likeness.watch_receipt import MATCHED, WATCHED, WatchReceipt
from clayline.ports import Announcer, Clock, ObjectMissingError

_MOST_MARK_BYTES: Final = 4 * 1024 * 1024
_TRIES: Final = 5


class Mark(BaseModel):
    """Which events of a scene are due, and which were put. One object for all watches: a write costs more than all
    else of a watch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["clayline-watch-told/1"] = "clayline-watch-told/1"
    due: tuple[str, ...] = ()
    """Identities of receipts with matches that were about to be written, and are not told yet."""
    told: tuple[str, ...] = ()
    """Identities of receipts."""
    at: datetime
    """When the last was told, or became due."""


@dataclass(kw_only=True)
class Telling:
    """One scene's mark, as it was read last, and the ports of telling.

    An event is due before its receipt is written, and told after that. So whoever reads the mark finds each receipt
    that waits for its event, also where its watch has another version by now, or is gone.
    """

    root: WritableRoot
    announcer: Announcer
    clock: Clock
    key: str
    due: frozenset[str] = field(default=frozenset())
    """Identities of receipts that are not told; of some there may be no receipt, where a try ended before it."""
    _told: frozenset[str] = field(default=frozenset())
    _etag: str | None = None

    @classmethod
    def of(cls, root: WritableRoot, *, announcer: Announcer, clock: Clock, run: str, generation: int) -> Self:
        """Read the mark of a scene. Raises TransientError."""
        found = cls(root=root, announcer=announcer, clock=clock, key=mark_key(run, generation))
        found._read()
        return found

    def promise(self, receipts: Sequence[WatchReceipt]) -> None:
        """Write that those with matches are due, before any of them is written. Raises TransientError."""
        self._write(due={receipt.id for receipt in receipts if receipt.matched}, told=set())

    def tell(self, receipts: Sequence[WatchReceipt]) -> None:
        """Put the event of each receipt with matches that is not marked as told; then mark them.

        Killed in between, the next try puts the same events again. Raises TransientError.
        """
        waiting = [receipt for receipt in receipts if receipt.matched]
        if not waiting:
            return
        self._read()
        left = [receipt for receipt in waiting if receipt.id not in self._told]
        for receipt in left:
            self.announcer.announce(MATCHED, receipt.event())
        self._write(due=set(), told={receipt.id for receipt in left})

    def _write(self, *, due: set[str], told: set[str]) -> None:
        """Add to what the mark says, whatever others add meanwhile."""
        for _ in range(_TRIES):
            if due <= self.due | self._told and told <= self._told:
                return
            all_told = self._told | told
            made = Mark(due=tuple(sorted((self.due | due) - all_told)), told=tuple(sorted(all_told)), at=self.clock())
            body = made.model_dump_json().encode()
            etag = self._etag
            if self.root.put_new(self.key, body) if etag is None else self.root.replace(self.key, body, etag=etag):
                return
            self._read()  # another delivery was first
        msg = f"{self.root.uri}/{self.key} was written by others {_TRIES} times meanwhile. It is tried again."
        raise TransientError(msg)

    def _read(self) -> None:
        """Take what is due and told, and the mark's ETag; of a mark that cannot be read, nothing: it is told again."""
        self.due = self._told = frozenset()
        try:
            content, self._etag = self.root.get(self.key, most=_MOST_MARK_BYTES)
        except ObjectMissingError:
            self._etag = None
            return
        try:
            mark = Mark.model_validate_json(content)
        except ValidationError:
            return
        self.due, self._told = frozenset(mark.due), frozenset(mark.told)


def mark_key(run: str, generation: int) -> str:
    """Give the mark's key, relative to the root. No watch can have that name."""
    return f"{WATCHED}_told/{run}_v{generation:03d}.json"
