"""A Parquet file read where it lies: its footer in one request, then only what is wanted of some row groups.

Nothing of a file is believed: what is damaged or made to harm is a DatasetError that names it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.dataset.ports import Root
from clayline.errors import DatasetError, TableError, in_a_line
from clayline.ports import ObjectMissingError
from clayline.table.as_file import AsFile
from clayline.table.pages import COLUMN, LEAF, PagedRows, arrow_vectors, index_places, is_paged, paged

MOST_FOOTER: Final = 64 * 1024 * 1024
"""Bytes."""
MOST_GROUP: Final = 2 * 1024 * 1024 * 1024
"""Bytes of a row group, decoded."""
_TAIL: Final = 64 * 1024
"""Bytes that are asked for of a file of one row group."""
_TAIL_A_GROUP: Final = 3 * 1024
"""Bytes more of each: the footer has some 2.5 KB of a group of schema.md's columns."""
_NEAR: Final = 128 * 1024
"""Bytes between two ranges that are read with them: cheaper than another request."""
_AT_ONCE: Final = 4
"""Requests of a row group on their way: pages of some rows lie apart."""
_END: Final = 8
_MAGIC: Final = b"PAR1"
_COPIES: Final = "dataset/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Bytes of a file, ``stop`` not among them."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class FileAt:
    """A file to be read: what an index says of it."""

    key: str
    size: int
    """Bytes."""
    rows: int
    """As the index says: how much footer to ask for."""
    etag: str | None = None
    """Of the object that is meant; None: any, for a name that says its contents."""
    group_rows: int = 1024
    """Of a row group, as far as is known."""

    @property
    def tail(self) -> int:
        """How many bytes at its end are asked for."""
        return min(self.size, _TAIL + _TAIL_A_GROUP * (self.rows // self.group_rows))


class RangedFile:
    """A file whose footer was read."""

    def __init__(self, root: Root, at: FileAt, metadata: pq.FileMetaData, footer: Range, tail: bytes) -> None:
        """Take what ``open`` read."""
        self._root = root
        self._metadata: Any = metadata  # the stubs lack some of what is read of it
        self._tail = tail
        self._lock = Lock()
        self._indexes: list[tuple[int, int] | None] | None = None
        self.at = at
        self.footer = footer

    @classmethod
    def open(cls, root: Root, at: FileAt) -> Self:
        """Read the footer: one request, two if it is larger than usual.

        Raises DatasetError for what is no Parquet file, or another one than the index means; TransientError.
        """
        start = at.size - at.tail
        tail = _get(root, at, Range(start=start, stop=at.size))
        if len(tail) < _END or tail[-len(_MAGIC) :] != _MAGIC:
            raise damaged(root, at, "it does not end as a Parquet file does")
        length = int.from_bytes(tail[-_END : -len(_MAGIC)], "little") + _END
        if length > min(at.size, MOST_FOOTER):
            raise damaged(root, at, f"its footer says that it has {length} bytes of {at.size}")
        if length > len(tail):
            more = Range(start=at.size - length, stop=start)
            tail = _get(root, at, more) + tail
            start = more.start
        try:
            metadata = pq.read_metadata(pa.BufferReader(tail[-length:]))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(root, at, f"its footer cannot be read ({error})") from error
        found = cls(root, at, metadata, Range(start=start, stop=at.size), tail)
        if metadata.num_rows != at.rows:
            raise damaged(root, at, f"it has {metadata.num_rows} rows, and the index says {at.rows}")
        found._check()
        return found

    @property
    def groups(self) -> int:
        """Number of row groups."""
        return int(self._metadata.num_row_groups)

    @property
    def names(self) -> list[str]:
        """Columns, in their order."""
        return list(self.schema.names)

    @cached_property
    def schema(self) -> pa.Schema:
        """Raises DatasetError for a schema that Arrow does not know."""
        try:
            schema: pa.Schema = self._metadata.schema.to_arrow_schema()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self._root, self.at, f"its schema cannot be read ({error})") from error
        return schema

    def rows(self, group: int) -> int:
        """Rows of a group."""
        return int(self._metadata.row_group(group).num_rows)

    def extremes(self, leaf: str) -> tuple[list[Any], list[Any]]:
        """Give least and greatest value of a leaf column (``bbox.xmin``) by group; None where there is no statistic."""
        at = self._leaves.get(leaf)
        least: list[Any] = [None] * self.groups
        greatest: list[Any] = [None] * self.groups
        if at is None:
            return least, greatest
        for group in range(self.groups):
            found = self._metadata.row_group(group).column(at).statistics
            if found is not None and found.has_min_max:
                least[group], greatest[group] = found.min, found.max
        return least, greatest

    @cached_property
    def moments(self) -> tuple[list[Any], list[Any]]:
        """First and last ``datetime`` by group; None where there is no statistic."""
        return self.extremes("datetime")

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """Give [groups, 4]: west, south, east, north of what is in each group; without statistics the whole globe."""
        sides = (("bbox.xmin", 0, -180.0), ("bbox.ymin", 0, -90.0), ("bbox.xmax", 1, 180.0), ("bbox.ymax", 1, 90.0))
        found = [
            [globe if value is None else float(value) for value in self.extremes(leaf)[end]]
            for leaf, end, globe in sides
        ]
        return np.array(found, dtype=np.float64).reshape(len(sides), self.groups).T

    def paged(self, group: int, rows: NDArray[np.int64]) -> PagedRows | None:
        """Find the pages that hold the vectors of some rows of a group; None where they are to be read whole.

        Its page index lies before the footer, and mostly came with it: else it is a request. Raises DatasetError,
        TransientError.
        """
        at = self._leaves.get(LEAF)
        if at is None or not is_paged(
            self._metadata.row_group(group).column(at), self._metadata.schema.column(at), self.rows(group)
        ):
            return None
        try:
            with self._lock:
                if self._indexes is None:
                    length = int.from_bytes(self._tail[-_END : -len(_MAGIC)], "little") + _END
                    self._indexes = index_places(self._tail[-length:-_END], at)
            place = self._indexes[group]
            if place is None:
                return None
            part = Range(start=place[0], stop=min(place[1], self.at.size))
            near = part.start - self.footer.start
            body = self._tail[near : near + part.size] if near >= 0 else _get(self._root, self.at, part)
            return paged(self._metadata.row_group(group).column(at), body, rows, self.rows(group))
        except (TableError, IndexError) as error:
            raise damaged(self._root, self.at, f"row group {group}: {error}") from error

    def settle(self) -> None:
        """Let go of the file's end, when the pages of all groups that are wanted were found."""
        with self._lock:
            self._tail = b""

    def ranges(self, group: int, columns: Sequence[str], pages: PagedRows | None = None) -> list[Range]:
        """Give the bytes that hold these columns of a group, of the vectors some pages alone: neighbours in one."""
        wanted = set(columns)
        of_group = self._metadata.row_group(group)
        chunks = []
        for leaf, at in self._leaves.items():
            if leaf == LEAF and pages and COLUMN in wanted:
                chunks += [Range(start=page.start, stop=page.stop) for page in pages.pages]
            elif leaf.partition(".")[0] in wanted:
                chunk = of_group.column(at)
                start = chunk.data_page_offset
                if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                    start = min(start, chunk.dictionary_page_offset)
                chunks.append(Range(start=start, stop=start + chunk.total_compressed_size))
        joined: list[Range] = []
        for chunk in sorted(chunks, key=lambda each: each.start):
            if joined and chunk.start - joined[-1].stop <= _NEAR:
                joined[-1] = Range(start=joined[-1].start, stop=max(joined[-1].stop, chunk.stop))
            else:
                joined.append(chunk)
        return joined

    def read(self, group: int, columns: Sequence[str], pages: PagedRows | None = None) -> pa.Table:
        """Read these columns of a group, in the file's order; with ``pages`` their rows alone.

        Raises DatasetError where the file is damaged or is no longer the one that was opened; TransientError.
        """
        wanted = self.ranges(group, columns, pages)
        with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(wanted)))) as threads:
            parts = list(zip(wanted, threads.map(partial(_get, self._root, self.at), wanted), strict=True))
        names = [name for name in self.names if name in set(columns)]
        if pages is None or COLUMN not in names:
            table = self._whole(group, names, parts)
            return table if pages is None else table.take(pages.rows)
        others = [name for name in names if name != COLUMN]
        found: dict[str, Any] = {}
        if others:
            table = self._whole(group, others, parts).take(pages.rows)
            found = dict(zip(others, table.columns, strict=True))
        schema = pa.schema([self.schema.field(name) for name in names])
        try:
            found[COLUMN] = arrow_vectors(pages.vectors(partial(_of, parts)), schema.field(COLUMN).type)
            return pa.table([found[name] for name in names], schema=schema)
        except (TableError, OSError, pa.ArrowException, ValueError) as error:
            raise damaged(self._root, self.at, f"row group {group} cannot be read ({error})") from error

    def _whole(self, group: int, names: Sequence[str], parts: Sequence[tuple[Range, bytes]]) -> pa.Table:
        try:
            with pq.ParquetFile(
                pa.PythonFile(AsFile(self.at.size, partial(_of, parts)), mode="r"), metadata=self._metadata
            ) as file:
                table = file.read_row_group(group, columns=list(names), use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self._root, self.at, f"row group {group} cannot be read ({error})") from error
        if table.num_rows != self.rows(group):
            raise damaged(self._root, self.at, f"row group {group} has {table.num_rows} rows, not those it announces")
        return table

    @cached_property
    def _leaves(self) -> dict[str, int]:
        schema = self._metadata.schema
        return {schema.column(at).path: at for at in range(len(schema))}

    def _check(self) -> None:
        """Refuse chunks outside the file, and groups that would fill memory."""
        for group in range(self.groups):
            found = self._metadata.row_group(group)
            if not 0 <= found.total_byte_size <= MOST_GROUP:
                raise damaged(self._root, self.at, f"row group {group} says that it has {found.total_byte_size} bytes")
            for each in self.ranges(group, self.names):
                if not 0 <= each.start < each.stop <= self.at.size:
                    msg = f"row group {group} says that it lies at bytes {each.start} to {each.stop} of {self.at.size}"
                    raise damaged(self._root, self.at, msg)


def _of(parts: Sequence[tuple[Range, bytes]], start: int, stop: int) -> bytes:
    """Give bytes of the ranges that were read. Raises OSError outside of them."""
    for part, body in parts:
        if part.start <= start < part.stop:
            return body[start - part.start : stop - part.start]
    msg = f"byte {start} lies outside of what the footer announces"
    raise OSError(msg)


def damaged(root: Root, at: FileAt, what: str) -> DatasetError:
    """Give the error that names a file; ``what`` may quote a library's words, which are of several lines."""
    return DatasetError(
        f"{root.uri}/{at.key}: {in_a_line(what)}. It is damaged, or is not what the index means: `clayline verify` says"
        " more; files under dataset/ can be made again from the scene files."
    )


def _gone(root: Root, key: str) -> str:
    """Say what to do where an object is not there, of which the index knows."""
    if key.startswith(_COPIES):
        return (
            "the dataset was changed since it was opened, longer ago than its grace period. Open the dataset again; if"
            " that says the same, the object was taken away: files under dataset/ are copies, move `dataset/` away and"
            " make it again with `clayline index` and `clayline compact`."
        )
    return (
        "the index has this scene, and its file was taken away. Restore it, or take its row out of the index with"
        f" `clayline index ROOT --forget-lost` (ROOT is {root.uri}), then open the dataset again."
    )


def _get(root: Root, at: FileAt, part: Range) -> bytes:
    try:
        body = root.get_range(at.key, start=part.start, stop=part.stop, etag=at.etag)
    except ObjectMissingError as error:
        raise DatasetError(f"{error}: {_gone(root, at.key)}") from error
    if len(body) != part.size:
        raise damaged(root, at, f"it has fewer bytes than the {at.size} of the index")
    return body
