"""Pages of the vectors of a row group, so that of a few rows a few are fetched: by Parquet's page index.

pyarrow reads a column of a row group whole. Here only what Clayline's own files have is decoded: data pages (v1) of
float32, PLAIN, without nulls, each row as long as the other. Of anything else the column is read whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clayline.errors import TableError, in_a_line
from clayline.table.bounds import MAX_PAGE
from clayline.table.thrift import Reader

COLUMN: Final = "embeddings"
LEAF: Final = "embeddings.list.element"
_ENCODINGS: Final = frozenset({"PLAIN", "RLE", "BIT_PACKED"})
_CODECS: Final[dict[str, Literal["zstd"] | None]] = {"ZSTD": "zstd", "UNCOMPRESSED": None}
_MOST_INDEX: Final = 4 * 1024 * 1024
"""Bytes of the page index of one column of a row group."""
_ROW_GROUPS, _COLUMNS, _OFFSET, _LENGTH = 4, 1, 4, 5
"""Fields of FileMetaData, RowGroup and ColumnChunk (parquet.thrift)."""
_DATA_PAGE, _PLAIN = 0, 0
_LEVELS: Final = 4
"""Bytes of the length before repetition and definition levels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Where a page lies, its header with it, and which rows of the group it holds."""

    start: int
    stop: int
    first: int
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PagedRows:
    """Rows of a group whose vectors are read page by page."""

    rows: NDArray[np.int64]
    """Ascending."""
    pages: tuple[Page, ...]
    """Those that hold them, in their order."""
    dimensions: int
    codec: Literal["zstd"] | None

    def vectors(self, bytes_of: Callable[[int, int], bytes]) -> NDArray[np.float32]:
        """Give [rows, dimensions]. Raises TableError for pages that are not what the index says."""
        found = np.empty((len(self.rows), self.dimensions), np.float32)
        for page in self.pages:
            at = slice(*np.searchsorted(self.rows, [page.first, page.first + page.rows]).tolist())
            decoded = _decoded(bytes_of(page.start, page.stop), page.rows * self.dimensions, self.codec)
            found[at] = decoded.reshape(page.rows, self.dimensions)[self.rows[at] - page.first]
        return found


def index_places(footer: bytes, group_columns: int) -> list[tuple[int, int] | None]:
    """Give where the page index of the vectors lies, start and stop, by row group; None where there is none.

    ``group_columns`` is the number of the column's chunk in a group. Raises TableError.
    """
    groups = Reader(footer).struct(last=_ROW_GROUPS).get(_ROW_GROUPS)
    try:
        chunks = [group[_COLUMNS][group_columns] for group in groups or ()]
        places = [(chunk.get(_OFFSET), chunk.get(_LENGTH)) for chunk in chunks]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise TableError("its footer has no row groups as Parquet has them") from error
    return [
        (start, start + size)
        if isinstance(start, int) and isinstance(size, int) and start > 0 and 0 < size <= _MOST_INDEX
        else None
        for start, size in places
    ]


def paged(chunk: Any, index: bytes, rows: NDArray[np.int64], group_rows: int) -> PagedRows | None:  # noqa: ANN401 - pyarrow's
    """Find the pages of some rows by the page index of their column; None where the column is to be read whole.

    Raises TableError for an index that does not fit the column.
    """
    found = Reader(index).struct().get(1)
    try:
        listed = [(entry[1], entry[2], entry[3]) for entry in found or ()]
    except (KeyError, TypeError) as error:
        raise TableError("its page index is none") from error
    stop = int(chunk.data_page_offset) + int(chunk.total_compressed_size)
    firsts = [*(first for _, _, first in listed), group_rows]
    starts = [*(start for start, _, _ in listed), stop]
    begins = (starts[0], firsts[0]) == (int(chunk.data_page_offset), 0)
    follow = [start + size for start, size, _ in listed] == starts[1:]
    if not begins or not follow or not _ascends(starts) or not _ascends(firsts):
        raise TableError("its page index is not that of its column")
    pages = [
        Page(start=start, stop=start + size, first=first, rows=after - first)
        for (start, size, first), after in zip(listed, firsts[1:], strict=True)
    ]
    holding = np.unique(np.searchsorted(np.array(firsts[:-1]), rows, side="right") - 1)
    return PagedRows(
        rows=rows,
        pages=tuple(pages[at] for at in holding.tolist()),
        dimensions=int(chunk.num_values) // group_rows,
        codec=_CODECS[chunk.compression],
    )


def _ascends(numbers: list[int]) -> bool:
    return len(numbers) > 1 and all(one < other for one, other in pairwise(numbers))


def is_paged(chunk: Any, column: Any, group_rows: int) -> bool:  # noqa: ANN401 - pyarrow's ColumnChunkMetaData and ColumnSchema
    """Say whether a column's pages are of the kind that is decoded here."""
    return bool(
        chunk.physical_type == "FLOAT"
        and chunk.has_offset_index
        and not chunk.has_dictionary_page
        and set(chunk.encodings) <= _ENCODINGS
        and chunk.compression in _CODECS
        and (column.max_repetition_level, column.max_definition_level) == (1, 1)
        and group_rows > 0
        and chunk.num_values >= group_rows
        and chunk.num_values % group_rows == 0
    )


def arrow_vectors(found: NDArray[np.float32], kind: Any) -> Any:  # noqa: ANN401 - pyarrow's types, of which the stubs know less
    """Give vectors [n, D] as a column of the type that the file declares. Raises Arrow's errors for another one."""
    flat: Any = pa.array(found.reshape(-1))
    fixed: Any = pa.FixedSizeListArray
    if pa.types.is_fixed_size_list(kind):
        return fixed.from_arrays(flat, type=kind)
    offsets = pa.array(np.arange(len(found) + 1, dtype=np.int32) * found.shape[1])
    return pa.ListArray.from_arrays(offsets, flat).cast(kind)


def _decoded(page: bytes, values: int, codec: Literal["zstd"] | None) -> NDArray[np.float32]:
    """Give the values of a data page. Raises TableError."""
    reader = Reader(page)
    header = reader.struct()
    data, plain, packed = header.get(5), header.get(2), header.get(3)
    body = page[reader.at :]
    if (
        header.get(1) != _DATA_PAGE
        or not isinstance(data, dict)
        or (data.get(1), data.get(2)) != (values, _PLAIN)
        or packed != len(body)
        or not isinstance(plain, int)
        or not 0 <= plain <= MAX_PAGE
    ):
        raise TableError("a page of its vectors is not what its page index says")
    try:
        whole = body if codec is None else pa.Codec(codec).decompress(body, decompressed_size=plain, asbytes=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TableError(f"a page of its vectors cannot be decompressed ({in_a_line(error)})") from error
    before = len(whole) - 4 * values
    repetition = int.from_bytes(whole[:_LEVELS], "little")
    definition = int.from_bytes(whole[_LEVELS + repetition : 2 * _LEVELS + repetition], "little")
    if len(whole) != plain or before != 2 * _LEVELS + repetition + definition:
        raise TableError("a page of its vectors has another number of values than its header says")
    return np.frombuffer(whole, np.dtype("<f4"), count=values, offset=before)
