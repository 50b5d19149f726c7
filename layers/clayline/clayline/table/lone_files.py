"""Scene files that no index has: a row of each from its own end alone."""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from clayline.dataset.extents import cover
from clayline.dataset.ports import Root
from clayline.dataset.scene_file import kind_of, lacking
from clayline.dataset.scene_row import Box, SceneRow
from clayline.errors import DatasetError, InvalidIdentifierError
from clayline.identity.regions import bounds_of
from clayline.ports import ObjectMissingError, ObjectTooLargeError
from clayline.run.keys import scene_hash
from clayline.table.scene_header import read_footer

_AT_ONCE: Final = 16
_MOST_ITEM: Final = 64 * 1024 * 1024
_FILE: Final = re.compile(
    r"(?:.+/)?(?P<token>[a-z0-9][a-z0-9.-]*)/(?P<scene>[0-9a-f]{12})/"
    r"(?P<square>[0-9]{0,2}[A-Z]{3})_(?P<first>[0-9]{8})_(?P<last>[0-9]{8})_v(?P<revision>[0-9]{3,})\.parquet"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A scene's file whose end could not be read, as far as its name and its Item say what it is."""

    key: str
    message: str
    """For people: what is wrong, and what to do."""
    token: str
    scene: str
    revision: int
    box: Box
    """Of its Item; where that cannot be read either, of the square that it is named by."""
    start: datetime
    end: datetime
    """The days of its name."""

    def of_model(self, asked: str | None) -> bool:
        """Say whether it may be of a model, ``TOKEN`` or ``TOKEN@DIGEST``: its digest nobody can read."""
        return asked is None or asked.partition("@")[0] == self.token


def is_scene_file(key: str) -> bool:
    """Say whether a key is that of a scene's embeddings, and of no dataset's copy."""
    return _FILE.fullmatch(key) is not None


def rows_of_files(root: Root, keys: Sequence[str]) -> list[SceneRow]:
    """Give the rows of scene files, one request or two each. Raises DatasetError naming one that is none."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda key: _row(root, key), keys))


def rows_there(root: Root, keys: Sequence[str]) -> tuple[list[SceneRow], list[Unread]]:
    """Give the rows of scene files by their keys as ``is_scene_file`` knows them, and those that cannot be read.

    Raises DatasetError where none can be, TransientError.
    """

    def one(key: str) -> SceneRow | Unread:
        try:
            return _row(root, key)
        except DatasetError as error:
            return _unread(root, key, str(error))

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = list(threads.map(one, keys))
    rows = [each for each in found if isinstance(each, SceneRow)]
    unread = [each for each in found if isinstance(each, Unread)]
    if unread and not rows:
        raise DatasetError(unread[0].message)
    return rows, unread


def _unread(root: Root, key: str, message: str) -> Unread:
    path = _FILE.fullmatch(key)
    assert path  # noqa: S101 - a key that is_scene_file knows
    try:
        item = json.loads(root.get(key.removesuffix(".parquet") + ".json", most=_MOST_ITEM)[0])
        west, south, east, north = map(float, item["bbox"])
        box = Box(west=west, south=south, east=east, north=north)
    except (ObjectMissingError, ObjectTooLargeError, KeyError, TypeError, ValueError):
        box = _box_of_square(path["square"])
    return Unread(
        key=key,
        message=message,
        token=path["token"],
        scene=path["scene"],
        revision=int(path["revision"]),
        box=box,
        start=_day(path["first"]),
        end=_day(path["last"], last=True),
    )


def _box_of_square(square: str) -> Box:
    """Give the box around a square; of letters that MGRS has not, the globe's: it may be anywhere."""
    try:
        return cover([Box(west=each[0], south=each[1], east=each[2], north=each[3]) for each in bounds_of(square)])
    except InvalidIdentifierError:
        return Box(west=-180.0, south=-90.0, east=180.0, north=90.0)


def _day(text: str, *, last: bool = False) -> datetime:
    """Give the first or last moment of a day of a name; of one that is none, that of all time."""
    try:
        found = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC) if last else datetime.min.replace(tzinfo=UTC)
    return found + timedelta(days=1, seconds=-1) if last else found


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
