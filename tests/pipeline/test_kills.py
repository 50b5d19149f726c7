"""Any function may be killed just before or just after any of its writes: redelivery gives the same files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import Faults, Pipeline

from clayline.run.receipt import Receipt


def _files(pipeline: Pipeline, sample: Path, faults: Faults) -> dict[str, bytes]:
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    pipeline.faults = faults
    pipeline.run("scene/item.json")
    return {key: _untimed(body) if key.endswith("_receipt.json") else body for key, body in pipeline.outputs().items()}


def _untimed(receipt: bytes) -> bytes:
    """Take out what a kill adds to: attempts, and time."""
    return Receipt.model_validate_json(receipt).model_copy(update={"measured": None}).model_dump_json().encode()


@pytest.fixture
def undisturbed(make_pipeline: Callable[..., Pipeline], sample: Path) -> tuple[dict[str, bytes], list[str]]:
    faults = Faults()
    return _files(make_pipeline(), sample, faults), faults.log


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_write_changes_nothing(
    make_pipeline: Callable[..., Pipeline],
    sample: Path,
    undisturbed: tuple[dict[str, bytes], list[str]],
    *,
    after: bool,
) -> None:
    files, log = undisturbed
    assert {
        "claim",
        "put_new",
        "send",
        "planned",
        "hand_out",
        "begin",
        "invoke",
        "invoked",
        "close",
        "enter",
        "announce",
        "announced",
    } <= set(log)
    for at in range(1, len(log) + 1):
        faults = Faults(at=at, after=after)
        pipeline = make_pipeline()
        found = _files(pipeline, sample, faults)
        where = f"killed {'after' if after else 'before'} write {at}, {log[at - 1]}"
        if at == 1 and not after:  # nothing had happened: the scene is as new, half an hour later
            assert found.keys() == files.keys(), where
            continue
        assert found == files, where
        events = pipeline.announced()
        assert {event["type"] for event in events} == {"ScenePartial", "SceneEmbedded"} & {
            event["type"] for event in events
        }
        assert len({event["run"] for event in events}) == 1, where


def test_every_retry_used_up_a_kill(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    faults = Faults(at=7)
    pipeline = make_pipeline()
    _files(pipeline, sample, faults)
    assert faults.count > 7
