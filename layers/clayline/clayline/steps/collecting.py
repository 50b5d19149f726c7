"""Collect: from a settled run to its file, its receipt and its event."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from clayline.errors import TransientError
from clayline.outputs.embedding import EmbeddingRows, SceneColumns
from clayline.outputs.extensions import GEOJSON
from clayline.outputs.provenance import columns, file_metadata, metadata_json
from clayline.outputs.spool import VectorSpool
from clayline.outputs.stac import stac_item
from clayline.place import Option, words
from clayline.ports import Announcer, Clock, ObjectMissingError, PinnedObjects, Requests
from clayline.run.encoding import VectorEncoding
from clayline.run.keys import JSON, WorkObjects
from clayline.run.ledger import Ledger, RunRow
from clayline.run.measured import Measured, PaidInstance
from clayline.run.plan import Plan, PlannedChips
from clayline.run.receipt import (
    BatchOutcomes,
    Counts,
    PixelCounts,
    Receipt,
    SceneWarning,
    Settlement,
    count,
    scene_reason,
    status_of,
)
from clayline.run.state import PATIENCE, RunState
from clayline.run.stored_plan import load_plan
from clayline.run.verdict import Verdict
from clayline.steps.answering import Answering
from clayline.steps.gathered import Gathered
from clayline.steps.gathering import Gathering, sent_order, spool_path
from clayline.steps.storing import keep_model, keep_parquet
from clayline.steps.taking_over import UNDECLARED, ReadRows, TakenOver, take_over

GRACE: Final = timedelta(minutes=10)


class WriteTable(Protocol):
    """The table writer: ``clayline.table.geoparquet.write_geoparquet``."""

    def __call__(
        self,
        path: Path,
        *,
        columns: SceneColumns,
        chunks: Iterable[EmbeddingRows],
        metadata: Mapping[str, str],
        encoding: VectorEncoding,
    ) -> int:
        """Write rows that come sorted by identifier to a file; gives their number."""
        ...


class ReadHeader(Protocol):
    """The reader of a file's key-value metadata: ``clayline.table.header.read_header``."""

    def __call__(self, path: Path) -> Mapping[str, str]:
        """Give keys and values, both texts; the values are JSON."""
        ...


class SettledRun(BaseModel):
    """The scene-settled message."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\z")]


@dataclass(frozen=True, kw_only=True)
class Collecting:
    """Ports of collect."""

    objects: PinnedObjects
    requests: Requests
    ledger: Ledger
    announcer: Announcer
    clock: Clock
    write_table: WriteTable
    read_header: ReadHeader
    read_rows: ReadRows
    work_bucket: str
    scratch: Path
    """Where the vectors and the file lie until they are uploaded."""
    patience: timedelta = PATIENCE
    grace: timedelta = GRACE
    """How long after settling an answer that is not there is waited for."""
    instance: PaidInstance | None = None
    """On which the endpoint runs; None where none is paid for."""

    def collect(self, run: str) -> Receipt | None:
        """Write everything a settled run leaves; None if that was done before.

        Raises TransientError, OutputConflictError.

        Order: verdict, Parquet, metadata, the model's Item (once for all scenes), STAC Item, receipt (the commit), the
        state in the ledger; the requests, which nobody needs any more, are deleted; event, the outcome in the ledger,
        then an event for each other place where the scene landed meanwhile. Each file is written once, from the
        verdict; a retry gives the same.
        """
        row = self.ledger.run(run)
        if row is None or row.state not in {RunState.SETTLED, RunState.COMMITTED, RunState.ANNOUNCED}:
            msg = f"run {run} is said to be settled, and the ledger does not say so. It is looked for again."
            raise TransientError(msg)
        answering = Answering(objects=self.objects, ledger=self.ledger, announcer=self.announcer, clock=self.clock)
        if row.state.is_over:
            answering.answer_waiting(row)
            return None
        work = WorkObjects(bucket=self.work_bucket, run=run)
        try:
            plan = load_plan(self.objects, work)
            receipt = self._committed(plan, row) or self._commit(plan, work)
        except ObjectMissingError as error:
            msg = f"run {run} is said to be settled, but {error}. It is looked for again."
            raise TransientError(msg) from error
        self.ledger.enter(run, RunState.COMMITTED, due=self.clock() + self.patience)
        self.requests.discard([work.request(batch.name) for batch in plan.open_batches])
        answering.announce(receipt, at=plan.outputs.receipt, landed_uri=plan.landed_uri or plan.scene.uri)
        return receipt

    def _committed(self, plan: Plan, row: RunRow) -> Receipt | None:
        """Give the receipt that stands: what was written once is not computed again to be announced."""
        if row.state is not RunState.COMMITTED:
            return None
        return Receipt.model_validate_json(self.objects.get(plan.outputs.receipt))

    def _commit(self, plan: Plan, work: WorkObjects) -> Receipt:
        chips = PlannedChips.from_bytes(self.objects.get(work.chips))
        settlement = Settlement.model_validate_json(self.objects.get(work.settlement))
        return self._write(
            Gathering(
                objects=self.objects,
                work=work,
                plan=plan,
                chips=chips,
                settlement=settlement,
                is_fresh=self.clock() < settlement.at + self.grace,
                instance=self.instance,
            )
        )

    def _frozen(self, work: WorkObjects) -> Verdict | None:
        """Give the verdict that a try before this one wrote from, or may have."""
        try:
            return Verdict.model_validate_json(self.objects.get(work.verdict))
        except ObjectMissingError:
            return None

    def _is_frozen(self, work: WorkObjects, verdict: Verdict) -> bool:
        """Freeze the verdict before anything is written from it; False if another delivery froze another."""
        body = verdict.model_dump_json().encode()
        return self.objects.put_new(work.verdict, body, run=verdict.run, content_type=JSON) or (
            self._frozen(work) == verdict
        )

    def _write(self, gathering: Gathering) -> Receipt:
        """Gather and write; once more where another delivery froze another verdict meanwhile. Raises TransientError."""
        for _ in range(2):
            if receipt := self._written(gathering, self._frozen(gathering.work)):
                return receipt
        msg = f"scene {gathering.plan.scene.name}: its verdict is not there any more. It is collected again."
        raise TransientError(msg)

    def _written(self, gathering: Gathering, frozen: Verdict | None) -> Receipt | None:
        """Write everything from the ``frozen`` verdict, or from what there is now; None if that is not the verdict."""
        plan, outputs = gathering.plan, gathering.plan.outputs
        outcomes = gathering.outcomes(frozen)
        taken = take_over(self.objects, self.read_rows, plan, gathering.chips.uci, frozen)
        order = sent_order(outcomes, taken, gathering.chips)
        position = np.full(len(gathering.chips.uci), -1, dtype=np.int64)
        position[order] = np.arange(len(order))
        with ExitStack() as stack:
            spool = VectorSpool(spool_path(self.scratch, plan.run), max(1, len(order)), plan.model.entry.dimensions)
            stack.enter_context(spool)
            gathered, verdict = gathering.fill(outcomes, taken, spool, position, frozen)
            if frozen is None and not self._is_frozen(gathering.work, verdict):
                return None
            receipt = _receipt(plan, gathering.chips, gathered, _counted(outcomes.values()), taken, verdict.measured)
            if receipt.counts.written:
                path = self.scratch / f"{plan.run}.parquet"
                stack.callback(path.unlink, missing_ok=True)
                self.write_table(
                    path,
                    columns=columns(plan),
                    chunks=gathering.rows(gathered, spool, order),
                    metadata=file_metadata(plan),
                    encoding=plan.encoding,
                )
                file = keep_parquet(self.objects, outputs.parquet, path, run=plan.run)
                self._put(outputs.metadata, metadata_json(plan, receipt.counts, self.read_header(path)), plan.run, JSON)
                keep_model(self.objects, plan)
                item = stac_item(plan, gathering.chips.corners, receipt.counts, file)
                self._put(outputs.item, item, plan.run, GEOJSON)
        self._put(outputs.receipt, receipt_json(receipt), plan.run, JSON)
        return receipt

    def _put(self, uri: str, body: bytes | Path, run: str, content_type: str) -> None:
        self.objects.put_new(uri, body, run=run, content_type=content_type)


def receipt_json(receipt: Receipt) -> bytes:
    """Write a receipt so that people can read it: its head indented, then one line a chip."""
    head = receipt.model_dump_json(indent=1, exclude={"chips"})
    lines = ",\n".join("  " + chip.model_dump_json(exclude_none=True) for chip in receipt.chips)
    return f'{head[:-2]},\n "chips": [\n{lines}\n ]\n}}\n'.encode()


def _receipt(
    plan: Plan,
    chips: PlannedChips,
    gathered: Gathered,
    pixels: PixelCounts,
    taken: TakenOver | None,
    measured: Measured | None,
) -> Receipt:
    lines = gathered.outcomes(chips)
    counts = count(lines)
    reason = scene_reason(counts)
    outputs = plan.outputs
    written = {
        "parquet": outputs.parquet,
        "metadata": outputs.metadata,
        "model": outputs.model(plan.model.entry.digest),
        "item": outputs.item,
    }  # in the order in which they are written
    message = words(_nothing_written(plan.scene.name, counts), plan.place) if reason else None
    return Receipt(
        run=plan.run,
        status=status_of(counts),
        reason=reason,
        message=message,
        scene=plan.scene.name,
        source_uri=plan.names.of(plan.scene.uri),
        source_model=plan.model.entry.token,
        untrained=plan.model.untrained,
        warnings=(*plan.warnings, *(_undeclared(plan, pixels) or (taken.warnings if taken else ()))),
        counts=counts,
        pixels=pixels,
        measured=measured,
        predecessor=plan.carried.run if plan.carried else None,
        taken_over=len(taken.lines) if taken and taken.found == "taken" else 0,
        outputs={
            kind: plan.names.of(uri)
            for kind, uri in {**(written if counts.written else {}), "receipt": outputs.receipt}.items()
        },
        chips=lines,
    )


def _counted(outcomes: Iterable[BatchOutcomes]) -> PixelCounts:
    found = list(outcomes)
    return PixelCounts(
        impossible=sum(batch.impossible for batch in found), clamped=sum(batch.clamped for batch in found)
    )


def _undeclared(plan: Plan, pixels: PixelCounts) -> tuple[SceneWarning, ...]:
    """Say that numbers were taken for no values that nobody declared as such."""
    if not pixels.impossible:
        return ()
    limits = dict.fromkeys(f"{band.possible[0]:g} to {band.possible[1]:g}" for band in plan.bands if band.possible)
    message = (
        f"scene {plan.scene.name}: {pixels.impossible} pixels of its chips hold numbers that are none by their unit"
        f" (possible are {', '.join(limits)}), and count as pixels without a value. If they are fill, declare it:"
        " nodata in the Item, or in the file (`gdal_edit -a_nodata VALUE FILE`)."
    )
    return (SceneWarning(reason=UNDECLARED, message=message),)


def _nothing_written(scene: str, counts: Counts) -> str:
    """Say that no chip was written, and what may change that."""
    said = f"scene {scene}: no chip was written; see each chip's reason."
    if counts.failed:
        return f"{said} {Option.TRY_AGAIN}"
    if "valid-below-threshold" in counts.skipped:
        said += f" Lower {Option.MIN_VALID_FRACTION} to keep chips with fewer valid pixels."
    if "cloud-above-threshold" in counts.skipped:
        said += f" Raise {Option.MAX_CLOUD_FRACTION} to keep chips with more cloud."
    return said
