"""Chips on their way from scenes' files to those of their square: a file that they wait in, and their order.

Memory holds what the order needs of each chip (some 300 bytes); vectors and the rest wait in the file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.dataset.compaction import Rewrite
from clayline.dataset.hilbert import hilbert
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import SceneRow
from clayline.errors import DatasetError, SceneFilesError, in_a_line
from clayline.ports import ObjectMissingError

_PIECE: Final = 32 * 1024 * 1024
"""Bytes of a request."""
_BATCH: Final = 4_096
_HALF_TURN: Final = 180.0
_LOST: Final = (
    "Restore it from where it was written, or take what the index has of it away: `clayline index ROOT --forget-lost`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """What the order needs of each chip, [n] each, in the spool's order."""

    uci: NDArray[np.bytes_]
    cell: NDArray[np.bytes_]
    place: NDArray[np.int64]
    moment: NDArray[np.int64]
    scene: NDArray[np.bytes_]

    def order(self, rewrite: Rewrite) -> NDArray[np.int64]:
        """Give the positions in their order.

        Raises SceneFilesError for identifiers that stand twice, naming of the scenes that would bring them in those
        that come later, and DatasetError where they stood twice in the files before.
        """
        self._refuse_twins(rewrite)
        cells, number = np.unique(self.cell, return_inverse=True)
        places = np.full(len(cells), np.iinfo(np.int64).max)
        np.minimum.at(places, number, self.place)
        place = np.where(self.cell == b"", self.place, places[number])  # one place a cell: footprints differ by dates
        return np.lexsort((self.uci, self.moment, number, place))

    def _refuse_twins(self, rewrite: Rewrite) -> None:
        rank = {row.scene.encode(): at for at, row in enumerate(rewrite.scenes)}  # what is in the files comes first
        ranks = np.array([rank[scene] for scene in self.scene.tolist()])
        by_uci = np.lexsort((ranks, self.uci))
        again = np.flatnonzero(self.uci[by_uci][1:] == self.uci[by_uci][:-1]) + 1
        fresh = {row.scene for row in rewrite.fresh}
        later: dict[str, str] = {}
        for at in again.tolist():
            uci = self.uci[by_uci[at]]
            first, second = (rewrite.scenes[ranks[by_uci[each]]] for each in (self._begins(by_uci, at), at))
            msg = (
                f"its chip {uci.decode()} stands in {first.href} too: an identifier has one row. The two scenes are one"
                " acquisition under two names: move the files of this one away and take its row out of the index"
                " (`clayline index ROOT --forget-lost`)"
            )
            if second.scene not in fresh:
                raise DatasetError(f"{second.href}: {msg}")
            later.setdefault(second.href, msg)
        if later:
            raise SceneFilesError(later)

    def _begins(self, by_uci: NDArray[np.int64], at: int) -> int:
        """Give where the run of one identifier begins that holds the position ``at``."""
        while at and self.uci[by_uci[at - 1]] == self.uci[by_uci[at]]:
            at -= 1
        return at


def spool(root: Root, rewrite: Rewrite, schema: pa.Schema, path: Path) -> Keys:
    """Bring every chip that stays to the spool.

    Raises SceneFilesError for scenes whose own files are lost, damaged or others than were indexed, DatasetError for
    files of the square, ObjectMissingError where those are gone, TransientError.
    """
    fresh = {row.scene for row in rewrite.fresh}
    inside = {row.scene: row.revision for row in rewrite.scenes if row.scene not in fresh}
    copy = path.with_name("copy.parquet")
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            filling = _Filling(root=root, schema=schema, writer=writer, copy=copy)
            lost = {row.href: why for row in rewrite.fresh if (why := filling.add_scene(row))}
            for file in rewrite.files if inside else ():
                copy_object(root, file.file.href, file.file.size, None, copy)
                for batch in _batches(copy, f"{root.uri}/{file.file.href}"):
                    if (left := _newest(batch, inside, schema)).num_rows:
                        filling.put(left)
    finally:
        copy.unlink(missing_ok=True)
    if lost:
        raise SceneFilesError(lost)
    if wrong := next((row for row in rewrite.scenes if filling.counted[row.scene] != row.rows), None):
        msg = (
            f"of {wrong.href}, which has {wrong.rows} chips by the index, {filling.counted[wrong.scene]} were found in"
            " the square's files"
        )
        raise DatasetError(msg)
    uci, cell, place, moment, scene = (np.concatenate(each) for each in zip(*filling.keys, strict=True))
    return Keys(uci=uci, cell=cell, place=place, moment=moment, scene=scene)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Filling:
    """The spool while it is written."""

    root: Root
    schema: pa.Schema
    writer: pa.ipc.RecordBatchFileWriter
    copy: Path
    keys: list[tuple[NDArray[Any], ...]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    """Chips by scene."""

    def put(self, batch: pa.RecordBatch) -> None:
        """Add chips."""
        self.writer.write_batch(batch)
        self.keys.append(_keys(batch))
        for scene, count in zip(*np.unique(self.keys[-1][-1], return_counts=True), strict=True):
            self.counted[scene.decode()] += int(count)

    def add_scene(self, row: SceneRow) -> str | None:
        """Add a scene's chips; gives why its file cannot be used, and what to do, where it cannot.

        Raises TransientError.
        """
        try:
            copy_object(self.root, row.href, row.size, row.etag, self.copy)
            for batch in _batches(self.copy, f"{self.root.uri}/{row.href}"):
                self.put(_of_scene(batch, row, self.schema))
        except (ObjectMissingError, DatasetError) as error:
            return f"{error}. {_LOST}"
        if self.counted[row.scene] != row.rows:
            return f"it has {row.rows} chips by the index, and {self.counted[row.scene]} were found. {_LOST}"
        return None


def copy_object(root: Root, key: str, size: int, etag: str | None, path: Path) -> None:
    """Bring an object to the scratch folder, piece by piece. Raises ObjectMissingError, TransientError."""
    with path.open("wb") as file:
        for start in range(0, size, _PIECE):
            file.write(root.get_range(key, start=start, stop=min(start + _PIECE, size), etag=etag))


def _batches(path: Path, where: str) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH)
    except (pa.ArrowException, OSError) as error:
        msg = f"{where} is no whole Parquet file: {in_a_line(error)}"
        raise DatasetError(msg) from error


def _of_scene(batch: pa.RecordBatch, row: SceneRow, schema: pa.Schema) -> pa.RecordBatch:
    """Give a scene's rows with its name and revision beside them. Raises DatasetError for other columns."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    columns["scene"] = pa.repeat(pa.scalar(row.scene), batch.num_rows)
    columns["revision"] = pa.repeat(pa.scalar(row.revision, pa.int32()), batch.num_rows)
    try:
        return pa.RecordBatch.from_arrays(
            [columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema
        )
    except (pa.ArrowException, KeyError) as error:
        msg = f"{row.href} is not a file of embeddings as Clayline writes them: {error!r}"
        raise DatasetError(msg) from error


def _newest(batch: pa.RecordBatch, inside: Mapping[str, int], schema: pa.Schema) -> pa.RecordBatch:
    """Give the rows of the revisions that stay."""
    scenes, revisions = batch.column("scene").to_pylist(), batch.column("revision").to_pylist()
    stays = [inside.get(str(scene)) == revision for scene, revision in zip(scenes, revisions, strict=True)]
    return batch.select(schema.names).filter(pa.array(stays)).cast(schema)


def _keys(batch: pa.RecordBatch) -> tuple[NDArray[Any], ...]:
    box = cast("pa.StructArray", batch.column("bbox"))
    west, south, east, north = (
        np.asarray(box.field(name).to_numpy(zero_copy_only=False)) for name in ("xmin", "ymin", "xmax", "ymax")
    )
    middle = np.where(east - west > _HALF_TURN, _HALF_TURN, (west + east) / 2)  # over the antimeridian
    return (
        np.array([str(uci).encode() for uci in batch.column("uci").to_pylist()]),
        np.array([str(cell or "").encode() for cell in batch.column("cell").to_pylist()]),
        hilbert(middle, (south + north) / 2),
        batch.column("datetime").cast(pa.int64()).to_numpy(zero_copy_only=False),
        np.array([str(scene).encode() for scene in batch.column("scene").to_pylist()]),
    )


class Spooled:
    """The spool's rows by position: mapped, not read."""

    def __init__(self, reader: pa.ipc.RecordBatchFileReader) -> None:
        self._batches = [reader.get_batch(at) for at in range(reader.num_record_batches)]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def take(self, positions: NDArray[np.int64]) -> pa.Table:
        """Give rows in the order of ``positions``. pyarrow's own ``take`` would join all batches in memory first."""
        of = np.searchsorted(self._starts, positions, side="right") - 1
        found, order = [], []
        for at in np.unique(of):
            mine = np.flatnonzero(of == at)
            found.append(self._batches[at].take(positions[mine] - self._starts[at]))
            order.append(mine)
        back = np.argsort(np.concatenate(order), kind="stable")
        return pa.Table.from_batches(found).combine_chunks().take(back)
