"""What `benchmarks/recall.py` counts."""

import numpy as np
import pytest
from benchmarks.recall import embedded, recall_of

from starter import scenes


def test_recall_is_whole_where_every_row_is_a_candidate_and_less_where_eleven_are() -> None:
    rows = np.random.default_rng(5).standard_normal((600, 32), dtype=np.float32)
    found = recall_of(rows)
    assert found["rows"] == 600
    assert found["recall_10"]["as search does"] == 1.0  # 1,000 are more than there are
    assert 0 < found["recall_10"]["1 %"] < 0.5  # eleven, by 32 bits of independent numbers


def test_of_rows_that_are_the_same_any_ten_are_found() -> None:
    rows = np.repeat(np.random.default_rng(6).standard_normal((30, 32), dtype=np.float32), 100, axis=0)
    assert recall_of(rows)["recall_10"] == {"1 %": 1.0, "as search does": 1.0}


@pytest.mark.skipif(not scenes.SHARED.is_dir(), reason=f"needs the shared scenes, not found at {scenes.SHARED}")
def test_a_smaller_step_cuts_more_chips_of_the_same_imagery() -> None:
    few, more = (np.concatenate(list(embedded("l1-rgb", ("itaipu-077",), step))) for step in (256, 128))
    assert few.shape[1] == more.shape[1] == 112
    assert 3 * len(few) < len(more) < 5 * len(few)
    apart = max(np.abs(more - each).max(axis=1).min() for each in few)
    assert apart < 1e-5  # batches of another length add up in another order
