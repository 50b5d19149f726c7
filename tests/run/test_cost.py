"""What work costs: arithmetic over counts, prices and speeds."""

from dataclasses import replace

import pytest

from clayline.chips.reading import Reading
from clayline.model.manifest import Checkpoint, ModelEntry
from clayline.run.calls import Work, chain_calls, work_of
from clayline.run.cost import FunctionSize, compute, cost, function_seconds
from clayline.run.prices import Instance, built_in
from clayline.run.speed import Speed, expected_speed

FUNCTIONS = {
    "plan": FunctionSize(memory_mb=2048, at_once=5),
    "tile": FunctionSize(memory_mb=3008, at_once=10),
    "settle": FunctionSize(memory_mb=512, at_once=5),
    "collect": FunctionSize(memory_mb=3008, at_once=5),
    "index": FunctionSize(memory_mb=1024, at_once=5),
}
LARGE = Checkpoint(architecture="clay-v1.5-large", seed=1)


def _entry(**changes: object) -> ModelEntry:
    content: dict[str, object] = {
        "token": "tiny-v1.0-test",
        "digest": f"sha256:{'0' * 64}",
        "graph": "graph.onnx",
        "files": ["graph.onnx"],
        "sensor": "sentinel-2-l2a",
        "bands": ["red", "green", "blue"],
        "dtype": "uint16",
        "chip_size": 256,
        "gsd": 10.0,
        "dimensions": 8,
        "inputs": ["pixels"],
        "loss_metric": None,
        "stretch": None,
        "nodata_fill": 0.0,
        "options": {"precision": "fp16", "coordinate_order": None, "hour": None},
        "preprocessing": "1",
    }
    return ModelEntry.model_validate({**content, **changes})


def _work(**changes: int) -> Work:
    reading = Reading(files=6, blocks=20, ranges=14, bytes=1_000_000)
    made = work_of(chips=100, jobs=2, batches=4, files=3, entry=_entry(), reading=reading)
    return replace(made, **changes)


def test_a_scenes_work_is_added_up_with_anothers() -> None:
    one, other = _work(), _work(chips=50)
    both = one + other
    assert (both.scenes, both.chips, both.jobs, both.read_requests) == (2, 150, 4, 40)
    assert one.request_bytes == 100 * 3 * 256**2 * 2
    assert (one.job_files, one.places) == (6, 0)
    placed = work_of(chips=1, jobs=2, batches=2, files=1, entry=_entry(inputs=["pixels", "latlon"]), reading=Reading())
    assert placed.places == 2


def test_calls_of_several_scenes_are_those_of_each() -> None:
    one, both = chain_calls(_work()), chain_calls(_work() + _work())
    assert both.s3_writes == 2 * one.s3_writes
    assert both.s3_reads == 2 * one.s3_reads
    assert both.sqs_requests == 2 * one.sqs_requests


def test_dollars_are_counts_times_prices() -> None:
    work, prices = _work(), built_in()
    found = cost(work, prices=prices, functions=FUNCTIONS, instance=prices.instances[0], speed=None)
    calls = chain_calls(work)
    assert found.beside.s3_requests == pytest.approx(calls.s3_writes * 5e-6 + calls.s3_reads * 4e-7)
    assert found.beside.s3_storage == pytest.approx(work.request_bytes / 1e9 * 0.023 / 24 / 30)
    assert found.beside.queues == pytest.approx(calls.sqs_requests * 4e-7 + 4 * 5e-7 + 1e-6)
    assert found.beside.ledger == pytest.approx(calls.dynamodb_writes * 6.25e-7 + calls.dynamodb_reads * 1.25e-7)
    assert found.beside.together == pytest.approx(
        sum((found.beside.functions, found.beside.s3_requests, found.beside.s3_storage, found.beside.queues))
        + found.beside.ledger
    )
    assert (found.compute, found.dollars) == (None, None)


def test_no_more_calls_are_cold_than_run_side_by_side() -> None:
    few, many = function_seconds(_work(), FUNCTIONS), function_seconds(_work(jobs=100), FUNCTIONS)
    assert many["tile"] - few["tile"] == pytest.approx(8 * 1.5)  # 10 for 2


def test_an_hour_of_an_instance_is_what_it_does_in_an_hour() -> None:
    instance = Instance(name="ml.test", dollars_per_hour=2.0, lists="one", read="2026-11", vcpus=4)
    found = compute(360_000, instance, Speed(chips_per_second=50.0, basis="given"))
    assert (found.hours, found.dollars) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("entry", "checkpoint", "instance", "basis"),
    [
        (_entry(), LARGE, "ml.g5.xlarge", "projected"),
        (_entry(loss_metric="mse"), LARGE, "ml.g5.xlarge", "projected"),
        (_entry(), None, "ml.g5.xlarge", None),
        (_entry(chip_size=128), LARGE, "ml.g5.xlarge", None),
        (_entry(), Checkpoint(architecture="another-v1", seed=1), "ml.g5.xlarge", None),
        (_entry(), LARGE, "ml.c6i.4xlarge", None),
    ],
    ids=["clay", "with-loss", "no-clay", "other-chips", "other-architecture", "fp16-on-a-cpu"],
)
def test_a_speed_of_which_nothing_is_known_is_not_made_up(
    entry: ModelEntry, checkpoint: Checkpoint | None, instance: str, basis: str | None
) -> None:
    found = built_in().instance(instance)
    assert found
    speed = expected_speed(found, entry, checkpoint)
    assert (speed.basis if speed else None) == basis


def test_the_loss_slows_a_model_down() -> None:
    instance = built_in().instance("ml.g5.xlarge")
    assert instance
    plain, lossy = (expected_speed(instance, _entry(loss_metric=metric), LARGE) for metric in (None, "mse"))
    assert plain
    assert lossy
    assert plain.chips_per_second / lossy.chips_per_second == pytest.approx(886.2 / 697.9)


def test_every_price_says_when_and_where_it_was_read() -> None:
    prices = built_in()
    for name in type(prices.services).model_fields:
        price = getattr(prices.services, name)
        assert price.source.startswith("https://aws.amazon.com/"), name
        assert price.each == price.dollars / price.per
    assert len({each.name for each in prices.instances}) == len(prices.instances)
    assert prices.instance("ml.none") is None
