"""``clayline compact``: passes of the compactor until nothing is left to gain."""

import json
import secrets
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clayline.dataset.compaction import NOTHING
from clayline.dataset.ports import WritableRoot
from clayline.errors import DatasetError, shown
from clayline.steps.compacting import Compacting
from clayline.steps.describing import describe
from clayline.steps.tiering import Tiering
from clayline.steps.upkeep import passes
from clayline.table.dataset_tables import DatasetTables
from clayline.table.dataset_tiers import DatasetTiers
from clayline.table.index_reading import read_manifest, read_snapshot, scene_rows
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_local.stopping import stoppable


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactOptions:
    """What a call was told."""

    grace_hours: int
    spool_gb: int
    row_group_rows: int
    tiers: bool
    new_codebook: str | None
    """Model whose tiers are made again by a new codebook."""
    as_json: bool


def compact(root: WritableRoot, console: Console, options: CompactOptions) -> int:
    """Compact a root; gives the exit status. Raises ClaylineError, Stopped."""
    with stoppable(), tempfile.TemporaryDirectory(prefix="clayline-compact-") as scratch:
        compacting = Compacting(
            root=root,
            tables=DatasetTables(row_group_rows=options.row_group_rows),
            clock=lambda: datetime.now(UTC),
            stamp=lambda: secrets.token_hex(8),
            scratch=Path(scratch),
            tiering=Tiering(root=root, tables=DatasetTiers(scratch=Path(scratch))) if options.tiers else None,
            grace=timedelta(hours=options.grace_hours),
            spool_bytes=options.spool_gb * 1024**3,
        )
        if options.new_codebook:
            _forget(compacting, options.new_codebook)
        left_out = NOTHING
        for number, done in enumerate(passes(compacting), start=1):
            left_out = done.left_out
            square = f"{done.rewritten.square} {done.rewritten.year}" if done.rewritten else None
            told = f"pass {number}: {done.taken_in} fragments taken in, {done.deleted} old objects deleted"
            console.notice(
                told
                + (f", {square} written: {done.chips} chips" if square else "")
                + (", tiers of a file" * done.tiered)
            )
            if options.as_json:
                said = {"pass": number, "taken_in": done.taken_in, "deleted": done.deleted, "chips": done.chips}
                print(json.dumps({**said, "square": square, "tiered": done.tiered}), flush=True)
        try:
            described = describe(root, scene_rows(root, read_snapshot(root)))
            console.notice(f"{len(described)} descriptions written (Collections, data cards)")
        except DatasetError as error:  # derived: what readers see is whole without
            console.notice(f"the Collections and data cards were not written: {error}")
    manifest, _ = read_manifest(root)
    if not options.as_json:
        chips = sum(file.file.rows for file in manifest.files)
        out = f", {len(left_out.told)} left out" if left_out.told else ""
        print(f"{manifest.scenes} scenes, {chips} chips in {len(manifest.files)} files{out}", flush=True)
    for what, why in left_out.told.items():
        console.warn(shown(f"left out: {what}: {why}"))
        if options.as_json:
            print(json.dumps({"left_out": what, "why": why}), flush=True)
    return 1 if left_out.told else 0


def _forget(compacting: Compacting, token: str) -> None:
    manifest, _ = read_manifest(compacting.root)
    known = sorted({file.token for file in manifest.files})
    if token not in known:
        there = ", ".join(known) or "no model"
        msg = f"no chips of {token} are in the files of {compacting.root.uri}; there are those of {there}."
        raise CommandError(msg)
    compacting.forget_tiers(token)
