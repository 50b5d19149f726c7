"""``clayline index``: scenes that the index of a root does not have get their rows."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from clayline.errors import DatasetError, counted, shown
from clayline.ports import ObjectMissingError
from clayline.steps.compacting import Compacting
from clayline.steps.indexing import Indexing, Survey, survey
from clayline.table.dataset_tables import DatasetTables
from clayline.table.index_reading import AT_ONCE, read_rows_of, read_snapshot
from clayline.table.scene_header import read_scene_header
from clayline.table.scene_rows import encode_rows
from clayline_cli.console import Console
from clayline_local.stopping import stoppable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clayline.dataset.ports import WritableRoot
    from clayline.dataset.scene_file import SceneFile
    from clayline.dataset.scene_row import SceneRow

_EVERY: Final = 1_000
_COPIED: Final = "its file is gone, and its chips are in dataset/files/ alone: restore it, those are copies"


def look(root: "WritableRoot", *, as_json: bool) -> int:
    """Tell what ``index`` would do, and write nothing; gives the exit status. Raises ClaylineError, Stopped."""
    with stoppable():
        found = _surveyed(root)
    keys = {"without-row": [file.parquet for file in found.embedded], "lost": [row.href for row in found.lost]}
    for state, scenes in keys.items():
        for key in scenes:
            print(json.dumps({"scene": key, "state": state}) if as_json else f"{state}: {shown(key)}", flush=True)
    if not as_json:
        without, lost = (counted(len(scenes), "scene") for scenes in keys.values())
        print(f"{without} without a row of the index, {lost} of the index without their file", flush=True)
    return 1 if any(keys.values()) else 0


def index(root: "WritableRoot", console: Console, *, as_json: bool, forget_lost: bool = False) -> int:
    """Give every receipt under a root its row, where it has none, and tell rows whose file is lost, or take them away;
    gives the exit status.

    Raises ClaylineError, Stopped.
    """
    indexing = Indexing(root=root, read_header=read_scene_header, encode_rows=encode_rows)
    with stoppable():
        found_there = _surveyed(root)
        lost = found_there.lost
        if forget_lost and (away := [row for row in lost if not row.compacted]):
            _compacting(root).forget(away)
            _tell(away, "forgotten", f"taken out of the index of {root.uri}", console, as_json=as_json)
            found_there = _surveyed(root)
            lost = found_there.lost
        _tell([row for row in lost if row.compacted], "lost", _COPIED, console, as_json=as_json)
        _tell([row for row in lost if not row.compacted], "lost", _remedy(root), console, as_json=as_json)
        missing = found_there.without_row
        console.notice(f"{root.uri}: {counted(len(missing), 'receipt')} without a row of the index")
        done, without, wrong = 0, 0, 0

        def one(file: "SceneFile") -> tuple["SceneFile", bool | None, str]:
            try:
                return file, indexing.index(file) is not None, ""
            except ObjectMissingError as error:
                return (
                    file,
                    None,
                    f"{error}, and a receipt says that it was written. Restore it, or embed the scene again.",
                )
            except DatasetError as error:
                return file, None, str(error)

        with ThreadPoolExecutor(AT_ONCE // 4) as pool:
            for file, found, message in pool.map(one, missing):
                done, without, wrong = done + (found is True), without + (found is False), wrong + (found is None)
                if message:
                    console.warn(shown(message))
                if as_json:
                    state = {True: "indexed", False: "no-file", None: "failed"}[found]
                    print(json.dumps({"scene": file.parquet, "state": state, "message": message or None}), flush=True)
                if (done + without + wrong) % _EVERY == 0:
                    console.notice(f"{done + without + wrong} of {len(missing)}")
    if not as_json:
        gone = f", {counted(len(lost), 'row')} without their file" if lost else ""
        print(
            f"{counted(done, 'scene')} indexed, {without} without a file of embeddings, {wrong} failed{gone}",
            flush=True,
        )
    return 1 if wrong or lost else 0


def _surveyed(root: "WritableRoot") -> Survey:
    snapshot = read_snapshot(root)
    manifest = snapshot.manifest
    stored = [*(part.file.href for part in manifest.parts), *(file.href for file in manifest.history)]
    return survey(root, snapshot, read_rows_of(root, stored))


def _compacting(root: "WritableRoot") -> Compacting:
    """Give what writes the index; nothing of it needs a scratch folder."""
    return Compacting(
        root=root,
        tables=DatasetTables(),
        clock=lambda: datetime.now(UTC),
        stamp=lambda: secrets.token_hex(8),
        scratch=Path(),
    )


def _tell(rows: "Sequence[SceneRow]", state: str, what: str, console: Console, *, as_json: bool) -> None:
    for row in rows:
        console.warn(shown(f"{row.href}: {what}"))
        if as_json:
            print(json.dumps({"scene": row.href, "state": state, "message": what}), flush=True)


def _remedy(root: "WritableRoot") -> str:
    return (
        "the index has this scene, and its file is gone or another one: readers of its place stop. Restore it, or take"
        f" its row out of the index: `clayline index {quote(root.uri)} --forget-lost`"
    )
