"""What a scene's vectors cost: docs/cost.md has what follows from the chips and the prices."""

import json
from pathlib import Path

import pytest
from tests.likeness.test_vector_records import chips, sent

from clayline.run.prices import built_in

CHIPS, DIMENSIONS = 1_849, 1_024
PAGE = Path(__file__).parents[2] / "docs" / "cost.md"


def _said(name: str) -> float:
    [line] = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {name} |")]
    return float(line.split("|")[2])


def test_the_page_says_what_a_scene_takes() -> None:
    records = [record for put in sent(chips(CHIPS, DIMENSIONS), DIMENSIONS) for record in put.records]
    assert len(records) == CHIPS
    size = sum(4 * DIMENSIONS + len(each.key) + len(json.dumps(each.metadata)) for each in records) / 1e9
    prices = built_in().services
    # Keys and metadata are some bytes longer or shorter by place and loss: within 3 percent.
    assert _said("put, GB") == pytest.approx(size, rel=0.03)
    assert _said("$, once") == pytest.approx(size * prices.s3_vectors_gb_put.each, rel=0.04)
    assert _said("$ a month") == pytest.approx(size * prices.s3_vectors_gb_month.each, rel=0.04)
    assert _said("$ a million queries, without what they process") == 1e6 * prices.s3_vectors_query.each
