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
from clayline.likeness.ranking import ROUNDING, Best, exact_scores
from clayline.likeness.taking_part import Filters, Traits

LOOKED_AT: Final = (
    "uci", "cell", "datetime", "source_url", "embeddings", "geometry", "index", "bbox", "valid_fraction",
    "cloud_fraction", "loss",
)  # fmt: skip
"""Columns that are read of a file's rows."""
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

    def add(self, table: pa.Table) -> None:
        """Take rows that take part, all of one schema. Raises DatasetError for vectors of another length."""
        if not len(table):
            return
        vectors = vectors_of(table)
        near = np.flatnonzero(self.probe.scores(vectors) >= self._best.least - ROUNDING)
        kept = table.take(near)
        keys = self._given + np.arange(len(near), dtype=np.int64)
        names: Any = kept.column("uci").to_pylist()
        self._best.add(exact_scores(self.probe, vectors[near]), names, keys)
        self._given += len(near)
        self._tables.append(kept.drop_columns(["embeddings"]))
        self._keys = np.concatenate([self._keys, keys])
        if len(self._keys) > 2 * self.count + _SLACK:
            self._thin()

    def table(self, schema: pa.Schema) -> pa.Table:
        """Give the best, best first, with ``score``; ``schema`` is that of the rows, for where there are none."""
        columns = pa.schema([field for field in schema if field.name != "embeddings"])
        if not self._tables:
            return columns.append(pa.field("score", pa.float64(), nullable=False)).empty_table()
        self._thin()
        at = {key: row for row, key in enumerate(self._keys.tolist())}
        rows = pa.concat_tables(self._tables).take([at[key] for key in self._best.keys.tolist()])
        scores: Any = pa.array(self._best.scores, pa.float64())
        return rows.append_column(pa.field("score", pa.float64(), nullable=False), scores)

    def _thin(self) -> None:
        kept = np.flatnonzero(np.isin(self._keys, self._best.keys))
        self._tables = [pa.concat_tables(self._tables).take(kept)]
        self._keys = self._keys[kept]


def vectors_of(table: pa.Table) -> NDArray[np.float32]:
    """Give the vectors [n, D] of a table. Raises DatasetError for a column of another kind."""
    kind: Any = table.schema.field("embeddings").type
    if not pa.types.is_fixed_size_list(kind):
        msg = f"its embeddings are {kind}, no lists of one length: `clayline verify` says more."
        raise DatasetError(msg)
    column: Any = table.column("embeddings").combine_chunks()
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
