"""The chips of a scene's file, as the report takes them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.chips.grid import ChipGrid
from clayline.dataset.scene_file import kind_of, lacking
from clayline.likeness.taking_part import Traits
from clayline_cli.errors import CommandError
from clayline_cli.picture.from_provenance import grid_of, ground_of
from clayline_cli.picture.ground import Ground

MOST_CHIPS: Final = 40_000
"""Of one page: beyond, browsers of phones give up."""
_COLUMNS: Final = (
    "uci", "index", "embeddings", "loss", "loss_metric", "source_model", "datetime", "valid_fraction", "cloud_fraction",
)  # fmt: skip
_MOST_WHY: Final = 300
"""Letters of a reason."""
_BAD: Final = (pa.ArrowException, KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
"""What a file that is no scene's raises, wherever in it that is found."""


@dataclass(frozen=True, kw_only=True)
class SceneChips:
    """N chips of one scene and one model, as the file has them."""

    name: str
    """The file's."""
    scene: str
    day: str
    model: str
    digest: str
    instrument: str
    untrained: bool
    loss_metric: str | None
    uci: tuple[str, ...]
    index: NDArray[np.int64]
    """[N]."""
    vectors: NDArray[np.float32]
    """[N, D]."""
    traits: Traits
    provenance: dict[str, Any]
    grid: ChipGrid
    ground: Ground

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file. Raises CommandError for one that is no scene's, or has more chips than a page takes."""
        if path.is_dir():
            raise CommandError(f"{path} is a folder. Give a scene's Parquet file in it")
        try:
            with pq.ParquetFile(path) as file:
                rows = file.metadata.num_rows
                found: dict[bytes, bytes] = file.metadata.metadata or {}
                _check(path, rows, found)
                return cls._of(path.name, file.read(columns=list(_COLUMNS)), json.loads(found[b"clayline"]))
        except FileNotFoundError as error:
            raise CommandError(f"there is no {path}. Give a scene's Parquet file") from error
        except (*_BAD, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the machine's; a damaged page is an OSError of Arrow's without a number
            msg = (
                f"{path} cannot be read as a scene's file ({lacking(error)[:_MOST_WHY]})."
                " `clayline verify` says more of it"
            )
            raise CommandError(msg) from error

    @classmethod
    def _of(cls, name: str, table: pa.Table, provenance: dict[str, Any]) -> Self:
        grid, ground = grid_of(provenance), ground_of(provenance)
        index = table["index"].to_numpy().astype(np.int64)
        if not ((index >= 0) & (index < len(grid))).all():
            msg = f"a chip's index is none of the grid's {len(grid)} windows"
            raise ValueError(msg)
        vectors = pc.list_flatten(table["embeddings"]).to_numpy().astype(np.float32).reshape(len(table), -1)
        if not np.isfinite(vectors).all():
            msg = "a vector is not finite"
            raise ValueError(msg)
        model = provenance["model"]
        source = str(provenance["source"].get("id") or provenance["source"]["uri"])
        return cls(
            name=name,
            scene=source.rpartition("/")[2],
            day=str(table["datetime"][0].as_py().date()),
            model=str(table["source_model"][0].as_py()),
            digest=str(model["digest"]),
            instrument=str(provenance["instrument"]),
            untrained=bool(model.get("untrained")),
            loss_metric=table["loss_metric"][0].as_py(),
            uci=tuple(map(str, table["uci"].to_pylist())),
            index=index,
            vectors=vectors,
            traits=Traits(
                valid=_numbers(table, "valid_fraction"),
                cloud=_numbers(table, "cloud_fraction"),
                loss=_numbers(table, "loss"),
            ),
            provenance=provenance,
            grid=grid,
            ground=ground,
        )

    def __len__(self) -> int:
        """Count them."""
        return len(self.uci)


def _check(path: Path, rows: int, found: Mapping[bytes, bytes]) -> None:
    kind = kind_of(found)
    if kind or b"clayline" not in found:
        why = kind or "its header says nothing of the scene"
        raise CommandError(f"{path} is no scene's file: {why}. Give a file that `clayline embed` or a stack wrote")
    if not rows:
        raise CommandError(f"{path} has no chips: there is nothing to show")
    if rows > MOST_CHIPS:
        raise CommandError(f"{path} has {rows:,} chips, and a page takes {MOST_CHIPS:,} at most")


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Give a column, NaN where it is null or infinite: neither says anything that could be shown."""
    found = np.array([float("nan") if value is None else value for value in table[name].to_pylist()], np.float64)
    return np.where(np.isfinite(found), found, np.nan)
