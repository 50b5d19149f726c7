"""Row groups of many files, read side by side and given in order; memory holds as many as are on their way."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa

from clayline.dataset.ports import Root
from clayline.errors import DatasetError
from clayline.table.geoparquet import columns_schema
from clayline.table.pages import COLUMN, PagedRows
from clayline.table.ranged import FileAt, Range, RangedFile, damaged
from clayline.table.selecting import NEEDED, OF_THE_DATASET, Selected, Wanted, looked_at, rows_wanted, select

AT_ONCE: Final = 16
"""Requests on their way: enough to hide S3's latency behind each other, each row group some 4 MB of memory."""


LOOK_FROM: Final = 1024 * 1024
"""Bytes of a row group from which it is worth a request to look first whether a chip of it is wanted at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file, and what is wanted of it."""

    at: FileAt
    wanted: Wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A row group that may hold what is wanted."""

    file: RangedFile
    group: int
    wanted: Wanted
    columns: tuple[str, ...]
    pages: PagedRows | None = None
    """Its rows that are wanted, and where their vectors lie; None: all of it is read."""

    @property
    def ranges(self) -> list[Range]:
        """What is read of it, a request each."""
        return self.file.ranges(self.group, self.columns, self.pages)


def open_files(root: Root, sources: Sequence[Source]) -> list[RangedFile]:
    """Read the footers, side by side. Raises DatasetError, TransientError."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda source: RangedFile.open(root, source.at), sources))


def pieces(
    root: Root, sources: Sequence[Source], files: Sequence[RangedFile], columns: Sequence[str] | None
) -> list[Piece]:
    """Choose row groups by their statistics of place and time: what is read of ``columns`` and of those by which rows
    are chosen. None: all columns.

    Raises DatasetError.
    """
    found = []
    for source, file in zip(sources, files, strict=True):
        read = columns_read(root, file, source.wanted, columns)
        for group in _groups(root, file, source.wanted):
            found.append(Piece(file=file, group=group, wanted=source.wanted, columns=read))  # noqa: PERF401
    return found


def look(root: Root, found: Sequence[Piece]) -> list[Piece]:
    """Look at the places and times of large row groups' chips: groups of which none is wanted are left out, and of the
    others the pages are found that hold the vectors of those that are. A box around a group of chips along a curve
    holds many that are not of it, and a group has all dates of its cells.

    Raises DatasetError, TransientError.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        kept = list(threads.map(lambda piece: _looked(root, piece), found))
    for piece in found:
        piece.file.settle()
    return [piece for piece in kept if piece is not None]


def _looked(root: Root, piece: Piece) -> Piece | None:
    file, group, wanted = piece.file, piece.group, piece.wanted
    if sum(each.size for each in piece.ranges) < LOOK_FROM:
        return piece
    place = wanted.region is not None and not wanted.region.holds(file.bounds[group])
    first, last = (values[group] for values in file.moments)
    time = first is None or last is None or not wanted.span.holds(first, last)
    if not place and not time:
        return piece
    table = file.read(group, looked_at(wanted, place=place, time=time))
    try:
        rows = rows_wanted(table, wanted)
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise _other_columns(root, piece, error) from error
    if not len(rows):
        return None
    return replace(piece, pages=file.paged(group, rows) if COLUMN in piece.columns else None)


def _other_columns(root: Root, piece: Piece, error: Exception) -> DatasetError:
    return damaged(root, piece.file.at, f"row group {piece.group} is not as docs/schema.md has it: {error}")


def stream(root: Root, found: Sequence[Piece], *, each_shape: bool = False) -> Iterator[Selected]:
    """Give what is wanted of each piece that has some, in the order of the pieces.

    Raises DatasetError, TransientError.
    """

    def one(piece: Piece) -> Selected:
        table = piece.file.read(piece.group, piece.columns, piece.pages)
        try:
            return select(table, piece.wanted, each_shape=each_shape)
        except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise _other_columns(root, piece, error) from error

    waiting = iter(found)
    threads = ThreadPoolExecutor(AT_ONCE)
    try:
        on_their_way: list[Future[Selected]] = [threads.submit(one, piece) for piece in islice(waiting, AT_ONCE)]
        while on_their_way:
            selected = on_their_way.pop(0).result()
            on_their_way += [threads.submit(one, piece) for piece in islice(waiting, 1)]
            if selected.table.num_rows:
                yield selected
    finally:
        threads.shutdown(cancel_futures=True)


def shaped(selected: Selected, schema: pa.Schema) -> pa.Table:
    """Give the rows with a schema's columns and types, whichever file they are from. Raises Arrow's errors."""
    table = selected.table.select(schema.names)
    return pa.table([table.column(field.name).cast(field.type) for field in schema], schema=schema)


def result_schema(files: Sequence[RangedFile], columns: Sequence[str] | None) -> pa.Schema:
    """Give the columns that come out: those asked for in their order, else all, with ``scene`` and ``revision`` last.

    Without a file they are those of docs/schema.md, vectors of no known length. Raises DatasetError for a column that
    is not there.
    """
    of_file = {field.name: field for field in (files[0].schema if files else columns_schema(None))}
    of_file["scene"] = pa.field("scene", pa.string(), nullable=False)
    of_file["revision"] = pa.field("revision", pa.int32(), nullable=False)
    names = list(dict.fromkeys(columns)) if columns is not None else list(of_file)
    if unknown := [name for name in names if name not in of_file]:
        msg = f"there is no column {', '.join(unknown)}: there are {', '.join(of_file)}."
        raise DatasetError(msg)
    return pa.schema([of_file[name] for name in names])


def columns_read(root: Root, file: RangedFile, wanted: Wanted, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Give the columns that are read of a file: those by which rows are chosen, and of ``columns`` those it has.

    Raises DatasetError.
    """
    needed = (*NEEDED, *(OF_THE_DATASET if wanted.allowed is not None else ()))
    if lacking := [name for name in needed if name not in file.names]:
        raise damaged(root, file.at, f"it has no column {', '.join(lacking)}")
    if columns is None:
        return tuple(file.names)
    return tuple(dict.fromkeys([*needed, *(name for name in columns if name in file.names)]))


def _groups(root: Root, file: RangedFile, wanted: Wanted) -> list[int]:
    """Give the row groups that may hold what is wanted."""
    keep = np.ones(file.groups, dtype=np.bool_)
    if wanted.region is not None:
        keep &= wanted.region.overlaps(file.bounds)
    least, greatest = file.moments
    for group in np.flatnonzero(keep).tolist():
        first, last = least[group], greatest[group]
        if first is None or last is None:
            continue
        try:
            keep[group] = wanted.span.meets(first, last)
        except TypeError as error:
            raise damaged(root, file.at, f"its datetime is {first!r}, no moment in UTC") from error
    return [int(group) for group in np.flatnonzero(keep)]
