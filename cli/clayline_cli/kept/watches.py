"""Watches under OUT (docs/watches.md): put into a session's cloud, and what its function made of them fetched."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clayline.aws.dataset_root import S3Root
from clayline.dataset.folder import FolderRoot
from clayline.dataset.scene_file import SceneFile
from clayline.errors import shown
from clayline.likeness.watch import WATCHES, Watch, version_key
from clayline.likeness.watch_receipt import MOST_RECEIPT_BYTES, WATCHED, WatchReceipt, receipt_stem
from clayline.likeness.watchbook import find
from clayline.ports import ObjectMissingError
from clayline.steps.telling import Mark, mark_key
from clayline_cli.kept.folder import Kept, told
from clayline_cli.kept.ledger import KeptLedger, KeptRun, inside
from clayline_local.stopping import check

if TYPE_CHECKING:
    from clayline_local.session import Session

_PATIENCE: Final = 60.0
"""Seconds after which a watch that says nothing of a scene is given up."""
_PAUSE: Final = 0.05
_SHEET: Final = "_sheet.png"
_MARKS: Final = mark_key("", 0).rpartition("/")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptWatches:
    """Those that lie in OUT."""

    kept: Kept
    session: "Session"
    warn: Callable[[str], None]
    coming: set[str] = field(default_factory=set)
    """Keys of pictures that are being drawn."""

    def restore(self) -> None:
        """Put them into the cloud before anything is dropped, with what they said of scenes that are there.

        A scene of which a watch has said nothing yet has its vectors put there too: announced again, it is looked at. A
        damaged watch is told and left out, so that it keeps no other from being answered. Raises CommandError.
        """
        found = find(FolderRoot(self.kept.out))
        for _, error in sorted(found.damaged.items()):
            self.warn(shown(str(error)))
        for watch in found.watches:
            self._put(version_key(watch.name, watch.version))
        ready = [watch for watch in found.watches if watch.threshold is not None]
        whole = KeptLedger.read(self.kept.ledger).whole(self.kept.out) if ready else {}
        for run, entry in whole.items():
            self._restore_run(run, entry, ready)

    def _restore_run(self, run: str, entry: KeptRun, watches: list[Watch]) -> None:
        file = SceneFile.of_receipt(entry.outputs["receipt"])
        if file is None:
            return
        for watch in watches:
            if watch.probe.token != file.token:
                continue
            stem = receipt_stem(watch.name, watch.version, run, file.revision)
            said = f"{stem}.json" if (self.kept.out / f"{stem}.json").is_file() else entry.outputs.get("parquet")
            for key in filter(None, [said, mark_key(run, file.revision)]):
                if (self.kept.out / key).is_file():
                    self._put(key)

    def _put(self, key: str) -> None:
        path = inside(self.kept.out, key)
        with told(path):
            self.session.s3.upload_file(str(path), self.session.embeddings_bucket, key)

    def answers(self, detail: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Wait for what the watches in OUT say of a scene whose event has this ``detail``, and fetch it; by name.

        A watch that does not answer is told, and so is a picture that does not come. Raises CommandError, Stopped.
        """
        stems = {watch.name: stem for watch, stem in self._asked(detail)}
        deadline = time.monotonic() + _PATIENCE
        found: dict[str, WatchReceipt] = {}
        while len(found) < len(stems) and time.monotonic() < deadline:
            check()
            for name, stem in stems.items():
                if name not in found and (receipt := self._receipt(stem)):
                    found[name] = receipt
            if len(found) < len(stems):
                time.sleep(_PAUSE)
        for name in sorted(stems.keys() - found.keys()):
            self.warn(
                f"the watch {name} said nothing of {detail['scene']} in {_PATIENCE:.0f} s. Its log is in OUT/logs."
            )
        events = [found[name].event() for name in sorted(found)]
        for event in events:
            self.expect_sheet(event)
        deadline = time.monotonic() + _PATIENCE
        while self.coming and time.monotonic() < deadline:
            check()
            if not list(self.drawn()):
                time.sleep(_PAUSE)
        if self.coming:
            self.warn(f"what matched was not drawn in {_PATIENCE:.0f} s. The log of sheet is in OUT/logs.")
            self.coming.clear()
        self.fetch()
        return events

    def expect_sheet(self, event: Mapping[str, Any]) -> None:
        """Take note that a match is being drawn, unless its run's plan is of an earlier call: nobody draws without."""
        if event["matched"] and self._has_plan(event["run"]) and (key := self.session.output_key(event["sheet"])):
            self.coming.add(key)

    def drawn(self) -> Iterator[Path]:
        """Fetch and give the pictures that have come since. Raises CommandError."""
        for key in sorted(self.coming):
            if next(iter(self._root.list(key)), None):
                self.coming.discard(key)
                if path := self._fetch(key):
                    yield path

    def sheets(self, events: Sequence[Mapping[str, Any]]) -> dict[str, Path]:
        """Give the pictures that lie in OUT, by ``sheet`` and the watch's name."""
        keys = {each["watch"]: self.session.output_key(each["sheet"]) for each in events}
        paths = {name: self.kept.out / key for name, key in keys.items() if key}
        return {f"sheet {name}": path for name, path in paths.items() if path.is_file()}

    def _has_plan(self, run: str) -> bool:
        bucket = self.session.stack.outputs["WorkBucket"]
        return next(iter(S3Root(self.session.s3, bucket=bucket).list(f"plans/{run}/plan.json")), None) is not None

    def _asked(self, detail: Mapping[str, Any]) -> Iterator[tuple[Watch, str]]:
        """Give the watches that look at the scene, and what the keys of their receipts begin with."""
        key = self.session.output_key(detail["outputs"].get("receipt", ""))
        file = SceneFile.of_receipt(key) if key and "parquet" in detail["outputs"] else None
        if file is None:
            return
        model = {(entry.token, entry.digest) for entry in self.session.manifest.entries}
        for watch in find(FolderRoot(self.kept.out)).watches:
            probe = watch.probe
            if watch.threshold is not None and probe.token == file.token and (probe.token, probe.digest) in model:
                yield watch, receipt_stem(watch.name, watch.version, detail["run"], file.revision)

    def _receipt(self, stem: str) -> WatchReceipt | None:
        """Give what a watch said, once it has told all: a match is told by an event too."""
        root, key = self._root, f"{stem}.json"
        try:
            found = WatchReceipt.parse(root.get(key, most=MOST_RECEIPT_BYTES)[0], uri=f"{root.uri}/{key}")
            mark = root.get(mark_key(found.run, found.generation), most=MOST_RECEIPT_BYTES)[0] if found.matched else b""
        except ObjectMissingError:
            return None
        return found if not found.matched or found.id in Mark.model_validate_json(mark).told else None

    def fetch(self) -> None:
        """Download what lies in the cloud of watches and is not in OUT: versions, receipts, and what goes with them.

        Raises CommandError.
        """
        for prefix in (WATCHES, WATCHED):
            for stored in self._root.list(prefix):
                if not stored.key.endswith(_SHEET):  # they come by their own way, and only what was drawn from a plan
                    self._fetch(stored.key)

    def _fetch(self, key: str) -> Path | None:
        try:
            path = inside(self.kept.out, key)
        except ValueError as error:
            self.warn(f"{key} was not fetched: {error}")
            return None
        with told(path):
            if key.startswith(_MARKS):  # the one thing that grows, and nobody's but the function's
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_name(f".{path.name}.part")
                part.write_bytes(self._root.get(key, most=MOST_RECEIPT_BYTES)[0])
                part.replace(path)
            elif not path.exists():
                self.kept.deliver(self.session, key, path)
        return path

    @property
    def _root(self) -> S3Root:
        return S3Root(self.session.s3, bucket=self.session.embeddings_bucket)


def line_of(event: Mapping[str, Any]) -> str:
    """Say what a watch found in a scene, by the event that a receipt makes."""
    best = "".join(f", the best {each['score']:.3f}" for each in event["matches"][:1])
    name = f"{event['watch']} v{event['version']:03d}"
    return f"{name}: {event['matched']:,} of {event['scored']:,} chips match at {event['threshold']:.9g}{best}"
