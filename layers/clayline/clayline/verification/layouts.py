"""Layouts of files of embeddings that are published: which column means what."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from clayline.dataset.scene_file import RECEIPT, SceneFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column as the file declares it."""

    name: str
    type: str
    """Arrow's, as text."""
    nullable: bool


SCENE: Final = "clayline"
ROWS: Final = "clayline-rows"
SCENES_COLUMNS: Final = ("scene", "revision")
"""What rows of several scenes have beside the columns of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which of the columns is what."""

    name: str
    roles: Mapping[str, str] = field(default_factory=dict)
    """Name of the column by role."""
    points: bool = False
    """Whether footprints are the chips' centres alone."""

    @property
    def ours(self) -> bool:
        """Whether its columns are docs/schema.md's."""
        return self.name in {SCENE, ROWS}

    @property
    def several(self) -> bool:
        """Whether it holds rows of several scenes: a compact file, or what `clayline read` wrote."""
        return self.name == ROWS


OURS: Final = (
    ("uci", "string", False),
    ("source_url", "string", False),
    ("date", "date32[day]", False),
    ("datetime", "timestamp[us, tz=UTC]", False),
    ("source_model", "string", False),
    ("loss", "float", True),
    ("loss_metric", "string", True),
    ("source_creator", "string", False),
    ("embeddings", "fixed_size_list<element: float not null>[", False),
    ("geometry", "binary", False),
    ("index", "int64", False),
    ("cell", "string", True),
    ("bbox", f"struct<{', '.join(f'{side}: double not null' for side in ('xmin', 'ymin', 'xmax', 'ymax'))}>", False),
    ("valid_fraction", "float", False),
    ("cloud_fraction", "float", True),
)  # fmt: skip
"""Columns of docs/schema.md: name, how the type begins, whether null is allowed."""
_OUR_OWN: Final = frozenset(
    {"uci", "source_model", "source_creator", "loss_metric", "valid_fraction", "cloud_fraction"}
)
_ENOUGH: Final = 3
"""Of these names, which no other published layout has, say that a file is ours."""
_ROWS_FORMATS: Final = ("clayline-read/1", "clayline-dataset-file/1")
_MOST_FORMAT: Final = 4_096
_IDS: Final = ("uci", "chips_id", "chip_id", "tile_id", "unique_id", "id")
_VECTORS: Final = ("embeddings", "embedding", "vector")
_SAME: Final = ("source_url", "date", "datetime", "source_model", "loss", "loss_metric", "source_creator", "index")
_LGND: Final = {"chips_id", "cell_id", "embedding", "geometry", "datetime"}
_V0: Final = ("index", "source_url", "date", "embeddings", "geometry")


def layout_of(columns: Sequence[Column], *, primary: str | None, ours: str | None = None) -> Layout:
    """Find the layout by the columns; ``primary`` is the geometry that the header names.

    ``ours`` is the layout of ours that something else than the columns tells (``told_by``): one that lacks columns is
    judged as what it is, not as another's file.
    """
    names = {column.name: column.type for column in columns}
    if {"uci", "embeddings", "geometry"} <= names.keys():
        return _ours(names, ours)
    roles: dict[str, str] = {name: name for name in _SAME if name in names}
    vector = next((name for name in _VECTORS if _is_vector(names.get(name, ""))), None)
    vector = vector or next((column.name for column in columns if _is_vector(column.type)), None)
    found = {
        "id": next((name for name in _IDS if names.get(name) in {"string", "large_string"}), None),
        "vector": vector,
        "geometry": primary if primary in names else ("geometry" if "geometry" in names else None),
        "cell": next((name for name in ("cell", "cell_id") if names.get(name) in {"string", "large_string"}), None),
        "bbox": "bbox" if names.get("bbox", "").startswith("struct<") else None,
    }
    roles |= {role: name for role, name in found.items() if name}
    if tuple(names) == _V0:
        return Layout(name="clay-v0", roles=roles)
    if names.keys() >= _LGND:
        return Layout(name="lgnd", roles=roles)
    if {"id", "embedding", "geometry"} == names.keys() or {"tile_id", "embedding", "geometry"} == names.keys():
        return Layout(name="earth-index", roles=roles)
    if ours or len(names.keys() & _OUR_OWN) >= _ENOUGH:
        return _ours(names, ours)
    return Layout(name="geoparquet" if "geometry" in roles else "parquet", roles=roles)


def told_by(name: str, header: Mapping[str, str], *, receipt: bool) -> str | None:
    """Say which layout of ours a file is by its header ``clayline``, by a receipt beside it, or by its place
    ``token/scene/name`` (``name`` is its URI); None where nothing says so.
    """
    made = header.get("clayline", "")
    if any(f'"{each}"' in made[:_MOST_FORMAT] for each in _ROWS_FORMATS):
        return ROWS
    by_place = SceneFile.of_receipt(name.rpartition(".")[0] + RECEIPT)
    return SCENE if receipt or by_place or ('"grid"' in made and '"run"' in made) else None


def columns_asked(header: Mapping[str, str]) -> frozenset[str] | None:
    """Give the columns that whoever wrote a file with `clayline read` asked for; None: all of them."""
    try:
        said = json.loads(header.get("clayline", "")[:_MOST_FORMAT])
    except (ValueError, RecursionError):
        return None
    asked = said.get("columns") if isinstance(said, dict) else None
    return frozenset(map(str, asked)) if isinstance(asked, list) and asked else None


def _ours(names: Mapping[str, str], ours: str | None) -> Layout:
    roles = {name: name for name, *_ in OURS if name in names}
    roles |= {role: name for role, name in (("id", "uci"), ("vector", "embeddings")) if name in names}
    several = ours == ROWS or (ours is None and names.keys() >= set(SCENES_COLUMNS))
    return Layout(name=ROWS if several or names.keys() >= set(SCENES_COLUMNS) else SCENE, roles=roles)


def _is_vector(kind: str) -> bool:
    lists = ("list<", "fixed_size_list<", "large_list<")
    numbers = (": float", ": double", ": halffloat", ": int8", ": uint8")
    return kind.startswith(lists) and any(number in kind for number in numbers)
