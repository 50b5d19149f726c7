"""``clayline compact``: passes of the compactor until nothing is left to gain."""

import json
import secrets
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clayline.steps.compacting import Compacting
from clayline.steps.describing import describe
from clayline.table.dataset_tables import DatasetTables
from clayline.table.index_reading import read_manifest, read_snapshot, scene_rows
from clayline_cli.compacting.place import writable
from clayline_cli.console import Console
from clayline_local.stopping import stoppable


def compact(name: str, console: Console, *, grace_hours: int, spool_gb: int, row_group_rows: int, as_json: bool) -> int:
    """Compact a root; gives the exit status. Raises ClaylineError, Stopped."""
    root = writable(name)
    with stoppable(), tempfile.TemporaryDirectory(prefix="clayline-compact-") as scratch:
        compacting = Compacting(
            root=root,
            tables=DatasetTables(row_group_rows=row_group_rows),
            clock=lambda: datetime.now(UTC),
            stamp=lambda: secrets.token_hex(8),
            scratch=Path(scratch),
            grace=timedelta(hours=grace_hours),
            spool_bytes=spool_gb * 1024**3,
        )
        number, changed = 0, True
        while changed:
            done, number = compacting.compact(), number + 1
            changed = done.changed
            square = f"{done.rewritten.square} {done.rewritten.year}" if done.rewritten else None
            told = f"pass {number}: {done.taken_in} fragments taken in, {done.deleted} old objects deleted"
            console.notice(told + (f", {square} written: {done.chips} chips" if square else ""))
            if as_json:
                said = {"pass": number, "taken_in": done.taken_in, "deleted": done.deleted, "chips": done.chips}
                print(json.dumps({**said, "square": square}), flush=True)
        described = describe(root, scene_rows(root, read_snapshot(root)))
        console.notice(f"{len(described)} descriptions written (Collections, data cards)")
    manifest, _ = read_manifest(root)
    if not as_json:
        chips = sum(file.file.rows for file in manifest.files)
        print(f"{manifest.scenes} scenes, {chips} chips in {len(manifest.files)} files", flush=True)
    return 0
