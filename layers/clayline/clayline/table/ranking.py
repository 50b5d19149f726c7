"""Chips of a dataset by their likeness to a probe: which take part, and the best of them as a table."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clayline.errors import DatasetError
from clayline.likeness.probe import Probe
from clayline.likeness.ranking import ROUNDING, Best, exact_scores, quick_scores
from clayline.likeness.taking_part import Filters, Traits
from clayline.outputs.region import centres_of

LOOKED_AT: Final = (
    "uci", "cell", "datetime", "source_url", "embeddings", "geometry", "index", "bbox", "valid_fraction",
    "cloud_fraction", "loss",
)  # fmt: skip
"""Columns that are read of a file's rows."""
FILTERED: Final = ("valid_fraction", "cloud_fraction", "loss")
"""Columns of which it depends whether a chip takes part."""
_ANSWERED: Final = (
    "score", "uci", "cell", "datetime", "instrument", "valid_fraction", "cloud_fraction", "loss", "source_url",
    "index", "scene", "revision", "geometry", "bbox",
)  # fmt: skip
_SLACK: Final = 4096
"""Rows that are kept beside the best, before they are thinned."""


@dataclass(kw_only=True)
class Judge:
    """Lets chips take part, and counts the others."""

    filters: Filters
    without: frozenset[str] = frozenset()
    """Identifiers that are left out: the examples."""
    looked_through: int = 0
    """Chips that met the place and the time."""
    left_out: Counter[str] = field(default_factory=Counter)

    def judge(self, table: pa.Table) -> NDArray[np.bool_]:
        """Say which rows [n] of a table take part; it has ``uci``, ``valid_fraction`` and ``cloud_fraction``, and
        ``loss`` where that is a filter.
        """
        self.looked_through += len(table)
        taken, why = self.filters.judge(traits_of(table))
        self.left_out.update(why)
        if self.without:
            names: Any = table.column("uci")
            known = np.asarray(pc.is_in(names, value_set=pa.array(sorted(self.without))).to_numpy(), dtype=np.bool_)
            if count := int((taken & known).sum()):
                self.left_out["example"] += count
            taken &= ~known
        return taken

    def take(self, table: pa.Table) -> pa.Table:
        """Give the rows that take part and have a vector of finite numbers."""
        taken = self.judge(table)
        table = table.filter(pa.array(taken))
        finite = np.isfinite(vectors_of(table)).all(axis=1)
        if finite.all():
            return table
        self.left_out["not-finite"] += int((~finite).sum())
        return table.filter(pa.array(finite))


@dataclass(kw_only=True)
class BestRows:
    """The best rows so far, without their vectors."""

    probe: Probe
    count: int
    _tables: list[pa.Table] = field(default_factory=list)
    _held: int = 0
    _given: int = 0

    def __post_init__(self) -> None:
        """Begin with none."""
        self._best = Best(count=self.count)
        self._keys = np.empty(0, np.int64)

    def add(self, table: pa.Table, taken: NDArray[np.bool_]) -> int:
        """Take the rows [n] of a table, all of one schema, that take part; gives how many have no finite vector.

        Those are not ranked. Raises DatasetError for vectors of another length.
        """
        if not taken.any():
            return 0
        vectors = vectors_of(table)
        scores = quick_scores(self.probe, vectors, taken)
        lost = np.isnan(scores)
        scores[lost] = -np.inf
        best = np.partition(scores, -self.count)[-self.count] if self.count < len(scores) else -np.inf
        near = np.flatnonzero((scores >= max(self._best.least, float(best)) - 2 * ROUNDING) & (scores > -np.inf))
        if not len(near):
            return int(lost.sum())
        kept = table.drop_columns(["embeddings"]).take(near)
        keys = self._given + np.arange(len(near), dtype=np.int64)
        names: Any = kept.column("uci").to_pylist()
        self._best.add(exact_scores(self.probe, vectors[near]), names, keys)
        self._given += len(near)
        self._tables.append(kept)
        self._keys = np.concatenate([self._keys, keys])
        if len(self._keys) > 2 * self.count + _SLACK:
            self._thin()
        return int(lost.sum())

    def table(self, schema: pa.Schema) -> pa.Table:
        """Give the best, best first, with ``score``; ``schema`` is that of the rows, for where there are none."""
        if not self._tables:
            return no_rows(schema)
        self._thin()
        at = {key: row for row, key in enumerate(self._keys.tolist())}
        rows = pa.concat_tables(self._tables).take([at[key] for key in self._best.keys.tolist()])
        scores: Any = pa.array(self._best.scores, pa.float64())
        return rows.append_column(pa.field("score", pa.float64(), nullable=False), scores)

    def _thin(self) -> None:
        kept = np.flatnonzero(np.isin(self._keys, self._best.keys))
        self._tables = [pa.concat_tables(self._tables).take(kept)]
        self._keys = self._keys[kept]


def no_rows(schema: pa.Schema) -> pa.Table:
    """Give what the best are where there are none, of rows of a schema."""
    columns = pa.schema([field for field in schema if field.name != "embeddings"])
    return columns.append(pa.field("score", pa.float64(), nullable=False)).empty_table()


def vectors_of(table: pa.Table) -> NDArray[np.float32]:
    """Give the vectors [n, D] of a table. Raises DatasetError for a column of another kind."""
    kind: Any = table.schema.field("embeddings").type
    if not pa.types.is_fixed_size_list(kind):
        msg = f"its embeddings are {kind}, no lists of one length: `clayline verify` says more."
        raise DatasetError(msg)
    chunks: Any = table.column("embeddings")
    column = chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()  # which copies even one
    flat: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, kind.list_size)


def traits_of(table: pa.Table) -> Traits:
    """Give what filters look at; what a table has no column of is unknown."""

    def numbers(name: str) -> NDArray[np.floating]:
        if name not in table.column_names:
            return np.full(len(table), np.nan)
        column: Any = table.column(name)
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)

    return Traits(valid=numbers("valid_fraction"), cloud=numbers("cloud_fraction"), loss=numbers("loss"))


def sum_of(tables: Iterable[pa.Table], judge: Judge) -> tuple[NDArray[np.float64], int]:
    """Give the sum [D] of the vectors that take part, and their number, for a centre of their own."""
    total, count = np.zeros(1), 0
    for table in tables:
        vectors = vectors_of(judge.take(table))
        total = total + vectors.sum(axis=0, dtype=np.float64)
        count += len(vectors)
    return total, count


def said_of(left_out: Mapping[str, int]) -> dict[str, int]:
    """Give the reasons in one order, none that left nothing out."""
    return {name: left_out[name] for name in sorted(left_out) if left_out[name]}


def as_answered(table: pa.Table, instruments: Mapping[tuple[str, int], str]) -> pa.Table:
    """Give the columns of an answer, with the instrument of each row's scene and revision."""
    scenes: Any = table.column("scene").to_pylist()
    revisions: Any = table.column("revision").to_pylist()
    named: Any = pa.array([instruments[key] for key in zip(scenes, revisions, strict=True)], pa.string())
    table = table.append_column(pa.field("instrument", pa.string(), nullable=False), named)
    return table.select(list(_ANSWERED))


def rows_meant(
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    *,
    name: str | None = None,
    cell: str | None = None,
    filters: Filters | None = None,
) -> tuple[pa.Table, Counter[str]]:
    """Give the rows of this identifier, or cell, that take part, and how many of the others each reason leaves out."""
    kept: list[pa.Table] = []
    left_out: Counter[str] = Counter()
    for table in tables:
        for column, wanted in (("uci", name), ("cell", cell)):
            if wanted is not None:
                names: Any = table.column(column).to_pylist()
                table = table.filter(pa.array([each == wanted for each in names], pa.bool_()))  # noqa: PLW2901
        if filters:
            taken, why = filters.judge(traits_of(table))
            left_out.update(why)
            table = table.filter(pa.array(taken))  # noqa: PLW2901
        kept.append(table)
    return (pa.concat_tables(kept) if kept else schema.empty_table()), left_out


def newest(table: pa.Table, near: tuple[float, float] | None) -> Mapping[str, Any]:
    """Give the newest row; of several then that whose centre is nearest to a longitude and latitude, then the first by
    name.
    """
    moments: Any = table.column("datetime").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    away = np.zeros(len(table))
    if near is not None:
        footprints: Any = table.column("geometry").to_pylist()
        apart = centres_of(footprints) - near
        apart[:, 0] = (apart[:, 0] + 180) % 360 - 180
        apart[:, 0] *= np.cos(np.radians(near[1]))
        away = np.hypot(apart[:, 0], apart[:, 1])
    names = np.array(table.column("uci").to_pylist(), dtype=np.str_)
    order = np.lexsort((names, away, -moments.to_numpy()))
    found: Any = table.slice(int(order[0]), 1).to_pylist()
    return {**found[0], "embeddings": vectors_of(table.slice(int(order[0]), 1))[0]}
