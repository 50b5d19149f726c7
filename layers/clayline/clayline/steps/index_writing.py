"""Writing a dataset's index: parts, history, and the swap by which they come to count (docs/dataset.md)."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from clayline.dataset.compaction import Held, alike
from clayline.dataset.extents import extent_of
from clayline.dataset.manifest import HISTORY, MANIFEST, PARTS, Manifest, Part, Retired, StoredFile
from clayline.dataset.ports import WritableRoot
from clayline.dataset.scene_row import SceneRow
from clayline.errors import TransientError
from clayline.ports import Clock, ObjectMissingError
from clayline.steps.compacting_ports import Tables

GRACE: Final = timedelta(days=1)
TRIES: Final = 5


class LostError(TransientError):
    """Another compactor was faster."""


@dataclass(frozen=True, kw_only=True)
class IndexWriting:
    """Ports of whoever writes the index."""

    root: WritableRoot
    tables: Tables
    clock: Clock
    stamp: Callable[[], str]
    """Gives a text that it never gave before. It stands in each object of a pass, so that none is ever written twice:
    what one pass left behind and a sweep is about to delete, no other pass can come to name."""
    grace: timedelta = GRACE

    def _until_first[T](self, work: Callable[[], T]) -> T:
        """Do work that ends in a swap, again from what is there where another was faster.

        Another was, too, where an object is gone and the manifest is another one by now: the grace period passed.
        """
        tries = 0
        while True:
            _, etag = self.tables.manifest(self.root)
            try:
                return work()
            except (LostError, ObjectMissingError) as error:
                tries += 1
                stands_still = self.tables.manifest(self.root)[1] == etag
                if tries == TRIES or (stands_still and isinstance(error, ObjectMissingError)):
                    raise

    def _held(self, manifest: Manifest) -> list[Held]:
        found = self.tables.rows(self.root, [part.file.href for part in manifest.parts])
        return [Held(rows=tuple(rows), part=part) for part, rows in zip(manifest.parts, found, strict=True)]

    def _with_parts(self, manifest: Manifest, held: Sequence[Held], stamp: str) -> Manifest:
        parts = tuple(
            each.part or Part(file=self._rows(PARTS, each.rows, stamp), extent=extent_of(each.rows)) for each in held
        )
        return manifest.model_copy(update={"parts": parts, "scenes": sum(part.file.rows for part in parts)})

    def _history(self, manifest: Manifest, replaced: Sequence[SceneRow], stamp: str) -> tuple[StoredFile, ...]:
        if not replaced:
            return manifest.history
        history = list(manifest.history)
        rows = list(replaced)
        if together := alike([*(file.rows for file in history), len(rows)]):
            old = [history[at].href for at in together if at < len(history)]
            rows += [row for found in self.tables.rows(self.root, old) for row in found]
            history = [file for file in history if file.href not in old]
        return (*history, self._rows(HISTORY, rows, stamp))

    def _rows(self, prefix: str, rows: Sequence[SceneRow], stamp: str) -> StoredFile:
        content = self.tables.encode(rows, {"clayline": json.dumps({"format": "clayline-index/1", "stamp": stamp})})
        digest = hashlib.sha256(content).hexdigest()
        file = StoredFile(href=f"{prefix}{digest[:16]}.parquet", size=len(content), sha256=digest, rows=len(rows))
        self.root.put_new(file.href, content)
        return file

    def _swap(self, before: Manifest, after: Manifest, *, etag: str | None, begun: datetime) -> None:
        """Make a manifest the one that counts. Raises LostError where another did, TransientError.

        What was written for a swap that is lost stays where it is, for a sweep after the grace period: S3 may have
        taken a swap whose answer was lost, and then it counts.
        """
        now = self.clock()
        if now - begun > self.grace / 2:
            msg = f"a pass over {self.root.uri} took {now - begun}, more than half the grace period: it is begun again"
            raise TransientError(msg)
        gone = named_in(before) - named_in(after)
        retired = (*after.retired, *(Retired(href=href, since=now) for href in sorted(gone)))
        content = after.model_copy(update={"version": before.version + 1, "written": now, "retired": retired})
        if not self.root.replace(MANIFEST, content.model_dump_json().encode(), etag=etag):
            msg = f"another compactor works on {self.root.uri} and was faster {TRIES} times: run it again later"
            raise LostError(msg)


def named_in(manifest: Manifest) -> set[str]:
    """Give every object that a manifest names as one that counts."""
    tiers = [tier for file in manifest.files for tier in file.tiers.values()]
    return {
        *(part.file.href for part in manifest.parts),
        *(file.href for file in manifest.history),
        *(file.file.href for file in manifest.files),
        *(tier.file.href for tier in tiers),
        *(tier.codebook for tier in tiers),
    }
