"""The threshold that a trial proposes: its own rule holds at it, as it is typed in again."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.likeness.rehearsal import Rehearsal, SceneScores, threshold_text

SCORES = st.floats(-0.9375, 1, width=32)


def rehearsal(best: list[float], at_most: float) -> Rehearsal:
    scenes = [
        SceneScores(
            scene=f"s{number}", start=datetime(2024, 5, 18, tzinfo=UTC), scores=np.array([-0.9995, score], np.float32),
            best="a",
        )
        for number, score in enumerate(best)
    ]  # fmt: skip
    return Rehearsal(scenes=scenes, left_out={}, at_most=at_most)


@pytest.mark.parametrize("at_most", [0, 0.05])
@pytest.mark.parametrize(
    ("best", "calling", "text"),
    [
        ([1.0, 0.9999895, 0.5305], 1, "0.999995"),
        ([1.0, float(np.nextafter(np.float32(1), np.float32(0))), 0.1], 1, "1.0000"),
        ([float(np.nextafter(np.float32(0.3), np.float32(1))), 0.3, 0.1], 1, "0.30000004"),
        ([0.7, 0.7, 0.7], 3, "0.7000"),
        ([0.75, 0.5, 0.25], 1, "0.6250"),
        ([0.6, 0.59997], 1, "0.59999"),
        ([0.75, 0.75, 0.5], 2, "0.6250"),
        ([-0.2, -0.20001], 1, "-0.200005"),
    ],
)
def test_one_scene_calls_or_those_that_share_the_best_score(
    best: list[float], calling: int, text: str, at_most: float
) -> None:
    found = rehearsal(best, at_most)
    proposed = found.proposed()
    assert proposed is not None
    assert len(found.calls(proposed)) == calling
    assert threshold_text(proposed) == text


@given(st.lists(SCORES, min_size=1, max_size=40), st.floats(0, 1))
def test_the_rule_holds_at_what_is_typed_in(best: list[float], at_most: float) -> None:
    found = rehearsal(best, at_most)
    proposed = found.proposed()
    assert proposed is not None
    assert -1 <= proposed <= 1
    calling = len(found.calls(float(threshold_text(proposed))))
    allowed = max(1, int(at_most * len(best)))
    shared = best.count(max(best))
    assert 1 <= calling <= max(allowed, shared)
    if calling < allowed:
        values = sorted(best, reverse=True)
        assert values.count(values[calling]) > allowed - calling, "the next would have called together"
