"""What a run takes over from the run before: outcomes by its receipt, rows by its file, both as they were planned."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from clayline.errors import TransientError, WireError
from clayline.outputs.embedding import WrittenRows
from clayline.outputs.spool import VectorSpool
from clayline.ports import ObjectMissingError, PinnedObjects, Ranges
from clayline.run.carried import StoredObject
from clayline.run.plan import Plan
from clayline.run.receipt import ChipOutcome, Receipt, SceneWarning, State
from clayline.run.verdict import Verdict
from clayline.steps.gathered import Gathered

MISSING: Final = "predecessor-missing"
UNDECLARED: Final = "undeclared-nodata"
"""Reason of the warning that some numbers were taken for no values."""


class ReadRows(Protocol):
    """The reader of a written file: ``clayline.table.written.read_rows``."""

    def __call__(self, objects: Ranges, stored: StoredObject, *, dimensions: int) -> Iterator[WrittenRows]:
        """Give the rows part by part. Raises ObjectMissingError, WireError, TransientError."""
        ...


@dataclass(frozen=True, kw_only=True)
class TakenOver:
    """The chips of the batches that a run takes over."""

    found: Literal["taken", "missing"]
    lines: tuple[ChipOutcome, ...]
    """How each ended. Where the run before is not what it was when it was planned, every one failed."""
    warnings: tuple[SceneWarning, ...] = ()
    """Of the run before, about pixels: they are said of the scene still."""
    rows: Iterator[WrittenRows] = field(default_factory=lambda: iter(()))

    @property
    def written(self) -> list[int]:
        """Windows whose rows are taken over."""
        return [line.index for line in self.lines if line.state is State.WRITTEN]

    def note(self, gathered: Gathered, spool: VectorSpool, position: NDArray[np.int64]) -> None:
        """End every chip, and put each vector at its ``position`` [chips] in the spool.

        Raises ObjectMissingError, WireError, TransientError.
        """
        for line in self.lines:
            gathered.end(line.index, line.state, line.reason)
        wanted = np.zeros(len(position), dtype=np.bool_)
        wanted[self.written] = True
        for rows in self.rows:
            keep = wanted[rows.index]
            index = rows.index[keep]
            spool.put(position[index], rows.embeddings[keep])
            gathered.loss[index] = rows.loss[keep]
            gathered.valid_fraction[index] = rows.valid_fraction[keep]
            gathered.cloud_fraction[index] = rows.cloud_fraction[keep]
            wanted[index] = False
        if wanted.any():
            msg = f"chip {int(np.flatnonzero(wanted)[0])} is written by its receipt and has no row in the file"
            raise WireError(msg)


def take_over(
    objects: PinnedObjects, read_rows: ReadRows, plan: Plan, uci: Sequence[str], frozen: Verdict | None
) -> TakenOver | None:
    """Give what a run takes over; None if it computes everything. Raises TransientError.

    What is frozen of it holds: what came or went since changes nothing.
    """
    carried = plan.carried
    if carried is None:
        return None
    wanted = {index for batch in plan.carried_batches for index in plan.indexes(batch)}
    failed = tuple(
        ChipOutcome(uci=uci[index], index=index, state=State.FAILED, reason=MISSING) for index in sorted(wanted)
    )
    missing = TakenOver(found="missing", lines=failed)
    if frozen and frozen.predecessor == "missing":
        return missing
    try:
        receipt = read_receipt(objects, carried.receipt)
        if carried.parquet:  # a read of one byte says whether it is still what was planned
            objects.get_range(carried.parquet.uri, start=0, stop=1, etag=carried.parquet.etag)
    except (ObjectMissingError, ValidationError) as error:
        if frozen:
            msg = f"scene {plan.scene.name}: what run {carried.run} wrote was there before: {error}"
            raise TransientError(msg) from error
        return missing
    lines = tuple(line for line in receipt.chips if line.index in wanted)
    rows = read_rows(objects, carried.parquet, dimensions=plan.model.entry.dimensions) if carried.parquet else iter(())
    warnings = tuple(warning for warning in receipt.warnings if warning.reason == UNDECLARED)
    return TakenOver(found="taken", lines=lines, warnings=warnings, rows=rows)


def read_receipt(objects: Ranges, stored: StoredObject) -> Receipt:
    """Read a receipt as it was when it was pinned. Raises ObjectMissingError, ValidationError, TransientError."""
    return Receipt.model_validate_json(objects.get_range(stored.uri, start=0, stop=stored.size, etag=stored.etag))
