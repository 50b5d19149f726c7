"""What a Parquet file may cost a reader, found from its headers before a value is decoded."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from clayline.errors import TableError
from clayline.table.thrift import Reader

MAX_FOOTER: Final = 64 << 20
MAX_PAGE: Final = 128 << 20
"""Bytes of a page, decompressed."""
MAX_PAGES: Final = 512 << 20
"""Bytes of the largest page of each column that is read, together."""
MAX_COLUMNS: Final = 2_000
MAX_DEPTH: Final = 32
_MAGIC: Final = b"PAR1"
_LEAST: Final = 12
_HEADER: Final = 1 << 16
"""Bytes in which a page's header is looked for; statistics of long texts stand in it."""
_WINDOW: Final = 1 << 20
_A_BYTE: Final = 4_096
"""Values that a byte of a chunk may stand for: constants of a page of 20,000 take a few."""
_SOME: Final = 4_000_000
"""Values that any chunk may have."""

type Read = Callable[[int, int], bytes]
"""Gives the bytes from a position up to another."""


def check_footer(read: Read, size: int) -> None:
    """Look at a file's end: magic, length of the footer, columns and their depth. Raises TableError."""
    if size < _LEAST or read(0, 4) != _MAGIC:
        raise TableError(f"it is no Parquet file: it does not begin with PAR1 ({size} bytes)")
    tail = read(size - 8, size)
    if tail[4:] != _MAGIC:
        raise TableError("it does not end with PAR1: it is cut off, or its footer is encrypted")
    length = int.from_bytes(tail[:4], "little")
    if length > size - _LEAST:
        raise TableError(f"its footer says {length} bytes, the file has {size}")
    if length > MAX_FOOTER:
        raise TableError(f"its footer has {length} bytes; {MAX_FOOTER} at most are read")
    _check_schema(Reader(read(size - 8 - length, size - 8)).struct(last=2).get(2))


def _check_schema(schema: Any) -> None:  # noqa: ANN401 - whatever stands there
    """Look at the columns before a library follows them down."""
    if not isinstance(schema, list) or not all(isinstance(element, dict) for element in schema):
        raise TableError("its footer has no schema")
    if len(schema) > MAX_COLUMNS:
        raise TableError(f"it has {len(schema)} columns; {MAX_COLUMNS} at most are read")
    open_: list[int] = []
    for element in schema:
        while open_ and open_[-1] == 0:
            open_.pop()
        if open_:
            open_[-1] -= 1
        children = element.get(5, 0)
        if not isinstance(children, int) or not 0 <= children <= MAX_COLUMNS:
            raise TableError("its schema is broken")
        open_.append(children)
        if len(open_) > MAX_DEPTH:
            raise TableError(f"its columns are nested over {MAX_DEPTH} deep")


def check_chunks(read: Read, size: int, chunks: Sequence[Any], rows: int) -> None:
    """Walk through the pages of a row group's columns. Raises TableError.

    ``chunks`` are pyarrow's ColumnChunkMetaData of the columns that are read, ``rows`` the group's.
    """
    if sum(_largest_page(read, size, chunk, rows) for chunk in chunks) > MAX_PAGES:
        raise TableError(f"its pages together take over {MAX_PAGES} bytes")


def _largest_page(read: Read, size: int, chunk: Any, rows: int) -> int:  # noqa: ANN401 - pyarrow's
    start, name = int(chunk.data_page_offset), chunk.path_in_schema
    if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
        start = min(start, int(chunk.dictionary_page_offset))
    stop = start + int(chunk.total_compressed_size)
    if not len(_MAGIC) <= start <= stop <= size:
        raise TableError(f"column {name} says that it lies from byte {start} to {stop} of {size}")
    values = int(chunk.num_values)
    if not rows <= values <= max(_SOME, (stop - start) * _A_BYTE):
        raise TableError(f"column {name} declares {values} values of {rows} rows in {stop - start} bytes")
    largest, seen, at = 0, 0, start
    window, held = b"", 0
    while at < stop and seen < values:
        if not held <= at <= held + len(window) - min(_HEADER, stop - at):
            held, window = at, read(at, min(stop, at + _WINDOW))
        reader = Reader(window, at - held)
        header = reader.struct()
        plain, packed = header.get(2), header.get(3)
        if not isinstance(plain, int) or not isinstance(packed, int) or plain < 0 or packed < 0:
            raise TableError(f"column {name} has a page of a broken header")
        if plain > MAX_PAGE:
            raise TableError(f"column {name} has a page of {plain} bytes; {MAX_PAGE} at most are read")
        data = header.get(5) or header.get(8)
        count = data.get(1) if isinstance(data, dict) else 0
        if not isinstance(count, int) or count < 0:
            raise TableError(f"column {name} has a page of a broken header")
        seen += count
        at = held + reader.at + packed
        largest = max(largest, plain)
    if seen != values or at > stop:
        raise TableError(
            f"column {name} declares {values} values, its pages hold {seen} and end at byte {at} of {stop}"
        )
    return largest
