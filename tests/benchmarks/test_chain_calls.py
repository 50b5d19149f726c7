"""What is foretold of a scene's calls to AWS is what a running chain asks, counted on the wire."""

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.chain_calls import WiredPipeline, counting, unforetold
from tests.pipeline import scenes
from tests.server.model_folders import build_model_folder

from clayline.run.calls import Calls, chain_calls


@pytest.mark.parametrize(
    ("chips_per_batch", "memory_budget", "inputs", "jobs", "batches"),
    [(5, 50_000_000, ("pixels",), 1, 4), (1, 50_000, ("pixels", "time", "latlon"), 10, 20)],
)
def test_calls_are_foretold_as_they_are_counted(
    tmp_path: Path,
    sample: Path,
    chips_per_batch: int,
    memory_budget: int,
    inputs: tuple[str, ...],
    jobs: int,
    batches: int,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    build_model_folder(tmp_path / "models", sensor="landsat-c2l1", gsd=30.0, inputs=inputs)
    with counting() as wire:
        pipeline = WiredPipeline(
            tmp_path / "models",
            wire=wire,
            scratch=scratch,
            chips_per_batch=chips_per_batch,
            memory_budget=memory_budget,
        )
        for key, body in scenes.landsat(sample, row=600, col=400, height=192, width=256).items():
            pipeline.put(key, body)
        plan, counted, work = pipeline.count("scene/item.json")
    assert (len(plan.jobs), len(plan.batches)) == (jobs, batches) == (work.jobs, work.batches)
    foretold = chain_calls(work)
    assert unforetold(counted, foretold) == []
    # Units of reading follow sizes, and what a look at a file takes the file; all else is foretold to the last request.
    assert counted.s3_reads == pytest.approx(foretold.s3_reads, abs=2 * len(plan.sources()))
    assert replace(counted, s3_reads=0, dynamodb_reads=0) == replace(foretold, s3_reads=0, dynamodb_reads=0)


def test_a_call_more_and_many_less_are_both_seen() -> None:
    foretold = Calls(
        s3_writes=10, s3_reads=100, sqs_requests=10, sns_publishes=1, events=1, dynamodb_writes=8, dynamodb_reads=8,
        lambda_calls=4, invocations=1,
    )  # fmt: skip
    assert unforetold(replace(foretold, s3_reads=80), foretold) == []
    assert unforetold(replace(foretold, s3_reads=79, s3_writes=11), foretold) == ["s3_writes", "s3_reads"]
