"""Chips of many files gathered for a comparison: what is said of them in memory, their vectors on disk.

A file that cannot be read is told of, and the others are read all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clayline.dataset.ports import Root
from clayline.errors import DatasetError
from clayline.table.ranged import RangedFile, damaged
from clayline.table.streaming import AT_ONCE, Piece, Source, look, pieces, stream

SAID: Final = ("uci", "cell", "datetime", "valid_fraction", "cloud_fraction", "scene", "revision")
"""Columns that a comparison looks at, beside the vector."""
_OWN: Final = ("uci", "cell", "datetime", "valid_fraction", "cloud_fraction", "embeddings")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """A file that could not be read, or not to its end."""

    key: str
    message: str
    """For people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """Files that may hold what is wanted, before a chip is read."""

    pieces: tuple[tuple[Piece, ...], ...]
    """Row groups, by file."""
    lost: tuple[Lost, ...]

    @property
    def rows(self) -> int:
        """Of all row groups."""
        return sum(piece.file.rows(piece.group) for of_file in self.pieces for piece in of_file)


class Gathered:
    """Chips, in the order in which they came. Memory holds some 300 bytes of each, a temporary file their vectors."""

    def __init__(self, scratch: IO[bytes], dimensions: int) -> None:
        """Take an open file for the vectors, and their length."""
        self._scratch = scratch
        self._dimensions = dimensions
        self._tables: list[pa.Table] = []
        self._broken: list[NDArray[np.bool_]] = []
        self.lost: list[Lost] = []

    def add(self, table: pa.Table, *, geometry: bool) -> None:
        """Take rows with ``embeddings``. Raises ValueError for vectors of another length; OSError."""
        vectors = _vectors(table, self._dimensions)
        self._scratch.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        self._broken.append(~np.isfinite(vectors).all(axis=1))
        names = [*SAID, "geometry"] if geometry else list(SAID)
        schema = pa.schema([pa.field(name, _TYPES[name]) for name in names])
        self._tables.append(pa.table([table.column(name).cast(_TYPES[name]) for name in names], schema=schema))

    @property
    def chips(self) -> "ChipsSaid":
        """What is said of all chips."""
        schema = pa.schema(list(_TYPES.items()))
        return ChipsSaid(pa.concat_tables(self._tables) if self._tables else schema.empty_table())

    @property
    def broken(self) -> NDArray[np.bool_]:
        """[N] whose vector is not finite."""
        return np.concatenate(self._broken) if self._broken else np.empty(0, np.bool_)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """[N, D], where they lie on disk."""
        self._scratch.flush()
        count = sum(map(len, self._broken))
        if not count:
            return np.empty((0, self._dimensions), np.float32)
        return np.memmap(self._scratch, dtype="<f4", mode="r", shape=(count, self._dimensions))


class ChipsSaid:
    """What is said of N chips, but for their vectors."""

    def __init__(self, table: pa.Table) -> None:
        """Take the columns ``SAID``, and perhaps ``geometry``."""
        self.table = table
        self.ucis: list[str] = _texts(table, "uci")

    @property
    def moments(self) -> NDArray[np.int64]:
        """[N] microseconds since 1970, UTC."""
        return np.asarray(self.table.column("datetime").cast(pa.int64()).to_numpy(), np.int64)

    @property
    def cell_numbers(self) -> NDArray[np.int64]:
        """[N] the same number for the same cell, -1 for none."""
        cells: Any = self.table.column("cell").combine_chunks().dictionary_encode()
        return np.asarray(cells.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)

    @property
    def ranks(self) -> NDArray[np.int64]:
        """[N] place of each identifier among all, ascending."""
        found = np.empty(len(self.ucis), np.int64)
        order: Any = pc.sort_indices(self.table, sort_keys=[("uci", "ascending"), ("revision", "ascending")])
        found[order.to_numpy()] = np.arange(len(self.ucis))
        return found

    def by_scene(self, numbers: Mapping[tuple[str, int], int]) -> NDArray[np.int64]:
        """Give the number [N] of each chip's scene and revision."""
        revisions: list[Any] = self.table.column("revision").to_pylist()
        keys = zip(_texts(self.table, "scene"), revisions, strict=True)
        return np.fromiter((numbers[key] for key in keys), np.int64, len(self.ucis))

    def fractions(self, name: str) -> NDArray[np.float32]:
        """Give ``valid_fraction`` or ``cloud_fraction`` [N], NaN where it is unknown."""
        found: Any = self.table.column(name)
        return np.asarray(found.to_numpy(), np.float32)

    def cells(self, numbers: NDArray[np.int64]) -> list[str | None]:
        """Give the cells of some chips."""
        found: list[str | None] = self.table.column("cell").take(numbers).to_pylist()
        return found

    def footprints(self, numbers: NDArray[np.int64]) -> list[bytes]:
        """Give the footprints of some chips, WKB."""
        found: list[Any] = self.table.column("geometry").take(numbers).to_pylist()
        return found


class Scratch:
    """Temporary files that are gone at the end, however it comes."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all: what has no name on disk is gone then."""
        for file in self._files:
            file.close()

    def gathered(self, dimensions: int) -> Gathered:
        """Make a place for chips. Raises OSError."""
        file = TemporaryFile("w+b")  # noqa: SIM115 - closed with all
        self._files.append(file)
        return Gathered(file, dimensions)


_TYPES: Final[dict[str, Any]] = {
    "uci": pa.string(),
    "cell": pa.string(),
    "datetime": pa.timestamp("us", tz="UTC"),
    "valid_fraction": pa.float32(),
    "cloud_fraction": pa.float32(),
    "scene": pa.string(),
    "revision": pa.int32(),
    "geometry": pa.binary(),
}


def open_each(root: Root, sources: Sequence[Source], *, geometry: bool) -> Opened:
    """Read the footers, side by side, and choose row groups. Raises TransientError."""
    columns = [*_OWN, "geometry"] if geometry else list(_OWN)

    def one(source: Source) -> tuple[Piece, ...] | Lost:
        try:
            file = RangedFile.open(root, source.at)
            if lacking := [name for name in columns if name not in file.names]:
                raise damaged(root, source.at, f"it has no column {', '.join(lacking)}")
            return tuple(look(root, pieces(root, [source], [file], columns)))
        except DatasetError as error:
            return Lost(key=source.at.key, message=str(error))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = list(threads.map(one, sources))
    return Opened(
        pieces=tuple(each for each in found if isinstance(each, tuple)),
        lost=tuple(each for each in found if isinstance(each, Lost)),
    )


def gather(root: Root, opened: Opened, into: Gathered, *, geometry: bool) -> Iterator[int]:
    """Read what is wanted, and give how many rows came, a row group at a time.

    Of a file that breaks off, what came before stays. Raises TransientError, OSError.
    """
    into.lost += opened.lost
    for of_file in opened.pieces:
        if not of_file:
            continue
        at = of_file[0].file.at
        try:
            for selected in stream(root, of_file):
                try:
                    into.add(selected.table, geometry=geometry)
                except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
                    raise damaged(root, at, f"a row group is not as docs/schema.md has it: {error}") from error
                yield selected.table.num_rows
        except DatasetError as error:
            into.lost.append(Lost(key=at.key, message=str(error)))


def _vectors(table: pa.Table, dimensions: int) -> NDArray[np.float32]:
    lists: Any = table.column("embeddings").combine_chunks()
    kind = lists.type
    if not pa.types.is_fixed_size_list(kind) or kind.list_size != dimensions or lists.null_count:
        msg = f"its vectors are {kind} with {lists.null_count} nulls, not of {dimensions} dimensions"
        raise ValueError(msg)
    flat = lists.flatten()
    if flat.null_count:
        msg = "a vector has a component that is null"
        raise ValueError(msg)
    return np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(-1, dimensions)


def _texts(table: pa.Table, name: str) -> list[str]:
    found: list[Any] = table.column(name).to_pylist()
    return found
