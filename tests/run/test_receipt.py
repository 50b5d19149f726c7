"""The receipt's sums: each planned chip counted once, and what the scene is called in the end."""

import json
from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clayline.run.receipt import (
    BatchOutcomes,
    ChipOutcome,
    Counts,
    Receipt,
    Settlement,
    State,
    count,
    failed_receipt,
    scene_reason,
    status_of,
)

NO_CHIPS: dict[str, Any] = {"run": "f" * 32, "batch": "b00001"} | dict.fromkeys(
    ("index", "sent", "state", "reason", "valid_fraction", "cloud_fraction"), ()
)
outcomes = st.one_of(
    st.just((State.WRITTEN, None)),
    st.sampled_from(["nodata", "cloud-above-threshold", "valid-below-threshold"]).map(
        lambda reason: (State.SKIPPED, reason)
    ),
    st.sampled_from(["inference-failed", "source-changed", "non-finite"]).map(lambda reason: (State.FAILED, reason)),
)


def chips(*given_: tuple[State, str | None]) -> list[ChipOutcome]:
    return [
        ChipOutcome(uci=f"u{index}", index=index, state=state, reason=reason)
        for index, (state, reason) in enumerate(given_)
    ]


@given(st.lists(outcomes, max_size=40))
def test_every_chip_counts_once(given_: list[tuple[State, str | None]]) -> None:
    found = count(chips(*given_))
    by_hand = Counter(given_)
    assert found.planned == len(given_)
    assert found.written == by_hand[State.WRITTEN, None]
    assert found.skipped == {reason: number for (state, reason), number in by_hand.items() if state is State.SKIPPED}
    assert found.failed == {reason: number for (state, reason), number in by_hand.items() if state is State.FAILED}
    assert found.planned == found.written + sum(found.skipped.values()) + sum(found.failed.values())


@given(st.lists(outcomes, min_size=1, max_size=40))
def test_what_the_scene_is_called(given_: list[tuple[State, str | None]]) -> None:
    states = {state for state, _ in given_}
    found = count(chips(*given_))
    if State.WRITTEN not in states:
        assert status_of(found) == "SceneFailed"
    elif State.FAILED in states:
        assert status_of(found) == "ScenePartial"
    else:
        assert status_of(found) == "SceneEmbedded"
    assert (scene_reason(found) is None) == (State.WRITTEN in states)


@given(st.lists(outcomes, max_size=20), st.randoms())
def test_the_order_of_chips_is_nothing(given_: list[tuple[State, str | None]], random: Random) -> None:
    shuffled = list(given_)
    random.shuffle(shuffled)
    assert count(chips(*shuffled)) == count(chips(*given_))
    assert scene_reason(count(chips(*shuffled))) == scene_reason(count(chips(*given_)))


NODATA, CLOUD = (State.SKIPPED, "nodata"), (State.SKIPPED, "cloud-above-threshold")
LOST, CHANGED = (State.FAILED, "inference-failed"), (State.FAILED, "source-changed")


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ([NODATA, NODATA], "all-nodata"),
        ([NODATA, CLOUD], "all-chips-skipped"),
        ([CLOUD], "all-chips-skipped"),
        ([NODATA, NODATA, LOST], "inference-failed"),
        ([LOST, CHANGED, CHANGED], "source-changed"),
    ],
)
def test_why_a_scene_failed(given_: list[tuple[State, str | None]], reason: str) -> None:
    assert scene_reason(count(chips(*given_))) == reason


def test_a_receipt_comes_back_and_its_summary_has_no_chips() -> None:
    lines = chips((State.WRITTEN, None), NODATA, LOST)
    receipt = Receipt(
        run="f" * 32,
        status="ScenePartial",
        reason=None,
        message=None,
        scene="S2A",
        source_uri="s3://scenes/a.json",
        source_model="tiny-v1.0-rgb",
        counts=count(lines),
        outputs={"parquet": "s3://out/a.parquet"},
        chips=tuple(lines),
    )
    assert Receipt.model_validate_json(receipt.model_dump_json()) == receipt
    summary = json.loads(json.dumps(receipt.summary(landed_uri="s3://scenes/copy.json", repeated=True)))
    assert (summary["landed_uri"], summary["repeated"]) == ("s3://scenes/copy.json", True)
    assert summary["source_uri"] == "s3://scenes/a.json"
    assert "chips" not in summary
    assert summary["counts"] == {
        "planned": 3,
        "written": 1,
        "skipped": {"nodata": 1},
        "failed": {"inference-failed": 1},
    }
    assert summary["run"] == "f" * 32


def test_a_scene_without_a_plan_has_a_receipt_without_chips() -> None:
    receipt = failed_receipt(
        run="f" * 32,
        scene="x",
        source_uri="s3://scenes/x.json",
        reason="invalid-json",
        message="No.",
        outputs={"receipt": "s3://out/r"},
    )
    assert (receipt.status, receipt.reason, receipt.chips, receipt.source_model) == (
        "SceneFailed",
        "invalid-json",
        (),
        None,
    )
    assert receipt.counts == Counts(planned=0, written=0, skipped={}, failed={})
    assert Receipt.model_validate_json(receipt.model_dump_json()) == receipt


@pytest.mark.parametrize("reason", ["", "No Data", "nodata\n", "-a", "a-", "a--b", "x" * 65, "NODATA"])
def test_a_reason_is_a_token(reason: str) -> None:
    with pytest.raises(ValidationError):
        ChipOutcome(uci="u", index=0, state=State.FAILED, reason=reason)


def test_sent_chips_keep_the_requests_order() -> None:
    found = BatchOutcomes(
        run="f" * 32,
        batch="b00001",
        index=(3, 5, 9),
        sent=(True, False, True),
        state=(None, State.SKIPPED, None),
        reason=(None, "nodata", None),
        valid_fraction=(1.0, 0.0, 0.5),
        cloud_fraction=(0.1, None, None),
    )
    assert found.sent_indexes == [3, 9]
    assert BatchOutcomes.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("kind", "known", "content"),
    [
        (Settlement, "clayline-settlement/2", {"run": "f" * 32, "at": "2026-05-18T09:00:00Z", "batches": []}),
        (BatchOutcomes, "clayline-outcomes/2", NO_CHIPS),
    ],
)
def test_another_format_is_refused(kind: type[Settlement | BatchOutcomes], known: str, content: dict[str, Any]) -> None:
    name, _, number = known.rpartition("/")
    assert kind.model_validate({"format": known, **content}).format == known
    for other in (int(number) - 1, int(number) + 1):
        with pytest.raises(ValidationError, match="format"):
            kind.model_validate({"format": f"{name}/{other}", **content})


def test_a_settlement_says_when_the_last_batch_had_ended() -> None:
    settled = Settlement(run="f" * 32, at=datetime(2026, 5, 18, 9, 0, 0, 250, tzinfo=UTC), batches=())
    assert Settlement.model_validate_json(settled.model_dump_json()) == settled
    with pytest.raises(ValidationError, match="at\n"):
        Settlement.model_validate({"run": "f" * 32, "batches": []})
