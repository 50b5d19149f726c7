"""What a run took is told by its receipt: counted here by other means, and the same however often it is collected."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import WORK, Killed, Pipeline, failed

from clayline.errors import TransientError
from clayline.model.wire import Response
from clayline.run.keys import parse_s3_uri
from clayline.run.measured import PaidInstance
from clayline.steps.tiling import TileJob

MEASURED = {
    "chips", "requests", "attempts", "request_bytes", "response_bytes", "compute_seconds", "claimed_to_settled_seconds",
    "instance", "instance_hours", "instance_dollars",
}  # fmt: skip


@dataclass(frozen=True)
class Timed:
    """A settled scene, of which the first attempt at its first batch failed."""

    pipeline: Pipeline
    run: str

    def responses(self) -> list[str]:
        """Give where the answers lie."""
        listed = self.pipeline.s3.list_objects_v2(Bucket=WORK, Prefix="responses/")["Contents"]
        return [f"s3://{WORK}/{entry['Key']}" for entry in listed]

    def change(self, uri: str, change: Callable[[Response], Response]) -> None:
        """Write an answer once more."""
        bucket, key = parse_s3_uri(uri)
        body = change(Response.from_bytes(self.pipeline.objects.get(uri))).to_bytes()
        self.pipeline.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def say(self, seconds: Callable[[], float | None]) -> None:
        """Let each answer say that it took so long."""
        for uri in self.responses():
            self.change(uri, lambda answer: replace(answer, compute_seconds=seconds()))

    def collect(self) -> None:
        self.pipeline.collecting.collect(self.run)

    def freeze(self) -> None:
        """Collect up to the verdict, and no further."""
        faults = self.pipeline.faults
        faults.at, faults.after = faults.count + 1, True
        with pytest.raises(Killed):
            self.collect()
        assert self.pipeline.outputs() == {}


@pytest.fixture
def timed(make_pipeline: Callable[..., Pipeline], sample: Path) -> Timed:
    pipeline = make_pipeline()
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)

    def cut_and_answer() -> None:
        while pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body))):
            pass
        pipeline.answer_all()
        while pipeline.deliver("result", pipeline.result):
            pass

    pipeline.plan("scene/item.json")
    pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body)))
    first = pipeline.endpoint.taken.pop(0)
    pipeline.notify(failed(*first))
    cut_and_answer()
    pipeline.now += timedelta(minutes=16)  # the job comes later; the reconciler sends it sooner than a test waits
    pipeline.reconciling.reconcile()
    cut_and_answer()
    return Timed(pipeline, first[1].partition("-")[0])


def test_a_receipt_tells_what_was_counted(timed: Timed) -> None:
    timed.pipeline.paid = PaidInstance(type="ml.test.large", dollars_per_hour=7.2)
    timed.say(lambda: 0.5)
    timed.collect()
    receipt = timed.pipeline.receipt()
    told, answers = receipt["measured"], timed.responses()
    assert told.keys() == MEASURED
    written = receipt["counts"]["written"] + sum(receipt["counts"]["failed"].values())
    assert told["chips"] == written > 0
    assert told["requests"] == len(answers) == len(timed.pipeline.endpoint.answered) > 1
    assert told["attempts"] == told["requests"] + 1, "one was tried again"
    assert told["request_bytes"] == sum(map(len, timed.pipeline.endpoint.answered.values()))
    assert told["response_bytes"] == sum(len(timed.pipeline.objects.get(uri)) for uri in answers)
    assert told["compute_seconds"] == 0.5 * len(answers)
    assert told["claimed_to_settled_seconds"] == 960, "the clock went on by 16 minutes"
    assert told["instance"] == {"type": "ml.test.large", "dollars_per_hour": 7.2, "region": None, "read": None}
    assert told["instance_hours"] == pytest.approx(0.5 * len(answers) / 3600, abs=1e-9)
    assert told["instance_dollars"] == pytest.approx(0.5 * len(answers) / 500, abs=1e-9)
    assert timed.pipeline.announced()[0]["measured"] == told


def test_figures_are_frozen_with_the_verdict(timed: Timed) -> None:
    """A second computation of the same batches says other seconds, and the instance is another by then."""
    timed.pipeline.paid = PaidInstance.of("ml.g4dn.xlarge")
    seconds = count(1)
    timed.say(lambda: next(seconds) / 10)
    timed.freeze()
    total = sum(range(1, next(seconds))) / 10
    timed.say(lambda: 99.0)
    timed.pipeline.paid = None
    timed.collect()
    told = timed.pipeline.receipt()["measured"]
    assert told["compute_seconds"] == pytest.approx(total)
    assert told["instance"]["type"] == "ml.g4dn.xlarge"
    assert told["instance"]["dollars_per_hour"] > 0


def test_other_vectors_are_another_answer(timed: Timed) -> None:
    timed.freeze()
    timed.change(timed.responses()[0], lambda answer: replace(answer, embeddings=answer.embeddings + 1))
    with pytest.raises(TransientError, match="is not what it was before"):
        timed.collect()


def test_what_one_answer_does_not_say_is_not_known(timed: Timed) -> None:
    said = count()
    timed.say(lambda: 0.5 if next(said) else None)
    timed.collect()
    told = timed.pipeline.receipt()["measured"]
    assert (told["compute_seconds"], told["instance"], told["instance_hours"], told["instance_dollars"]) == (
        None, None, None, None,
    )  # fmt: skip


def test_the_price_of_an_unknown_instance_is_not_known() -> None:
    assert PaidInstance.of("ml.nobody.knows") == PaidInstance(type="ml.nobody.knows", dollars_per_hour=None)
