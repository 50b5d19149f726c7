"""What tile asks of S3 beside pixels: once a job what a job needs, however many batches it has."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline

from clayline.run.keys import WorkObjects
from clayline.run.stored_plan import load_plan


def test_a_jobs_files_are_looked_at_twice_and_the_chips_are_read_once(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    pipeline = make_pipeline(model={"inputs": ("pixels", "time", "latlon")}, chips_per_batch=1, memory_budget=50_000)
    for key, body in scenes.landsat(sample, row=600, col=400).items():
        pipeline.put(key, body)
    run = pipeline.plan("scene/item.json").run
    assert run
    work = WorkObjects(bucket="work", run=run)
    plan = load_plan(pipeline.objects, work)
    assert len(plan.jobs) == 8
    assert {len(plan.job_batches(job.number)) for job in plan.jobs} == {2}
    asked: Counter[tuple[str, str]] = Counter()

    def count(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked[model.name, f"s3://{params['Bucket']}/{params['Key']}"] += 1

    for operation in ("HeadObject", "GetObject"):
        pipeline.s3.meta.events.register(f"provide-client-params.s3.{operation}", count)
    pipeline.drain()
    assert {asked["HeadObject", uri] for uri in plan.sources()} == {2 * len(plan.jobs)}  # before reading and after
    assert asked["GetObject", work.chips] == len(plan.jobs) + 1  # and by collect
