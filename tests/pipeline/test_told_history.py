"""The ledger remembers what a scene went through, though it healed: who found an answer, why an attempt was lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import WORK, Pipeline

from clayline.run.ledger import BatchRow

KEY = "scene/item.json"


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline], sample: Path) -> Pipeline:
    """A landed scene of several jobs and batches."""
    made = make_pipeline()
    for key, body in scenes.landsat(sample).items():
        made.put(key, body)
    return made


def batches(pipeline: Pipeline) -> list[BatchRow]:
    [run] = {str(row["pk"]).removeprefix("run#") for row in pipeline.table.scan()["Items"] if row["sk"] == "scene"}
    return list(pipeline.ledger.batches(run))


def test_an_answer_of_which_a_message_told_was_not_found(pipeline: Pipeline) -> None:
    pipeline.plan(KEY)
    pipeline.drain()
    rows = batches(pipeline)
    assert rows
    assert {(row.attempt, row.losses, row.result and row.result.found) for row in rows} == {(1, (), None)}


def test_an_answer_that_was_found_says_by_whom(pipeline: Pipeline) -> None:
    pipeline.plan(KEY)
    pipeline.drain(change=lambda _: [])
    found = [row for row in batches(pipeline) if row.result and row.result.status == "succeeded"]
    assert found
    assert {row.result and row.result.found for row in found} == {"reconcile"}


def test_a_failure_that_was_found_and_tried_again_is_remembered(pipeline: Pipeline) -> None:
    told = False

    def fail_first(notifications: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal told
        if told:
            return notifications
        told = True
        for each in notifications:
            identity = each["inferenceId"]
            pipeline.s3.delete_object(Bucket=WORK, Key=f"responses/{identity}.out")
            pipeline.s3.put_object(Bucket=WORK, Key=f"failures/{identity}-error.out", Body=b"out of memory")
        return []

    pipeline.plan(KEY)
    pipeline.drain(change=fail_first)
    lost = [row for row in batches(pipeline) if row.losses]
    assert lost
    for row in lost:
        [loss] = row.losses
        assert (loss.attempt, loss.reason, loss.found) == (1, "inference-failed", "reconcile")
        assert loss.message
        assert (row.attempt, row.result and row.result.status, row.result and row.result.found) == (
            2,
            "succeeded",
            None,
        )
