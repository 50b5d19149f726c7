"""Any Parquet file of embeddings, read for checks: a row group at a time, within bounds, whoever wrote it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.errors import TableError
from clayline.table.as_file import AsFile
from clayline.table.bounds import MAX_COLUMNS, MAX_FOOTER, check_chunks, check_footer
from clayline.verification.layouts import Column, Layout
from clayline.verification.rows import Rows

_ARROW: Final = b"ARROW:schema"
_ROWS: Final = 2_048
_VALUES: Final = 4_000_000
"""Components in memory at a time."""
_MAX_TEXT: Final = 1 << 16
_MAX_DIMENSIONS: Final = 65_536
_BUFFER: Final = 1 << 20
_KEPT: Final = 64 << 20
_PIECE: Final = 4 << 20
_BOUNDS: Final = ("xmin", "ymin", "xmax", "ymax")
_NUMBERS: Final = ("loss", "valid_fraction", "cloud_fraction")
_NOT_A_TIME: Final = -(2**63)
_TEXTS: Final = ("source_url", "source_model", "loss_metric", "source_creator")
_BAD: Final = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError, TypeError)
"""What pyarrow raises for files that are none."""


class Bytes(Protocol):
    """Where a file's bytes lie."""

    size: int
    near: bool
    """Whether reading all of them again costs nothing."""

    @property
    def sha256(self) -> str | None:
        """What the place states of the whole, hex; None where it states nothing."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """Give the bytes from ``start`` up to ``stop``. Raises OSError, ClaylineError."""
        ...


class _Kept:
    """Bytes of which the last piece that was read is kept: pages are walked through, and then decoded."""

    def __init__(self, where: Bytes) -> None:
        self.size = where.size
        self.near = where.near
        self._where = where
        self._start = 0
        self._body = b""

    def read(self, start: int, stop: int) -> bytes:
        if self._start <= start and stop <= self._start + len(self._body):
            return self._body[start - self._start : stop - self._start]
        return self._where.read(start, stop)

    def keep(self, start: int, stop: int) -> None:
        """Read a piece in one request, if it is not too large and not there; of a small file all of it."""
        if self.near or not 0 <= start < stop <= min(self.size, start + _KEPT):
            return
        if self.size <= _KEPT:
            start, stop = 0, self.size
        if not (self._start <= start and stop <= self._start + len(self._body)):
            self._start, self._body = start, self._where.read(start, stop)

    def sha256(self) -> str | None:
        """Give the SHA-256 of the whole, hex; None where neither its bytes are at hand nor the place states it."""
        if not self.near and len(self._body) < self.size:
            return self._where.sha256
        digest = hashlib.sha256()
        for start in range(0, self.size, _PIECE):
            digest.update(self.read(start, min(self.size, start + _PIECE)))
        return digest.hexdigest()


class InspectedTable:
    """A Parquet file, open."""

    def __init__(self, where: Bytes) -> None:
        """Take where its bytes lie, and read its footer. Raises TableError."""
        self._bytes = _Kept(where)
        self.size = where.size
        self._bytes.keep(max(0, self.size - _PIECE), self.size)
        check_footer(self._bytes.read, self.size)
        try:
            self._file = self._open([])
            self._metadata = self._file.metadata
            schema = self._file.schema_arrow
            header = self._metadata.metadata or {}
            self.header: Mapping[str, str] = {
                key.decode(errors="replace"): value.decode(errors="replace")
                for key, value in header.items()
                if key != _ARROW
            }
            self.columns: Sequence[Column] = tuple(
                Column(name=field.name, type=str(field.type)[:2_000], nullable=field.nullable) for field in schema
            )
        except _BAD as error:
            raise TableError(f"its footer cannot be used: {_said(error)}") from error

    def __enter__(self) -> Self:
        """Be open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._file.close()

    @property
    def count(self) -> int:
        """Rows that the footer declares."""
        return int(self._metadata.num_rows)

    def rows(self, layout: Layout) -> Iterator[Rows]:
        """Give the rows, part by part: memory holds some pages and one part. Raises TableError."""
        wanted = sorted(set(layout.roles.values()))
        kinds = {column.name: column.type for column in self.columns}
        texts = [name for name in wanted if kinds[name] in {"string", "binary"}]
        try:
            with self._open(texts) as file:
                first = 0
                for group in range(self._metadata.num_row_groups):
                    for batch in self._group(file, group, wanted):
                        rows = _rows(batch, layout, first)
                        first += rows.count
                        yield rows
        except _BAD as error:
            raise TableError(f"its values cannot be read: {_said(error)}") from error
        if first != self.count:
            raise TableError(f"its footer declares {self.count} rows, it has {first}")

    def checksum(self) -> str | None:
        """Give the SHA-256 of the whole, hex; None for a large file far away of which the place states none."""
        return self._bytes.sha256()

    def _open(self, texts: Sequence[str]) -> pq.ParquetFile:
        return pq.ParquetFile(
            pa.PythonFile(AsFile(self._bytes.size, self._bytes.read), mode="r"),
            read_dictionary=list(texts),
            buffer_size=_BUFFER,
            pre_buffer=False,
            thrift_string_size_limit=MAX_FOOTER,
            thrift_container_size_limit=1_000_000,
        )

    def _group(self, file: pq.ParquetFile, group: int, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        described = self._metadata.row_group(group)
        if described.num_columns > MAX_COLUMNS or described.num_rows < 0:
            raise TableError(f"row group {group} is broken")
        if not described.num_rows:
            return
        chunks = [described.column(number) for number in range(described.num_columns)]
        chunks = [chunk for chunk in chunks if chunk.path_in_schema.partition(".")[0] in wanted]
        starts = [int(chunk.dictionary_page_offset or chunk.data_page_offset) for chunk in chunks]
        if starts:
            stops = [start + int(chunk.total_compressed_size) for start, chunk in zip(starts, chunks, strict=True)]
            self._bytes.keep(min(starts), max(stops))
        check_chunks(self._bytes.read, self.size, chunks, described.num_rows)
        values = max((int(chunk.num_values) for chunk in chunks), default=1)
        size = max(1, min(_ROWS, _VALUES * described.num_rows // max(1, values)))
        yield from file.iter_batches(batch_size=size, row_groups=[group], columns=list(wanted), use_threads=False)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"


def _rows(batch: pa.RecordBatch, layout: Layout, first: int) -> Rows:
    held: dict[str, Any] = {role: batch.column(name) for role, name in layout.roles.items()}
    vectors = _vectors(held["vector"]) if "vector" in held else (None, None)
    index = held.get("index")
    return Rows(
        first=first,
        count=batch.num_rows,
        ids=_texts(held["id"]) if "id" in held else None,
        vectors=vectors[0],
        whole=vectors[1],
        shapes=_blobs(held["geometry"]) if "geometry" in held else None,
        index=None if index is None else _integers(index, -1),
        cells=_texts(held["cell"]) if "cell" in held else None,
        boxes=_boxes(held["bbox"]) if "bbox" in held else None,
        dates=_moments(held.get("date"), "datetime64[D]"),
        moments=_moments(held.get("datetime"), "datetime64[us]"),
        numbers={name: _floats(held[name]) for name in _NUMBERS if name in held},
        nan={name: _nan(held[name]) for name in _NUMBERS if name in held},
        texts={name: frozenset(_texts(pc.unique(_plain(held[name])))) for name in _TEXTS if name in held},
    )


def _plain(column: Any) -> Any:  # noqa: ANN401 - pyarrow's arrays, which the stubs do not tell apart
    longest = column.dictionary if pa.types.is_dictionary(column.type) else column
    if len(longest) and (most := pc.max(pc.binary_length(longest)).as_py() or 0) > _MAX_TEXT:
        raise TableError(f"a value has {most} bytes; {_MAX_TEXT} at most are read")
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _texts(column: Any) -> list[str | None]:  # noqa: ANN401 - see above
    return [
        None if value is None else value.decode(errors="replace")
        for value in pc.cast(_plain(column), pa.binary()).to_pylist()
    ]


def _blobs(column: Any) -> list[bytes | None]:  # noqa: ANN401 - see above
    blobs: list[bytes | None] = _plain(column).to_pylist()
    return blobs


def _vectors(column: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:  # noqa: ANN401 - see above
    """Give vectors [n, D] of the commonest length, and which rows have one."""
    null = _marks(column.is_null())
    lengths = _integers(pc.list_value_length(column), -1)
    there = lengths[~null]
    if not len(there):
        return np.zeros((len(column), 1), np.float32), np.zeros(len(column), np.bool_)
    common, counts = np.unique(there, return_counts=True)
    dimensions = int(common[::-1][np.argmax(counts[::-1])])
    if dimensions > _MAX_DIMENSIONS:
        raise TableError(f"a vector has {dimensions} components; {_MAX_DIMENSIONS} at most are read")
    whole = ~null & (lengths == dimensions) & (dimensions > 0)
    kept = column if whole.all() else column.filter(pa.array(whole))
    flat = pc.fill_null(pc.cast(kept.flatten(), pa.float32(), safe=False), float("nan")).to_numpy()
    if whole.all():
        return flat.reshape(-1, dimensions), whole
    vectors = np.zeros((len(column), max(1, dimensions)), np.float32)
    vectors[whole] = flat.reshape(-1, max(1, dimensions))
    return vectors, whole


def _boxes(column: Any) -> NDArray[np.float64] | None:  # noqa: ANN401 - see above
    names = [field.name for field in column.type]
    if not set(_BOUNDS) <= set(names):
        return None
    flat = dict(zip(names, column.flatten(), strict=True))
    return np.stack([_floats(flat[name]) for name in _BOUNDS], axis=1)


def _moments(column: Any, kind: str) -> NDArray[np.datetime64] | None:  # noqa: ANN401 - see above
    if column is None or not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        return None
    counted = pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64())
    return _integers(counted, _NOT_A_TIME).view("datetime64[us]").astype(kind)


def _integers(column: Any, null: int) -> NDArray[np.int64]:  # noqa: ANN401 - see above
    """Give integers. Without nulls Arrow lends them; else it would load all of pandas to copy them."""
    integers: NDArray[np.int64] = pc.fill_null(pc.cast(column, pa.int64()), null).to_numpy()
    return integers


def _floats(column: Any) -> NDArray[np.float64]:  # noqa: ANN401 - see above
    floats: NDArray[np.float64] = pc.fill_null(pc.cast(column, pa.float64(), safe=False), float("nan")).to_numpy()
    return floats


def _marks(column: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - see above
    marks: NDArray[np.bool_] = pc.cast(column, pa.uint8()).to_numpy().astype(np.bool_)
    return marks


def _nan(column: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - see above
    return _marks(pc.fill_null(pc.is_nan(pc.cast(column, pa.float64(), safe=False)), False))  # noqa: FBT003 - pyarrow's
