"""Bits of two stages: counted and weighed as numpy does it by unpacking; candidates by streaming as all at once."""

import numpy as np
import pytest

from clayline.dataset.codebook import Codebook
from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.signs import WIDER, Candidates, Signs

TOKEN, DIGEST = "starter-v1.0-rgb", "sha256:" + "1" * 64


def made(dimensions: int) -> tuple[Codebook, Probe, np.ndarray]:
    random = np.random.default_rng(dimensions)
    rows = (random.standard_normal((3000, dimensions)) * random.random(dimensions) + 1).astype(np.float32)
    book = Codebook.of(rows, token=TOKEN, digest=DIGEST)
    probe = Probe.of_examples(rows[:1], token=TOKEN, digest=DIGEST, centre=Centre.of_codebook(book))
    return book, probe, book.bits(rows)


@pytest.mark.parametrize("dimensions", [48, 64, 112, 512, 1001, 1024, 2048])
def test_bits_are_counted_and_weighed(dimensions: int) -> None:
    book, probe, bits = made(dimensions)
    signs = Signs.of(probe, book)
    ones = np.unpackbits(bits, axis=1, count=dimensions)
    assert (signs.apart(bits) == (ones != (probe.direction > 0)).sum(axis=1)).all()
    expected = (2.0 * ones - 1) @ (probe.direction.astype(np.float64) * book.spread)
    found = signs.weighed(bits).astype(np.float64)
    assert np.corrcoef(found, expected)[0, 1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("step", [7, 1000, 3000])
def test_candidates_do_not_depend_on_how_they_come(step: int) -> None:
    book, probe, bits = made(112)
    signs = Signs.of(probe, book)
    wanted = Candidates(signs=signs, count=40)
    keys = np.arange(3000, dtype=np.int64) * 3
    for start in range(0, 3000, step):
        wanted.add(bits[start : start + step], keys[start : start + step])
    near = np.lexsort((keys, signs.apart(bits)))[: WIDER * 40]
    best = near[np.lexsort((keys[near], -signs.weighed(bits[near])))[:40]]
    assert (wanted.best() == np.sort(keys[best])).all()


def test_none_give_none_and_few_give_all() -> None:
    book, probe, bits = made(64)
    wanted = Candidates(signs=Signs.of(probe, book), count=40)
    assert len(wanted.best()) == 0
    wanted.add(bits[:30], np.arange(30))
    assert wanted.best().tolist() == list(range(30))


def test_a_codebook_of_another_model_is_refused() -> None:
    book, probe, _ = made(64)
    other = Probe(token="starter-v1.0-other", digest=DIGEST, centre=probe.centre, direction=probe.direction)
    with pytest.raises(DatasetError, match=r"not of starter-v1\.0-other"):
        Signs.of(other, book)


def test_a_codebook_of_another_length_is_refused() -> None:
    """As where the centre is the card's and the codebook is damaged."""
    book, _, _ = made(64)
    _, probe, _ = made(112)
    with pytest.raises(DatasetError, match="64 dimensions, the examples have 112"):
        Signs.of(probe, book)
