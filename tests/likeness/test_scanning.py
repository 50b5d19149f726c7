"""Vectors in memory: the best as float64 has them, and two stages as all at once."""

import numpy as np
import pytest

from clayline.dataset.codebook import Codebook
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.ranking import exact_scores
from clayline.likeness.scanning import Held, HeldBits
from clayline.likeness.signs import Signs

TOKEN, DIGEST = "starter-v1.0-rgb", "sha256:" + "1" * 64
RANDOM = np.random.default_rng(11)
GROUPS = RANDOM.standard_normal((40, 96)) + 2
VECTORS = (GROUPS[RANDOM.integers(40, size=20_000)] + 0.7 * RANDOM.standard_normal((20_000, 96))).astype(np.float32)
BOOK = Codebook.of(VECTORS, token=TOKEN, digest=DIGEST)
HELD = Held.of(VECTORS, Centre.of_codebook(BOOK))


def probe(row: int) -> Probe:
    return Probe.of_examples(VECTORS[row : row + 1], token=TOKEN, digest=DIGEST, centre=HELD.centre)


@pytest.mark.parametrize("row", [0, 9999])
def test_the_best_are_those_of_float64(row: int) -> None:
    exact = exact_scores(probe(row), VECTORS)
    rows, scores = HELD.best(probe(row), 25)
    assert (rows == np.lexsort((np.arange(20_000), -exact))[:25]).all()
    assert (scores == exact[rows]).all()
    assert np.abs(HELD.scores(probe(row)) - exact).max() < 1e-5
    some = np.arange(0, 20_000, 7)
    assert (HELD.best_of(probe(row), some, 5)[0] == some[np.argsort(-exact[some], kind="stable")[:5]]).all()
    assert len(HELD.best(probe(row), 30_000)[0]) == 20_000


def test_one_percent_by_bits_has_the_ten_nearest() -> None:
    bits = HeldBits.of([BOOK.bits(VECTORS)], 20_000)
    found = 0
    for row in range(0, 20_000, 1000):
        rows = bits.candidates(Signs.of(probe(row), BOOK), 200, weighed=True)
        assert len(rows) == 200
        assert len(bits.candidates(Signs.of(probe(row), BOOK), 200)) >= 200
        best, _ = HELD.best(probe(row), 11)
        found += len(set(best[1:].tolist()) & set(rows.tolist()))
    assert found / 200 >= 0.8
    assert len(bits.candidates(Signs.of(probe(0), BOOK), 20_000)) == 20_000


def test_vectors_that_are_the_centre_are_like_nothing() -> None:
    vectors = VECTORS[:300].copy()
    vectors[7] = HELD.centre.values
    held = Held.of(vectors, HELD.centre)
    assert held.scores(probe(0))[7] == 0


def test_vectors_that_are_not_finite_are_like_nothing_and_take_no_ones_place() -> None:
    vectors = VECTORS[:300].copy()
    vectors[[3, 4, 200]] = np.array([np.nan, np.inf, 1e30], np.float32)[:, None]
    held = Held.of(vectors, HELD.centre)
    assert held.lost.tolist() == [3, 4, 200]
    whole = np.setdiff1d(np.arange(300), held.lost)
    exact = exact_scores(probe(0), vectors[whole])
    for found in (held.best(probe(0), 10), held.best_of(probe(0), np.arange(300), 10)):
        assert found[0].tolist() == whole[np.argsort(-exact, kind="stable")[:10]].tolist()
    assert held.best(probe(0), 300)[0].tolist() == whole[np.argsort(-exact, kind="stable")].tolist()


@pytest.mark.parametrize("away", [3e3, 1e4])
def test_the_best_are_found_however_far_from_zero_the_centre_lies(away: float) -> None:
    """A product with vectors that are long beside their distance from the centre loses what tells them apart."""
    vectors = (VECTORS[:5000] + np.float32(away)).astype(np.float32)
    centre = Centre(values=vectors.mean(axis=0), by="rows")
    held = Held.of(vectors, centre)
    asked = Probe.of_examples(vectors[7:8], token=TOKEN, digest=DIGEST, centre=centre)
    exact = exact_scores(asked, vectors)
    off = np.abs(held.scores(asked) - exact)
    assert off.max() > 1e-5  # what the slack is for
    assert (off <= held.slack).all()
    assert held.best(asked, 10)[0].tolist() == np.argsort(-exact, kind="stable")[:10].tolist()
    assert held.best_of(asked, np.arange(5000), 10)[0].tolist() == held.best(asked, 10)[0].tolist()


@pytest.mark.parametrize("width", [96, 64, 20])
def test_bits_come_in_parts_of_any_size_and_lie_as_they_came(width: int) -> None:
    """Distances and rows by Python's own integers; parts end within blocks, rows within words."""
    count = 17_000
    bits = np.packbits(RANDOM.random((count, width)) > 0.5, axis=1)
    held = HeldBits.of([bits[:5], bits[5:9000], bits[9000:9000], bits[9000:]], count)
    signs = Signs(bits=bits[8191], weights=np.ones(width, np.float32))
    asked = int.from_bytes(bits[8191].tobytes())
    apart = np.array([(int.from_bytes(row.tobytes()) ^ asked).bit_count() for row in bits])
    found = held.candidates(signs, 300)
    assert len(found) >= 300
    assert found.tolist() == np.flatnonzero(apart <= apart[found].max()).tolist()
    ones = np.unpackbits(bits, axis=1, count=width).sum(axis=1)
    weighed = held.candidates(signs, 20, weighed=True)
    near = held.candidates(signs, 80)
    assert ones[weighed].min() >= np.sort(ones[near])[-20]


def test_bits_of_another_number_of_rows_or_width_are_refused() -> None:
    bits = BOOK.bits(VECTORS)
    with pytest.raises(ValueError, match="20000 rows of bits came, not 20001"):
        HeldBits.of([bits], 20_001)
    with pytest.raises(ValueError, match="not what was announced"):
        HeldBits.of([bits], 9_000)
    with pytest.raises(ValueError, match="not what was announced"):
        HeldBits.of([bits[:100], bits[:100, :4]], 200)
