"""Gather what became of every chip of a run, and the vectors of those that have one, in the order of their
identifiers.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.chips.batch import Batch
from clayline.errors import BatchError, TransientError, WireError
from clayline.model.wire import STATUS_GOOD, Response, most_bytes
from clayline.outputs.embedding import EmbeddingRows
from clayline.outputs.spool import VectorSpool
from clayline.ports import ObjectMissingError, Objects, ObjectTooLargeError
from clayline.run.keys import WorkObjects
from clayline.run.measured import Answers, Measured, PaidInstance
from clayline.run.plan import Plan, PlannedChips
from clayline.run.receipt import GIVEN_UP, BatchOutcomes, BatchSettlement, Settlement, State
from clayline.run.verdict import BatchVerdict, Verdict
from clayline.steps.bounds import RESPONSES_AT_ONCE
from clayline.steps.gathered import Gathered
from clayline.steps.measuring import measure
from clayline.steps.taking_over import TakenOver

ROWS_A_CHUNK = 1024
OUTCOMES_AT_ONCE: Final = 32
"""Outcomes read side by side: each is a small JSON, the wait is the round trip. Collect's client has as many
connections."""


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """Reads a settled run's outcomes and responses."""

    objects: Objects
    work: WorkObjects
    plan: Plan
    chips: PlannedChips
    settlement: Settlement
    is_fresh: bool
    """Whether the run was settled a moment ago: an answer that is not there may still come."""
    instance: PaidInstance | None = None
    """On which the endpoint runs."""

    def outcomes(self, frozen: Verdict | None) -> dict[str, BatchOutcomes]:
        """Read what tile decided, for every batch that this run computed. Raises TransientError if one is not there
        (yet).
        """
        settled = {batch.batch: batch for batch in self.settlement.batches}
        known = {batch.batch: batch.uncut for batch in frozen.batches} if frozen else {}
        batches = self.plan.open_batches
        with ThreadPoolExecutor(OUTCOMES_AT_ONCE) as pool:
            read = pool.map(lambda each: self._outcomes(each, settled[each.name], known.get(each.name)), batches)
            return dict(zip((batch.name for batch in batches), read, strict=True))

    def _outcomes(self, batch: Batch, settled: BatchSettlement, uncut: bool | None) -> BatchOutcomes:  # noqa: FBT001 - or not known yet
        """Read those of a batch. One that was given up may have none; what is frozen of that (``uncut``) holds."""
        uri = self.work.outcomes(batch.name)
        if uncut:
            return self._uncut(batch, settled)
        try:
            outcomes = BatchOutcomes.model_validate_json(self.objects.get(uri))
        except ObjectMissingError as error:
            if uncut is None and settled.reason in GIVEN_UP:
                return self._uncut(batch, settled)
            msg = (
                f"scene {self.plan.scene.name}: batch {batch.name} is settled but {uri} is missing; it is looked for"
                " again"
            )
            raise TransientError(msg) from error
        if list(outcomes.index) != self.plan.indexes(batch):
            msg = f"scene {self.plan.scene.name}: {uri} is not about the chips that the plan gives batch {batch.name}"
            raise WireError(msg)
        return outcomes

    def _uncut(self, batch: Batch, settled: BatchSettlement) -> BatchOutcomes:
        """Fail every chip of a batch that was given up before anybody decided on them."""
        reason = settled.reason or "inference-failed"
        return BatchOutcomes.all_failed(self.plan.run, batch.name, self.plan.indexes(batch), reason, uncut=True)

    def fill(
        self,
        outcomes: dict[str, BatchOutcomes],
        taken: TakenOver | None,
        spool: VectorSpool,
        position: NDArray[np.int64],
        frozen: Verdict | None,
    ) -> tuple[Gathered, Verdict]:
        """End every chip, and put each good vector at its ``position`` [chips] in the spool.

        Gives what became of the chips, and which answers that came from: those that ``frozen`` names, if there is one,
        whose figures hold too.
        Raises TransientError where an answer is not there yet, or is not the frozen one.
        """
        gathered = Gathered.empty(len(self.chips.uci))
        if taken:
            taken.note(gathered, spool, position)
        settled = {batch.batch: batch for batch in self.settlement.batches}
        known = {batch.batch: batch for batch in frozen.batches} if frozen else {}
        verdicts: list[BatchVerdict] = []
        counted = Answers()
        with ThreadPoolExecutor(RESPONSES_AT_ONCE) as pool:
            for group in batched(outcomes.values(), RESPONSES_AT_ONCE, strict=False):
                answers = pool.map(lambda found: self._judge(found, settled[found.batch], known), group)
                for found, (verdict, answer, size) in zip(group, answers, strict=True):
                    verdicts.append(verdict)
                    self._note(gathered, found)
                    if answer is not None:
                        counted.add(chips=len(answer.index), size=size, seconds=answer.compute_seconds)
                        self._take(gathered, answer, spool, position)
                    elif verdict.reason is not None:
                        for index in found.sent_indexes:
                            gathered.end(index, State.FAILED, verdict.reason)
                        _blank(spool, position[found.sent_indexes], self.plan.model.entry.dimensions)
        predecessor = taken.found if taken else None
        measured = frozen.measured if frozen else self._measured(outcomes, counted)
        return gathered, Verdict(run=self.plan.run, batches=tuple(verdicts), predecessor=predecessor, measured=measured)

    def _measured(self, outcomes: dict[str, BatchOutcomes], counted: Answers) -> Measured:
        created = self.plan.created
        return measure(outcomes.values(), self.settlement, counted, claimed=created, instance=self.instance)

    def _note(self, gathered: Gathered, found: BatchOutcomes) -> None:
        for index, state, reason in zip(found.index, found.state, found.reason, strict=True):
            if state is not None:
                gathered.end(index, state, reason)
        positions = list(found.index)
        gathered.valid_fraction[positions] = [np.nan if value is None else value for value in found.valid_fraction]
        gathered.cloud_fraction[positions] = [np.nan if value is None else value for value in found.cloud_fraction]

    def _take(self, gathered: Gathered, answer: Response, spool: VectorSpool, position: NDArray[np.int64]) -> None:
        good = answer.status == STATUS_GOOD
        # One vector's infinity fails that chip only. The row of a failed chip is blank in the spool and never read into
        # the file.
        good &= np.isfinite(answer.embeddings).all(axis=1)
        if answer.loss is not None:
            good &= np.isfinite(answer.loss)
            gathered.loss[answer.index] = answer.loss
        spool.put(position[answer.index], np.where(good[:, None], answer.embeddings, np.float32(0)))
        for index, fine in zip(answer.index.tolist(), good.tolist(), strict=True):
            gathered.end(index, State.WRITTEN if fine else State.FAILED, None if fine else "non-finite")

    def _judge(
        self, found: BatchOutcomes, settled: BatchSettlement, frozen: Mapping[str, BatchVerdict]
    ) -> tuple[BatchVerdict, Response | None, int]:
        """Give the verdict on a batch, the frozen one if there is one; the response and its size if that counts."""
        known = frozen.get(found.batch)
        if known and known.digest is None:
            return known, None, 0
        if not found.sent_indexes:
            return BatchVerdict(batch=found.batch, uncut=found.uncut), None, 0
        if settled.status != "succeeded" or settled.output is None:
            return BatchVerdict(batch=found.batch, reason=settled.reason or "inference-failed"), None, 0
        try:
            body = self._body(found, settled.output)
            response = self._response(found, settled.output, body)
            digest = response.content_digest()
        except BatchError as error:
            if known:
                msg = f"scene {self.plan.scene.name}: the answer of batch {found.batch} was good before: {error}"
                raise TransientError(msg) from error
            return BatchVerdict(batch=found.batch, reason=error.reason), None, 0
        if known and known.digest != digest:
            msg = f"scene {self.plan.scene.name}: {settled.output} is not what it was before. It is looked for again."
            raise TransientError(msg)
        return BatchVerdict(batch=found.batch, digest=digest), response, len(body)

    def _body(self, found: BatchOutcomes, uri: str) -> bytes:
        """Read a response. Raises BatchError, or TransientError while it may still come."""
        entry = self.plan.model.entry
        if not self.work.is_response(uri):
            msg = f"{uri} is not where the endpoint's output goes"
            raise BatchError(msg, reason="response-elsewhere")
        try:
            return self.objects.get(uri, most=most_bytes(dimensions=entry.dimensions, chips=len(found.sent_indexes)))
        except ObjectTooLargeError as error:
            raise BatchError(str(error), reason="response-too-large") from error
        except ObjectMissingError as error:
            if self.is_fresh:
                msg = (
                    f"scene {self.plan.scene.name}: {error}, and its batch ended a moment ago. It is looked for again."
                )
                raise TransientError(msg) from error
            raise BatchError(str(error), reason="response-missing") from error

    def _response(self, found: BatchOutcomes, uri: str, body: bytes) -> Response:
        entry = self.plan.model.entry
        try:
            response = Response.from_bytes(body)
        except WireError as error:
            raise BatchError(str(error), reason="response-unreadable") from error
        header = response.header
        if (header.run, header.batch, response.index.tolist()) != (self.plan.run, found.batch, found.sent_indexes):
            msg = f"{uri} answers batch {header.batch} of run {header.run}, not {found.batch} of {self.plan.run}"
            raise BatchError(msg, reason="response-mismatch")
        if (header.token, header.digest) != (entry.token, entry.digest):
            msg = f"{uri} was computed by {header.token} {header.digest}, the plan wants {entry.token} {entry.digest}"
            raise BatchError(msg, reason="model-changed")
        if response.embeddings.shape[1] != entry.dimensions or response.loss_metric != entry.loss_metric:
            msg = (
                f"{uri} has {response.embeddings.shape[1]} dimensions and loss {response.loss_metric}, the manifest"
                " says otherwise"
            )
            raise BatchError(msg, reason="response-mismatch")
        return response

    def rows(self, gathered: Gathered, spool: VectorSpool, order: NDArray[np.int64]) -> Iterator[EmbeddingRows]:
        """Give the written chips chunk by chunk; ``order`` are the indexes of the sent chips, sorted by identifier."""
        with_loss = self.plan.model.entry.loss_metric is not None
        for start in range(0, len(order), ROWS_A_CHUNK):
            part = order[start : start + ROWS_A_CHUNK]
            keep = np.array([gathered.state[index] is State.WRITTEN for index in part.tolist()])
            index = part[keep]
            if len(index):
                yield EmbeddingRows(
                    uci=[self.chips.uci[number] for number in index.tolist()],
                    index=index,
                    cell=self.plan.cells(index.tolist()),
                    corners=self.chips.corners[index],
                    embeddings=spool.read(start, start + len(part))[keep],
                    loss=gathered.loss[index] if with_loss else None,
                    valid_fraction=gathered.valid_fraction[index],
                    cloud_fraction=gathered.cloud_fraction[index],
                )


def sent_order(outcomes: dict[str, BatchOutcomes], taken: TakenOver | None, chips: PlannedChips) -> NDArray[np.int64]:
    """Give the indexes of all chips that were sent, or whose rows are taken over, sorted by identifier."""
    sent = [index for found in outcomes.values() for index in found.sent_indexes]
    sent += taken.written if taken else []
    return np.array(sorted(sent, key=chips.uci.__getitem__), dtype=np.int64)


def spool_path(directory: Path, run: str) -> Path:
    """Give the spool's place in a function's scratch space."""
    return directory / f"{run}.vectors"


def _blank(spool: VectorSpool, positions: NDArray[np.int64], dimensions: int) -> None:
    spool.put(positions, np.zeros((len(positions), dimensions), dtype=np.float32))
