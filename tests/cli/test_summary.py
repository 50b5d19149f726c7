"""What is told at the end, of the event that answers a scene."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from clayline.run.measured import Measured, PaidInstance
from clayline.run.receipt import ChipOutcome, Receipt, SceneWarning, State, count
from clayline_cli.embedding.summary import Outcome, as_json, exit_status, paragraph, table

WARNING = SceneWarning(reason="own-grid", message="scene field: its chips lie on its own grid and have no cell.")


@pytest.fixture
def outcome() -> Callable[..., Outcome]:
    """Give a maker of outcomes: a chip was written, and these warnings were given."""

    def make(*warnings: SceneWarning, repeated: bool = False) -> Outcome:
        chips = (ChipOutcome(uci="21JYM", index=0, state=State.WRITTEN),)
        receipt = Receipt(
            run="0" * 32,
            status="SceneEmbedded",
            reason=None,
            message=None,
            scene="field",
            source_uri="file:///field.tif",
            source_model="starter",
            warnings=warnings,
            counts=count(chips),
            outputs={},
            chips=chips,
        )
        return Outcome(
            scene="field.tif",
            detail=receipt.summary(landed_uri="file:///field.tif", repeated=repeated),
            seconds=1.0,
        )

    return make


@pytest.mark.parametrize("repeated", [False, True])
def test_a_scene_on_its_own_grid_is_told_so_and_counts_as_embedded(
    outcome: Callable[..., Outcome], *, repeated: bool
) -> None:
    found = outcome(WARNING, repeated=repeated)
    assert paragraph(found).split("\n")[1:] == [
        "  model starter",
        "  planned 1 = written 1   in 1.0 s",
        "  own-grid: scene field: its chips lie on its own grid and have no cell.",
    ]
    assert json.loads(as_json(found))["event"]["warnings"] == [WARNING.model_dump()]
    assert exit_status([found]) == 0
    assert "1 of 1" in table([found]).split("\n")[-1]


def test_what_a_scene_took_is_told(outcome: Callable[..., Outcome]) -> None:
    found = outcome()
    assert found.detail
    measured = Measured(
        chips=64, requests=2, attempts=3, request_bytes=84_000_000, response_bytes=210_000, compute_seconds=1.25,
        claimed_to_settled_seconds=30.0, instance=PaidInstance.of("ml.g4dn.xlarge"), instance_hours=1.25 / 3600,
        instance_dollars=0.000256,
    )  # fmt: skip
    told = replace(found, detail={**found.detail, "measured": measured.model_dump(mode="json")})
    assert paragraph(told).split("\n")[-1] == (
        "  took 2 request(s) in 3 attempts, 84.0 MB there and 0.2 MB back; 1.2 s of the endpoint's computing, $0.0003"
        " of ml.g4dn.xlarge"
    )
    idle = replace(found, detail={**found.detail, "measured": {**measured.model_dump(mode="json"), "requests": 0}})
    assert paragraph(idle) == paragraph(found)


def test_a_scene_without_warnings_is_told_nothing_more(outcome: Callable[..., Outcome]) -> None:
    assert len(paragraph(outcome()).split("\n")) == 3
