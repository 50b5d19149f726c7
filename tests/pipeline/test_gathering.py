"""Collect reads many small outcomes side by side, and only as many responses as its memory holds."""

import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from clayline.chips.batch import Batch
from clayline.outputs.spool import VectorSpool
from clayline.ports import ObjectMissingError
from clayline.run.keys import WorkObjects
from clayline.run.plan import PlannedChips
from clayline.run.receipt import BatchOutcomes, BatchSettlement, Settlement
from clayline.steps.bounds import RESPONSES_AT_ONCE
from clayline.steps.gathering import OUTCOMES_AT_ONCE, Gathering

BATCHES = 96
"""Of one chip each: a multiple of both."""
RUN = "a" * 32
LONGEST = 60
"""Seconds after which a reader says that the others do not come."""
WORK = WorkObjects(bucket="work", run=RUN)


class Together:
    """Objects that are given only when as many as are expected have been asked for side by side."""

    def __init__(self, **expected: int) -> None:
        self.expected = expected
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._changed = threading.Condition()

    def get(self, uri: str, *, most: int | None = None) -> bytes:  # noqa: ARG002 - the port's arguments
        kind = uri.removeprefix("s3://work/").partition("/")[0]
        with self._changed:
            self._now[kind] += 1
            self.most[kind] = max(self.most[kind], self._now[kind])
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self.most[kind] >= self.expected[kind], timeout=LONGEST)
            self._now[kind] -= 1
        assert done, f"{self.most[kind]} {kind} are read side by side"
        if kind == "responses":
            msg = f"there is no object {uri}"
            raise ObjectMissingError(msg)
        number = int(uri.removesuffix(".json").rpartition("/b")[2])
        return BatchOutcomes(
            run=RUN, batch=f"b{number:05d}", index=(number,), sent=(True,), state=(None,), reason=(None,),
            valid_fraction=(1.0,), cloud_fraction=(None,),
        ).model_dump_json().encode()  # fmt: skip


def test_outcomes_are_read_32_side_by_side_and_responses_8(tmp_path: Path) -> None:
    objects: Any = Together(outcomes=OUTCOMES_AT_ONCE, responses=RESPONSES_AT_ONCE)
    names = [f"b{number:05d}" for number in range(BATCHES)]
    plan: Any = SimpleNamespace(
        run=RUN,
        created=datetime(2026, 11, 27, tzinfo=UTC),
        scene=SimpleNamespace(name="scene"),
        model=SimpleNamespace(entry=SimpleNamespace(dimensions=4)),
        open_batches=[Batch(name=name, job=0, start=number, stop=number + 1) for number, name in enumerate(names)],
        indexes=lambda batch: [batch.start],
    )
    ended = tuple(
        BatchSettlement(
            batch=name, status="succeeded", output=f"s3://work/responses/{name}.out", reason=None, message=None
        )
        for name in names
    )
    gathering = Gathering(
        objects=objects,
        work=WORK,
        plan=plan,
        chips=PlannedChips(uci=tuple(names), corners=np.zeros((BATCHES, 4, 2))),
        settlement=Settlement(run=RUN, at=datetime(2026, 11, 27, tzinfo=UTC), batches=ended),
        is_fresh=False,
    )
    outcomes = gathering.outcomes(None)
    assert [found.index for found in outcomes.values()] == [(number,) for number in range(BATCHES)]
    with VectorSpool(tmp_path / "spool", BATCHES, 4) as spool:
        _, verdict = gathering.fill(outcomes, None, spool, np.arange(BATCHES), None)
    assert [batch.reason for batch in verdict.batches] == ["response-missing"] * BATCHES
    assert objects.most == {"outcomes": 32, "responses": 8}
