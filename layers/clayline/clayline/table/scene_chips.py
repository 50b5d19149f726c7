"""A scene's own file, read for its likeness: what scores and filters need, a row group at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clayline.dataset.ports import Root
from clayline.dataset.scene_file import SceneFile
from clayline.errors import DatasetError
from clayline.likeness.matching import Chips
from clayline.likeness.taking_part import Traits
from clayline.table.ranged import FileAt, RangedFile, damaged
from clayline.table.scene_header import read_scene_header

COLUMNS: Final = ("uci", "cell", "index", "embeddings", "geometry", "valid_fraction", "cloud_fraction", "loss")
"""What a watch looks at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneChips:
    """A scene's file whose end was read."""

    root: Root
    file: RangedFile
    run: str
    digest: str
    """Of the model's entry."""
    instrument: str
    acquired: datetime

    def chips(self) -> Iterator[Chips]:
        """Give its chips, a row group at a time. Raises DatasetError, TransientError."""
        for group in range(self.file.groups):
            table = self.file.read(group, COLUMNS)
            try:
                yield chips_of(table)
            except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
                raise damaged(
                    self.root, self.file.at, f"row group {group} is not as docs/schema.md has it: {error}"
                ) from error


def open_scene(root: Root, file: SceneFile) -> SceneChips:
    """Read a file's end. Raises DatasetError, ObjectMissingError, TransientError."""
    stored = root.head(file.parquet)
    header = read_scene_header(root, stored)
    at = FileAt(key=stored.key, size=stored.size, rows=header.rows, etag=stored.etag, group_rows=2_048)
    try:
        provenance = header.provenance
        return SceneChips(
            root=root,
            file=RangedFile.open(root, at),
            run=str(provenance["run"]),
            digest=str(provenance["model"]["digest"]),
            instrument=str(provenance["instrument"]),
            acquired=datetime.fromisoformat(provenance["acquired"]["start"]).astimezone(UTC),
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{root.uri}/{file.parquet} lacks what a watch needs of its provenance: {error!r}"
        raise DatasetError(msg) from error


def chips_of(table: pa.Table) -> Chips:
    """Give a table's chips as numpy has them. Raises KeyError, ValueError or an error of Arrow's for other columns."""
    return Chips(
        uci=_texts(table, "uci"),
        cell=_texts(table, "cell"),
        index=table.column("index").cast(pa.int64()).to_numpy(),
        vectors=vectors_of(table),
        traits=Traits(
            valid=_floats(table, "valid_fraction"),
            cloud=_floats(table, "cloud_fraction"),
            loss=_floats(table, "loss"),
        ),
        footprints=_texts(table, "geometry"),
    )


def vectors_of(table: pa.Table) -> NDArray[np.float32]:
    """Give the column embeddings as [n, D]. Raises ValueError where a row has none, or they differ in length."""
    column: Any = table.column("embeddings").combine_chunks()
    lengths: Any = pc.unique(pc.list_value_length(column))
    if column.null_count:
        msg = "a row has no embedding"
        raise ValueError(msg)
    flat = column.flatten().to_numpy(zero_copy_only=False)
    if not len(table):
        return np.empty((0, 0), np.float32)
    if len(lengths) != 1:
        msg = "embeddings have not one length"
        raise ValueError(msg)
    return np.asarray(flat, np.float32).reshape(len(table), -1)


def _texts(table: pa.Table, name: str) -> Any:  # noqa: ANN401 - Arrow's own lists
    return table.column(name).to_pylist()


def _floats(table: pa.Table, name: str) -> NDArray[np.float32]:
    """NaN where there is no value."""
    return np.asarray(table.column(name).cast(pa.float32()).to_numpy(), np.float32)
