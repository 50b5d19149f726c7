"""Messages come twice, late, out of order, too early, or about nothing that anybody knows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio
from tests.pipeline import scenes
from tests.pipeline.harness import Killed, Pipeline, failed

from clayline.errors import LeaseHeldError
from clayline.steps.planning import Planned
from clayline.steps.tiling import TileJob


@pytest.fixture
def landed(make_pipeline: Callable[..., Pipeline], sample: Path) -> Pipeline:
    pipeline = make_pipeline()
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    return pipeline


def _counts(pipeline: Pipeline) -> dict[str, Any]:
    counts: dict[str, Any] = pipeline.receipt()["counts"]
    return counts


def test_the_same_event_twice_is_one_scene(landed: Pipeline) -> None:
    assert landed.plan("scene/item.json").kind is Planned.ENQUEUED
    assert landed.plan("scene/item.json").kind is Planned.DUPLICATE
    landed.run("scene/item.json")
    files = landed.outputs()
    assert landed.plan("scene/item.json").kind is Planned.DUPLICATE
    landed.run("scene/item.json")
    assert landed.outputs() == files
    assert [event["type"] for event in landed.announced()] == ["SceneEmbedded"]


def test_a_delivery_beside_another_waits_for_its_lease(landed: Pipeline) -> None:
    landed.faults.at, landed.faults.after = 1, True  # killed right after the claim
    with pytest.raises(Killed):
        landed.plan("scene/item.json")
    with pytest.raises(LeaseHeldError, match="another delivery") as held:
        landed.plan("scene/item.json")
    assert held.value.wait == landed.planning.options.lease
    assert landed.again(lambda: landed.plan("scene/item.json")).kind is Planned.ENQUEUED


def test_a_tile_job_twice_invokes_once(landed: Pipeline) -> None:
    landed.plan("scene/item.json")
    bodies: list[str] = []
    landed.deliver("tile", bodies.append)
    job = TileJob.model_validate_json(bodies[0])
    first = landed.tiling.tile(job)
    invoked = len(landed.endpoint.taken)
    again = landed.tiling.tile(job)
    assert first.batches == 3
    assert again.sent == 0  # a batch that sent nothing may say so again: its message could have been lost
    assert len(landed.endpoint.taken) == invoked


@pytest.mark.parametrize(
    "change",
    [lambda messages: messages * 2, lambda messages: messages[::-1], lambda messages: messages[::-1] + messages],
    ids=["twice", "reversed", "both"],
)
def test_results_in_any_number_and_order_give_one_file(
    landed: Pipeline, change: Callable[[list[Any]], list[Any]]
) -> None:
    landed.run("scene/item.json", change=change)
    assert len([key for key in landed.outputs() if key.endswith(".parquet")]) == 1
    assert _counts(landed)["written"] + sum(_counts(landed)["skipped"].values()) == 12


def test_a_result_after_the_receipt_changes_nothing(landed: Pipeline) -> None:
    late: list[Any] = []

    def keep(messages: list[Any]) -> list[Any]:
        late.extend(messages)
        return messages

    landed.run("scene/item.json", change=keep)
    files = landed.outputs()
    landed.notify(late[0])
    landed.notify(failed(late[1]["requestParameters"]["inputLocation"], late[1]["inferenceId"]))
    landed.drain()
    assert landed.outputs() == files


def test_results_about_nothing_known_are_dropped(landed: Pipeline) -> None:
    stranger = failed(f"s3://work/requests/{'0' * 32}/b00000-a1.safetensors", "1" * 40)
    for body in ("", "{}", "[]", "no json", json.dumps({"Message": 3}), json.dumps(stranger)):
        landed.sqs.send_message(QueueUrl=landed.urls["result"], MessageBody=body or " ")
    landed.run("scene/item.json")
    assert [event["type"] for event in landed.announced()] == ["SceneEmbedded"]


@pytest.mark.parametrize(
    ("status", "reason"), [("Failed", "inference-failed"), ("Expired", "request-expired"), ("New", "inference-failed")]
)
def test_a_failed_batch_is_a_partial_scene(landed: Pipeline, status: str, reason: str) -> None:
    def fail_first(messages: list[Any]) -> list[Any]:
        first = messages[0]
        return [failed(first["requestParameters"]["inputLocation"], first["inferenceId"], status), *messages[1:]]

    landed.run("scene/item.json", change=fail_first)
    receipt = landed.receipt()
    assert receipt["status"] == "ScenePartial"
    assert set(receipt["counts"]["failed"]) == {reason}
    assert [event["type"] for event in landed.announced()] == ["ScenePartial"]


def test_a_success_after_a_failure_counts(landed: Pipeline) -> None:
    def fail_then_succeed(messages: list[Any]) -> list[Any]:
        first = messages[0]
        return [failed(first["requestParameters"]["inputLocation"], first["inferenceId"]), *messages]

    landed.run("scene/item.json", change=fail_then_succeed)
    assert landed.receipt()["status"] == "SceneEmbedded"


def test_all_batches_failed_is_a_failed_scene(landed: Pipeline) -> None:
    landed.run(
        "scene/item.json",
        change=lambda messages: [
            failed(one["requestParameters"]["inputLocation"], one["inferenceId"]) for one in messages
        ],
    )
    receipt = landed.receipt()
    assert (receipt["status"], receipt["reason"]) == ("SceneFailed", "inference-failed")
    assert not [key for key in landed.outputs() if key.endswith(".parquet")]


def test_one_infinite_vector_fails_its_chip_only(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    files = scenes.landsat(sample, row=600)
    with rasterio.MemoryFile(files["scene/B4.tif"]) as memory, memory.open() as dataset:
        # Chips start at rows -23 + 64 k and columns -39 + 64 k of the sample, so at (17, 21) of this crop of
        # (600, 900): the second chip of four in the second row.
        with_first = int(dataset.read(1)[17, 21])
    pipeline = make_pipeline(model={"nan_when_first_pixel": with_first})
    for key, body in files.items():
        pipeline.put(key, body)
    pipeline.run("scene/item.json")
    receipt = pipeline.receipt()
    assert receipt["status"] == "ScenePartial"
    assert 5 in [
        chip["index"] for chip in receipt["chips"] if chip["state"] == "failed" and chip["reason"] == "non-finite"
    ]
    assert receipt["counts"]["written"] >= 10


def test_a_model_swapped_in_mid_scene_is_refused(landed: Pipeline) -> None:
    def other_model(messages: list[Any]) -> list[Any]:
        for message in messages:
            _, _, rest = message["responseParameters"]["outputLocation"].partition("s3://work/")
            body = landed.s3.get_object(Bucket="work", Key=rest)["Body"].read()
            digest = landed.manifest.entries[0].digest.encode()
            landed.s3.put_object(Bucket="work", Key=rest, Body=body.replace(digest, b"sha256:" + b"0" * 64))
        return messages

    landed.run("scene/item.json", change=other_model)
    assert set(landed.receipt()["counts"]["failed"]) == {"model-changed"}
