"""Watch: an announced scene's chips against the watches that there are (docs/watches.md)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from clayline.dataset.ports import Root, WritableRoot
from clayline.dataset.scene_file import SceneFile
from clayline.errors import ClaylineError, DatasetError, TransientError
from clayline.likeness.matching import Chips, Tally, tallied
from clayline.likeness.watch import Watch
from clayline.likeness.watch_receipt import (
    MOST_RECEIPT_BYTES,
    MOST_SHOWN,
    WATCHED,
    Match,
    Rest,
    WatchReceipt,
    is_receipt,
    receipt_stem,
)
from clayline.likeness.watchbook import OF_ONE_OBJECT, find
from clayline.ports import Announcer, Clock, ObjectMissingError
from clayline.run.announced import Announced
from clayline.steps.telling import Telling

_ENDED = frozenset({"SceneEmbedded", "ScenePartial"})


class OpenScene(Protocol):
    """A scene's file, its end read."""

    @property
    def run(self) -> str:
        """That wrote it."""
        ...

    @property
    def digest(self) -> str:
        """Of the model's entry."""
        ...

    @property
    def instrument(self) -> str:
        """The identifiers' token."""
        ...

    @property
    def acquired(self) -> datetime:
        """When the acquisition began, UTC."""
        ...

    def chips(self) -> Iterator[Chips]:
        """Give its chips, a row group at a time. Raises DatasetError, TransientError."""
        ...


class SceneOpener(Protocol):
    """The reader of a scene's file: ``clayline.table.scene_chips.open_scene``."""

    def __call__(self, root: Root, file: SceneFile) -> OpenScene:
        """Read its end. Raises DatasetError, ObjectMissingError, TransientError."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What one announcement came to."""

    receipts: tuple[WatchReceipt, ...] = ()
    """Written now."""
    repeated: tuple[str, ...] = ()
    """Identities of receipts that stood already."""
    other_model: tuple[str, ...] = ()
    """Watches of another model than the scene's."""
    drafts: tuple[str, ...] = ()
    """Watches without a threshold."""
    elsewhere: bool = False
    """The event is about no scene of this root; nothing could ever cure it."""
    gone: bool = False
    """It was announced once more, and somebody took its file away since."""


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Ports of watch."""

    root: WritableRoot
    open_scene: SceneOpener
    announcer: Announcer
    clock: Clock
    root_name: str = field(default="")
    """What names of the root's objects begin with, in events and receipts."""

    def answer(self, event: Announced) -> Watched:
        """Score a scene's chips by every watch of its model that has no receipt of it.

        What is due, then all receipts, then the events, then that they were told; a kill between gives the same events
        again, by the same identities, whatever became of their watches meanwhile. Raises DatasetError for watches and
        receipts that are damaged, after all others were seen to, and for a file that is; TransientError.
        """
        file = SceneFile.of_receipt(event.receipt)
        if event.status not in _ENDED:
            return Watched()
        if file is None or event.receipt != f"{self.root_name}{file.receipt}":
            return Watched(elsewhere=True)
        found = find(self.root)
        if not found.names:
            return Watched()
        telling = Telling.of(
            self.root, announcer=self.announcer, clock=self.clock, run=event.run, generation=file.revision
        )
        of_model = [watch for watch in found.watches if watch.probe.token == file.token]
        ready = [watch for watch in of_model if watch.threshold is not None]
        damaged = list(found.damaged.values())
        repeated, open_watches = self._standing(ready, event.run, file, telling, damaged)
        try:
            written, others = self._score(open_watches, event, file, telling, damaged) if open_watches else ([], [])
        except ObjectMissingError as error:
            if event.repeated:
                return Watched(gone=True, repeated=tuple(repeated))
            msg = f"scene {event.scene} was announced, but {error}. It is looked for again."
            raise TransientError(msg) from error
        if damaged:
            raise DatasetError(" ".join(sorted(map(str, damaged))))
        return Watched(
            receipts=tuple(written),
            repeated=tuple(repeated),
            other_model=(*others, *(watch.name for watch in found.watches if watch.probe.token != file.token)),
            drafts=tuple(watch.name for watch in of_model if watch.threshold is None),
        )

    def _standing(
        self, watches: Sequence[Watch], run: str, file: SceneFile, telling: Telling, damaged: list[ClaylineError]
    ) -> tuple[list[str], list[Watch]]:
        """Tell of receipts that stand what was not told, and give the watches that have none."""
        stems = [receipt_stem(watch.name, watch.version, run, file.revision) for watch in watches]
        standing, without = [], []
        for watch, stem in zip(watches, stems, strict=True):
            try:
                if receipt := self._read(stem):
                    standing.append(receipt)
                else:
                    without.append(watch)
            except OF_ONE_OBJECT as error:
                damaged.append(error)
        repeated = [receipt.id for receipt in standing]
        for stem in sorted({f"{WATCHED}{identity}" for identity in telling.due} - set(stems)):
            try:
                if is_receipt(f"{stem}.json") and (receipt := self._read(stem)):
                    standing.append(receipt)
            except OF_ONE_OBJECT as error:
                damaged.append(error)
        telling.tell(standing)
        return repeated, without

    def _score(
        self,
        watches: Sequence[Watch],
        event: Announced,
        file: SceneFile,
        telling: Telling,
        damaged: list[ClaylineError],
    ) -> tuple[list[WatchReceipt], list[str]]:
        scene = self.open_scene(self.root, file)
        if scene.run != event.run:
            msg = (
                f"{self.root.uri}/{file.parquet} is of run {scene.run}, and {event.run} was announced. Restore the"
                " scene's four files from where they were written."
            )
            raise DatasetError(msg)
        mine = [watch for watch in watches if watch.probe.digest == scene.digest]
        tallies, wrong = tallied(mine, scene.instrument, scene.chips()) if mine else ([], [])
        damaged += wrong
        receipts = []
        for tally in tallies:
            try:
                receipts.append(self._receipt(tally, scene, event, file))
            except DatasetError as error:
                damaged.append(error)
        telling.promise(receipts)
        written, standing = [], []
        for made in receipts:
            stem = receipt_stem(made.watch, made.version, made.run, made.generation)
            if self.root.put_new(f"{stem}.json", made.model_dump_json(indent=1).encode()):
                written.append(made)
                standing.append(made)
                continue
            try:
                standing.append(self._read(stem) or made)  # another delivery was first: its receipt is what is told
            except OF_ONE_OBJECT as error:
                damaged.append(error)
        telling.tell(standing)
        return written, [watch.name for watch in watches if watch.probe.digest != scene.digest]

    def _receipt(self, tally: Tally, scene: OpenScene, event: Announced, file: SceneFile) -> WatchReceipt:
        watch, matches = tally.watch, tally.matches
        stem = receipt_stem(watch.name, watch.version, event.run, file.revision)
        rest = matches[MOST_SHOWN:]
        return WatchReceipt(
            id=stem.partition("/")[2],
            watch=watch.name,
            version=watch.version,
            run=event.run,
            generation=file.revision,
            scene=event.scene,
            source_uri=event.landed_uri,
            token=file.token,
            digest=scene.digest,
            instrument=scene.instrument,
            acquired=scene.acquired,
            at=self.clock(),
            threshold=watch.threshold or 0.0,
            chips=tally.chips,
            scored=tally.scored,
            left_out=tally.reasons,
            matched=len(matches),
            scores=tally.quantiles,
            top=tuple(
                Match(uci=each.uci, cell=each.cell, index=each.index, score=each.score, footprint=each.geometry)
                for each in matches[:MOST_SHOWN]
            ),
            rest=Rest(
                uci=tuple(each.uci for each in rest),
                cell=tuple(each.cell for each in rest),
                score=tuple(each.score for each in rest),
            ),
            embeddings=f"{self.root_name}{file.parquet}",
            receipt=f"{self.root_name}{stem}.json",
        )

    def _read(self, stem: str) -> WatchReceipt | None:
        key = f"{stem}.json"
        try:
            content, _ = self.root.get(key, most=MOST_RECEIPT_BYTES)
        except ObjectMissingError:
            return None
        found = WatchReceipt.parse(content, uri=f"{self.root.uri}/{key}")
        if (found.key, f"{WATCHED}{found.id}") != (key, stem):
            msg = f"{self.root.uri}/{key} says that it is {found.id}, of {found.key}. Move it to where it belongs."
            raise DatasetError(msg)
        return found
