"""The best rows of tables that come one after another, against numpy over all of them."""

import numpy as np
import pyarrow as pa
import pytest

from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.ranking import exact_scores
from clayline.likeness.taking_part import Filters
from clayline.table.ranking import BestRows, Judge

ROWS, DIMENSIONS, COUNT = 900, 24, 5
RANDOM = np.random.default_rng(12)
VECTORS = (RANDOM.standard_normal((ROWS, DIMENSIONS)) + 2).astype(np.float32)
CENTRE = Centre(values=VECTORS.mean(axis=0), by="rows")
VALID = np.where(RANDOM.random(ROWS) < 0.2, 0.5, 1).astype(np.float32)
PROBE = Probe.of_examples(VECTORS[3:4], token="starter-v1.0-rgb", digest="sha256:" + "1" * 64, centre=CENTRE)


def table(vectors: np.ndarray, rows: slice) -> pa.Table:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors[rows].ravel()), DIMENSIONS)
    names = [f"chip-{row:04d}" for row in range(ROWS)[rows]]
    return pa.table({"uci": names, "valid_fraction": VALID[rows], "embeddings": lists})


@pytest.mark.parametrize("step", [1, 7, 300, 900])
@pytest.mark.parametrize("broken", [0, 1, 40, 900])
def test_vectors_that_are_not_finite_are_counted_and_take_no_ones_place(step: int, broken: int) -> None:
    """Also where a table has more of them than are asked for."""
    vectors = VECTORS.copy()
    lost = np.random.default_rng(broken).permutation(ROWS)[:broken]
    vectors[lost, 4] = np.nan
    judge, best = Judge(filters=Filters()), BestRows(probe=PROBE, count=COUNT)
    counted = 0
    for start in range(0, ROWS, step):
        part = table(vectors, slice(start, start + step))
        counted += best.add(part, judge.judge(part))
    takes_part = VALID >= 0.9
    whole = np.setdiff1d(np.flatnonzero(takes_part), lost)
    scores = exact_scores(PROBE, vectors[whole])
    order = np.lexsort((whole, -scores))[:COUNT]
    found = best.table(part.schema)
    assert found.column("uci").to_pylist() == [f"chip-{row:04d}" for row in whole[order].tolist()]
    assert found.column("score").to_pylist() == scores[order].tolist()
    assert counted == takes_part[lost].sum()
    assert judge.left_out["valid"] == (~takes_part).sum()
