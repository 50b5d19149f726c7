"""Scene files that no index has: a row of each from its own end alone."""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from clayline.dataset.ports import Root
from clayline.dataset.scene_file import kind_of, lacking
from clayline.dataset.scene_row import Box, SceneRow
from clayline.errors import DatasetError
from clayline.ports import ObjectMissingError
from clayline.run.keys import scene_hash
from clayline.table.scene_header import read_footer

_AT_ONCE: Final = 16
_FILE: Final = re.compile(
    r"(?:.+/)?[a-z0-9][a-z0-9.-]*/(?P<scene>[0-9a-f]{12})/(?P<square>[0-9]{0,2}[A-Z]{3})_[0-9]{8}_[0-9]{8}_v[0-9]{3,}"
    r"\.parquet"
)


def is_scene_file(key: str) -> bool:
    """Say whether a key is that of a scene's embeddings, and of no dataset's copy."""
    return _FILE.fullmatch(key) is not None


def rows_of_files(root: Root, keys: Sequence[str]) -> list[SceneRow]:
    """Give the rows of scene files, one request or two each. Raises DatasetError naming one that is none."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda key: _row(root, key), keys))


def _row(root: Root, key: str) -> SceneRow:
    try:
        stored = root.head(key)
    except ObjectMissingError as error:
        msg = f"{root.uri.rstrip('/')}/{key}: there is no such file."
        raise DatasetError(msg) from error
    footer = read_footer(root, stored)
    found: Any = footer.metadata or {}
    path = _FILE.fullmatch(key)
    try:
        provenance = json.loads(found[b"clayline"])
        geo = json.loads(found[b"geo"])
        west, south, east, north = geo["columns"][geo["primary_column"]]["bbox"]
        source = provenance["source"]
        vectors: Any = footer.schema.to_arrow_schema().field("embeddings").type
        own = scene_hash(collection=source["collection"], item=source["id"], uri=source["uri"])
        scene = path["scene"] if path else own
        return SceneRow(
            token=provenance["model"]["token"],
            digest=provenance["model"]["digest"],
            scene=scene,
            revision=provenance["revision"],
            run=provenance["run"],
            status="SceneEmbedded",
            item_id=f"{provenance['model']['token']}_{scene}_{key.rpartition('/')[2].removesuffix('.parquet')}",
            instrument=provenance["instrument"],
            start=_moment(provenance["acquired"]["start"]),
            end=_moment(provenance["acquired"]["end"]),
            created=_moment(provenance["created"]),
            box=Box(west=float(west), south=float(south), east=float(east), north=float(north)),
            geometry=b"",
            gsd=float(provenance["grid"]["gsd"]),
            square=path["square"] if path else "00AAA",
            rows=footer.num_rows,
            size=stored.size,
            etag=stored.etag,
            dimensions=vectors.list_size,
            href=key,
        )
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        why = kind_of(found) or lacking(error)
        msg = (
            f"{root.uri}/{key} is no scene file as Clayline writes them ({why}). Give one of those that"
            " `clayline embed` names, or a dataset's root."
        )
        raise DatasetError(msg) from error


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
