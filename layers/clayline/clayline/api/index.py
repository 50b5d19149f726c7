"""The index of a dataset, read once and kept."""

from collections.abc import Sequence
from operator import attrgetter
from shlex import quote

import numpy as np

from clayline.api.planning import meets
from clayline.dataset.asking import Span
from clayline.dataset.choosing import Chosen, choose, is_model, named
from clayline.dataset.manifest import Manifest
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import SceneKey, SceneRow, flat_boxes
from clayline.dataset.snapshot import Snapshot
from clayline.errors import DatasetError
from clayline.outputs.region import Region
from clayline.ports import ObjectMissingError
from clayline.table.index_reading import read_rows_of, read_snapshot
from clayline.table.lone_files import Unread


class Index:
    """A snapshot, and the parts and history of it that were needed so far."""

    def __init__(self, root: Root, *, rows: Sequence[SceneRow] | None = None, unread: Sequence[Unread] = ()) -> None:
        """Take the place; nothing is read yet. ``rows`` are given where scene files lie without an index, and
        ``unread`` are those of which there is no row.
        """
        self._root = root
        self._unread = unread
        self._snapshot = None if rows is None else Snapshot(manifest=Manifest(), loose=tuple(rows))
        self._rows: dict[str, list[SceneRow]] = {}

    @property
    def snapshot(self) -> Snapshot:
        """Read on the first use. Raises DatasetError, also where nothing was ever indexed, TransientError."""
        if self._snapshot is None:
            found = read_snapshot(self._root)
            if not found.manifest.version and not found.loose:
                msg = (
                    f"{self._root.uri} is no dataset: it has no index (no manifest and no fragment under dataset/). If"
                    f" scenes were embedded into it, run `clayline index {quote(self._root.uri)}`; else give the"
                    " folder, or s3://BUCKET/PREFIX, into which they were."
                )
                raise DatasetError(msg)
            self._snapshot = found
        return self._snapshot

    @property
    def called(self) -> str:
        """What messages call the place: files of this machine that were named have none but the root of all."""
        return self._root.uri or "what was given"

    @property
    def manifest(self) -> Manifest:
        """Of the snapshot."""
        return self.snapshot.manifest

    def choose(
        self,
        region: Region | None,
        span: Span,
        *,
        model: str | None,
        every_revision: bool,
        mixed: bool = False,
        lossy: bool = False,
    ) -> Chosen:
        """Choose scenes; of several models only if ``mixed``.

        Raises DatasetError, also for a model of which there is no scene anywhere, and, unless ``lossy``, for a file
        that may be meant and that could not be read; TransientError.
        """
        if not lossy:
            for lost in self.unread(region, span, model=model):
                raise DatasetError(lost.message)
        parts = [part.file.href for part in self.manifest.parts if meets(region, part.extent.box)]
        taken_in = self._read(parts)
        history = self._read([file.href for file in self.manifest.history]) if every_revision else None
        met = meeting(region, [*taken_in, *self.snapshot.loose, *(history or [])])
        chosen = choose(
            self.snapshot,
            taken_in,
            where=lambda row: met is None or id(row) in met,
            span=span,
            model=model,
            history=history,
            mixed=mixed,
        )
        if model is not None and not chosen.newest and not chosen.older:
            self._refuse_unknown(model)
        return chosen

    def unread(self, region: Region | None, span: Span, *, model: str | None) -> list[Unread]:
        """Give the files that may be meant and that could not be read, but for those of which a newer revision was."""
        newest = {row.key: row.revision for row in sorted(self.snapshot.loose, key=attrgetter("revision"))}
        return [
            each
            for each in self._unread
            if each.of_model(model)
            and each.revision > newest.get(SceneKey(each.token, each.scene), 0)
            and meets(region, each.box)
            and span.meets(each.start, each.end)
        ]

    def _refuse_unknown(self, model: str) -> None:
        """Tell a mistyped model from one that has nothing there."""
        everything = self._read([part.file.href for part in self.manifest.parts])
        known = sorted({(row.token, row.digest) for row in (*everything, *self.snapshot.loose)})
        if not any(is_model(model, *each) for each in known):
            listed = named("@" in model, known)
            msg = (
                f"{self.called} has no scene of the model {model}, but of: {listed or 'none'}. Name one of them"
                " (model, `--model`)."
            )
            raise DatasetError(msg)

    def _read(self, keys: list[str]) -> list[SceneRow]:
        if new := [key for key in keys if key not in self._rows]:
            try:
                for key in new:
                    self._rows[key] = read_rows_of(self._root, [key])
            except ObjectMissingError as error:
                msg = (
                    f"{error}: the dataset was changed since it was opened, longer ago than its grace period. Open it"
                    " again (`refresh()`)."
                )
                raise DatasetError(msg) from error
        return [row for key in keys for row in self._rows[key]]


def meeting(region: Region | None, rows: Sequence[SceneRow]) -> set[int] | None:
    """Give the ids of the objects whose box has something of the region, all looked at together; None is everywhere."""
    if region is None or not rows:
        return None
    bounds = [(number, flat) for number, row in enumerate(rows) for flat in flat_boxes(row.box)]
    met = region.overlaps(np.array([flat for _, flat in bounds]))
    return {id(rows[number]) for (number, _), is_met in zip(bounds, met.tolist(), strict=True) if is_met}
