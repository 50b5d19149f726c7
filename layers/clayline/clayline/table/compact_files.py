"""The chips of a square and year as files of one order (docs/dataset.md, Compact files).

Memory holds what the order needs of each chip (some 300 bytes); vectors and the rest wait in a file.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.dataset.compaction import Rewrite
from clayline.dataset.hilbert import hilbert
from clayline.dataset.manifest import Extent
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import SceneRow
from clayline.errors import DatasetError
from clayline.table.geoparquet import (
    ARROW_SCHEMA,
    PAGE_BYTES,
    REPEATING,
    WITH_STATISTICS,
    columns_schema,
    geo,
    stored_schema,
)

MOST_ROWS: Final = 131_072
"""Of a file."""
ROW_GROUP_ROWS: Final = 1_024
_PIECE: Final = 32 * 1024 * 1024
"""Bytes of a request."""
_BATCH: Final = 4_096
_HALF_TURN: Final = 180.0
_MULTI: Final = 6
_FORMAT: Final = "clayline-dataset-file/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFile:
    """A file in the scratch folder, which is deleted when the next one is asked for."""

    path: Path
    size: int
    sha256: str
    rows: int
    extent: Extent


def dataset_schema(dimensions: int) -> pa.Schema:
    """Give the columns of a compact file: those of a scene's, the scene and its revision."""
    schema = columns_schema(dimensions)
    schema = schema.append(pa.field("scene", pa.string(), nullable=False))
    return schema.append(pa.field("revision", pa.int32(), nullable=False))


def write_compact_files(
    root: Root,
    rewrite: Rewrite,
    *,
    scratch: Path,
    stamp: str,
    row_group_rows: int = ROW_GROUP_ROWS,
    most_rows: int = MOST_ROWS,
) -> Iterator[WrittenFile]:
    """Give the files of a square and year, one after the other; none where no scene is left in it.

    ``stamp`` stands in each, so that no two passes write the same bytes. Raises DatasetError for an identifier that
    would stand twice, naming both scenes, and for files that are not what the index says; ObjectMissingError,
    TransientError.
    """
    if not rewrite.scenes:
        return
    schema = dataset_schema(rewrite.scenes[0].dimensions)
    spool = scratch / "chips.arrow"
    try:
        keys = _spool(root, rewrite, schema, spool)
        order = keys.order(rewrite)
        with pa.memory_map(str(spool)) as mapped, pa.ipc.open_file(mapped) as reader:
            chips = _Spooled(reader)
            for start in range(0, len(order), most_rows):
                path = scratch / "file.parquet"
                try:
                    yield _written(
                        path, rewrite, schema, chips, order[start : start + most_rows], stamp, row_group_rows
                    )
                finally:
                    path.unlink(missing_ok=True)
    finally:
        spool.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Keys:
    """What the order needs of each chip, [n] each, in the spool's order."""

    uci: NDArray[np.bytes_]
    cell: NDArray[np.bytes_]
    place: NDArray[np.int64]
    moment: NDArray[np.int64]
    scene: NDArray[np.bytes_]

    def order(self, rewrite: Rewrite) -> NDArray[np.int64]:
        """Give the positions in their order. Raises DatasetError for an identifier that stands twice."""
        by_uci = np.argsort(self.uci, kind="stable")
        same = np.flatnonzero(self.uci[by_uci][1:] == self.uci[by_uci][:-1])
        if len(same):
            one, other = by_uci[same[0]], by_uci[same[0] + 1]
            hrefs = {row.scene: row.href for row in rewrite.scenes}
            where = [hrefs[self.scene[at].decode()] for at in (one, other)]
            msg = (
                f"the chip {self.uci[one].decode()} stands in {where[0]} and in {where[1]}: an identifier has one row."
                " The two scenes are one acquisition under two names; take the files of one of them, and its fragment,"
                " away."
            )
            raise DatasetError(msg)
        cells, number = np.unique(self.cell, return_inverse=True)
        places = np.full(len(cells), np.iinfo(np.int64).max)
        np.minimum.at(places, number, self.place)
        place = np.where(self.cell == b"", self.place, places[number])  # one place a cell: footprints differ by dates
        return np.lexsort((self.uci, self.moment, number, place))


def _spool(root: Root, rewrite: Rewrite, schema: pa.Schema, path: Path) -> _Keys:
    """Bring every chip that stays to the spool. Raises DatasetError, ObjectMissingError, TransientError."""
    wanted = {row.scene: row for row in rewrite.scenes}
    fresh = {row.scene for row in rewrite.fresh}
    inside = {scene: row.revision for scene, row in wanted.items() if scene not in fresh}
    counted = dict.fromkeys(wanted, 0)
    keys: list[tuple[NDArray[Any], ...]] = []
    copy = path.with_name("copy.parquet")
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:

            def put(batch: pa.RecordBatch) -> None:
                writer.write_batch(batch)
                keys.append(_keys(batch))
                for scene, count in zip(*np.unique(keys[-1][-1], return_counts=True), strict=True):
                    counted[scene.decode()] += int(count)

            for row in rewrite.fresh:
                copy_object(root, row.href, row.size, row.etag, copy)
                for batch in _batches(copy, f"{root.uri}/{row.href}"):
                    put(_of_scene(batch, row, schema))
            for file in rewrite.files if inside else ():
                copy_object(root, file.file.href, file.file.size, None, copy)
                for batch in _batches(copy, f"{root.uri}/{file.file.href}"):
                    if (left := _newest(batch, inside, schema)).num_rows:
                        put(left)
    finally:
        copy.unlink(missing_ok=True)
    if wrong := next((row for row in rewrite.scenes if counted[row.scene] != row.rows), None):
        msg = (
            f"{root.uri}/{wrong.href} has {wrong.rows} chips by the index, and {counted[wrong.scene]} were found."
            " Restore it, or, if its copies under `dataset/files/` are damaged, move `dataset/` away and make it again"
            " with `clayline index` and `clayline compact`."
        )
        raise DatasetError(msg)
    uci, cell, place, moment, scene = (np.concatenate(each) for each in zip(*keys, strict=True))
    return _Keys(uci=uci, cell=cell, place=place, moment=moment, scene=scene)


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
        msg = f"{where} is no whole Parquet file: {error}"
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


class _Spooled:
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


def _written(
    path: Path,
    rewrite: Rewrite,
    schema: pa.Schema,
    chips: _Spooled,
    order: NDArray[np.int64],
    stamp: str,
    row_group_rows: int,
) -> WrittenFile:
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    kinds: set[int] = set()
    with pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=1,
        use_dictionary=[*REPEATING, "scene"],  # type: ignore[arg-type] # the stubs know bool alone
        data_page_size=PAGE_BYTES,
        column_encoding={"embeddings.list.element": "PLAIN"},
        store_schema=False,
        write_statistics=[*WITH_STATISTICS, "scene", "revision"],
        write_page_index=True,
    ) as writer:
        for start in range(0, len(order), row_group_rows):
            table = chips.take(order[start : start + row_group_rows])
            writer.write_table(table, row_group_size=row_group_rows)
            box = np.array([list(each.values()) for each in cast("list[dict[str, float]]", table["bbox"].to_pylist())])
            bounds[:2] = np.minimum(bounds[:2], box[:, :2].min(axis=0))
            bounds[2:] = np.maximum(bounds[2:], box[:, 2:].max(axis=0))
            kinds |= {wkb[1 if wkb[0] else 4] for wkb in cast("list[bytes]", table["geometry"].to_pylist())}
        types = ["Polygon"] * bool(kinds - {_MULTI}) + ["MultiPolygon"] * (_MULTI in kinds)
        header = {"geo": json.dumps(geo(types, bounds.tolist())), **_described(rewrite, stamp)}
        writer.add_key_value_metadata({**header, ARROW_SCHEMA: stored_schema(schema, header)})
    west, south, east, north = bounds.tolist()
    return WrittenFile(
        path=path,
        size=path.stat().st_size,
        sha256=_sha256(path),
        rows=len(order),
        extent=Extent(
            west=west,
            south=south,
            east=east,
            north=north,
            start=min(row.start for row in rewrite.scenes),
            end=max(row.end for row in rewrite.scenes),
        ),
    )


def _described(rewrite: Rewrite, stamp: str) -> dict[str, str]:
    partition, first = rewrite.partition, rewrite.scenes[0]
    emb = {
        "emb:type": "chip",
        "emb:dimensions": first.dimensions,
        "data_type": "float32",
        "emb:model": partition.token,
    }
    clayline = {
        "format": _FORMAT,
        "token": partition.token,
        "digest": first.digest,
        "square": partition.square,
        "year": partition.year,
        "stamp": stamp,
    }
    return {"emb": json.dumps(emb), "clayline": json.dumps(clayline)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
