"""``clayline index``: scenes that the index of a root does not have get their rows."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from clayline.api.opening import root_of
from clayline.errors import DatasetError, shown
from clayline.ports import ObjectMissingError
from clayline.steps.indexing import Indexing, without_row
from clayline.table.index_reading import AT_ONCE, read_rows_of, read_snapshot
from clayline.table.scene_header import read_scene_header
from clayline.table.scene_rows import encode_rows
from clayline_cli.console import Console
from clayline_local.stopping import stoppable

if TYPE_CHECKING:
    from clayline.dataset.scene_file import SceneFile

_EVERY: Final = 1_000


def index(name: str, console: Console, *, as_json: bool) -> int:
    """Give every receipt under a root its row, where it has none; gives the exit status.

    Raises ClaylineError, Stopped.
    """
    root = root_of(name)
    indexing = Indexing(root=root, read_header=read_scene_header, encode_rows=encode_rows)
    with stoppable():
        snapshot = read_snapshot(root)
        manifest = snapshot.manifest
        stored = [*(part.file.href for part in manifest.parts), *(file.href for file in manifest.history)]
        missing = list(without_row(root, snapshot, read_rows_of(root, stored)))
        console.notice(f"{root.uri}: {len(missing)} receipts have no row of the index")
        done, without, wrong = 0, 0, 0

        def one(file: "SceneFile") -> tuple["SceneFile", bool | None, str]:
            try:
                return file, indexing.index(file) is not None, ""
            except (DatasetError, ObjectMissingError) as error:
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
        print(f"{done} scenes indexed, {without} without a file of embeddings, {wrong} failed", flush=True)
    return 1 if wrong else 0
