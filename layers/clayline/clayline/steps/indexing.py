"""Index: a scene's file gets its row, at a cost that no other scene has a part in (docs/dataset.md, Appending)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from pydantic import ValidationError

from clayline.dataset.manifest import FRAGMENTS
from clayline.dataset.ports import Root, Stored, WritableRoot
from clayline.dataset.scene_file import SceneFile, SceneHeader
from clayline.dataset.scene_row import SceneKey, SceneRow
from clayline.dataset.snapshot import Snapshot
from clayline.errors import DatasetError, TransientError
from clayline.outputs.outline import geometry_wkb
from clayline.ports import ObjectMissingError
from clayline.run.announced import Announced
from clayline.run.receipt import Receipt

_MOST_RECEIPT: Final = 1024 * 1024 * 1024
_MOST_ITEM: Final = 64 * 1024 * 1024
INDEXED: Final = frozenset({"SceneEmbedded", "ScenePartial"})


class Indexed(StrEnum):
    """What became of an event."""

    ROW = "indexed"
    """The scene has its row."""
    NO_FILE = "no file"
    """The scene failed."""
    ELSEWHERE = "elsewhere"
    """Of another root: another stack's, on the same bus."""
    GONE = "gone"
    """Announced once more, and its files were taken away since."""


class ReadHeader(Protocol):
    """The reader of a file's end: ``clayline.table.scene_header.read_scene_header``."""

    def __call__(self, root: Root, stored: Stored) -> SceneHeader:
        """Raises DatasetError, and what ``root`` raises."""
        ...


class EncodeRows(Protocol):
    """The index's writer: ``clayline.table.scene_rows.encode_rows``."""

    def __call__(self, rows: Iterable[SceneRow]) -> bytes:
        """Give a file of rows."""
        ...


@dataclass(frozen=True, kw_only=True)
class Indexing:
    """Ports of index."""

    root: WritableRoot
    read_header: ReadHeader
    encode_rows: EncodeRows

    def index(self, file: SceneFile) -> SceneRow | None:
        """Put a scene's fragment, unless it is there; None for a scene that has no file.

        Four reads and one conditional write, whatever the dataset holds. Raises DatasetError for files that contradict
        each other, ObjectMissingError where one is not there, TransientError.
        """
        receipt = self._receipt(file)
        if receipt.status not in INDEXED:
            return None
        try:
            item = json.loads(self.root.get(file.item, most=_MOST_ITEM)[0])
            geometry = geometry_wkb(item["geometry"])
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{self.root.uri}/{file.item} is no Item as Clayline writes them: {error!r}"
            raise DatasetError(msg) from error
        stored = self.root.head(file.parquet)
        header = self.read_header(self.root, stored)
        row = file.row(receipt=receipt, item=item, geometry=geometry, stored=stored, header=header)
        self.root.put_new(FRAGMENTS + row.fragment, self.encode_rows([row]))
        return row

    def answer(self, event: Announced, *, root_name: str) -> Indexed:
        """Index the scene that an event is about; ``root_name`` is what names of this root's objects begin with.

        Collect announces what stands, so files that are not there are looked for again, and end in the dead-letter
        queue. Raises TransientError, DatasetError.
        """
        file = SceneFile.of_receipt(event.receipt)
        if file is None or event.receipt != root_name + file.receipt:
            return Indexed.NO_FILE if event.status not in INDEXED else Indexed.ELSEWHERE
        try:
            row = self.index(file)
        except ObjectMissingError as error:
            if event.repeated:
                return Indexed.GONE
            msg = f"{event.scene} was announced, and a file of it is not there: {error}"
            raise TransientError(msg) from error
        return Indexed.NO_FILE if row is None else Indexed.ROW

    def _receipt(self, file: SceneFile) -> Receipt:
        try:
            return Receipt.model_validate_json(self.root.get(file.receipt, most=_MOST_RECEIPT)[0])
        except ValidationError as error:
            msg = f"{self.root.uri}/{file.receipt} is no receipt that this version reads: {error.errors()[0]['msg']}"
            raise DatasetError(msg) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """A root, compared with its index."""

    without_row: tuple[SceneFile, ...]
    """Scenes' files whose receipt has neither fragment nor row; and be it that the scene failed, and has none."""
    embedded: tuple[SceneFile, ...]
    """Those of them whose embeddings are there."""
    lost: tuple[SceneRow, ...]
    """Rows whose file is gone; or is another one, unless its chips are in their square's files."""


def survey(root: Root, snapshot: Snapshot, taken_in: Iterable[SceneRow]) -> Survey:
    """Look through a root.

    ``taken_in`` are the rows of all parts and of the history; they and the snapshot must be older than the listing that
    begins here. Raises what ``root`` raises.
    """
    rows = {(row.key, row.revision): row for row in (*snapshot.loose, *taken_in)}
    of_files = {row.href: row for row in rows.values()}
    found = []
    embeddings: set[str] = set()
    for stored in root.list(""):
        if stored.key.endswith(".parquet"):
            embeddings.add(stored.key)
        row = of_files.get(stored.key)
        if row and (row.compacted or (row.size, row.etag) == (stored.size, stored.etag)):
            del of_files[stored.key]
        file = SceneFile.of_receipt(stored.key)
        if file and stored.key == file.receipt and (SceneKey(file.token, file.scene), file.revision) not in rows:
            found.append(file)
    embedded = tuple(file for file in found if file.parquet in embeddings)
    return Survey(without_row=tuple(found), embedded=embedded, lost=tuple(of_files.values()))
