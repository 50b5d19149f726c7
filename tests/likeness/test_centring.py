"""Centring."""

import numpy as np
import pytest

from clayline.dataset.codebook import Codebook
from clayline.errors import DatasetError
from clayline.likeness.centring import LEAST_ROWS, Centre
from clayline.model.statistics import VectorStatistics

RANDOM = np.random.default_rng(3)
VECTORS = (RANDOM.standard_normal((300, 24)) + 5).astype(np.float32)


def test_unit_vectors_have_length_one_and_the_cosines_that_scipys_formula_gives() -> None:
    centre = Centre.of_rows(VECTORS.sum(axis=0, dtype=np.float64), len(VECTORS), name="here")
    unit = centre.unit(VECTORS)
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    one, other = VECTORS[0] - VECTORS.mean(axis=0), VECTORS[1] - VECTORS.mean(axis=0)
    assert unit[0] @ unit[1] == pytest.approx(one @ other / np.sqrt((one @ one) * (other @ other)), abs=1e-5)
    assert centre.by == "rows"


def test_a_vector_that_is_the_centre_is_like_nothing() -> None:
    centre = Centre(values=VECTORS[7], by="card")
    assert not centre.unit(VECTORS[7:8]).any()


def test_card_and_codebook_give_their_centre() -> None:
    stated = VectorStatistics.measure([VECTORS], digest="sha256:" + "0" * 64, scenes=["a"])
    assert np.allclose(Centre.of_card(stated).values, VECTORS.mean(axis=0), atol=1e-5)
    assert Centre.of_card(stated).by == "card"
    book = Codebook.of(VECTORS, token="starter-v1.0-rgb", digest="sha256:0")
    assert Centre.of_codebook(book).by == "codebook"
    assert (Centre.of_codebook(book).values == book.centre).all()


def test_few_rows_and_other_lengths_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"this\.parquet: its 255 chips are too few.*Name the model folder"):
        Centre.of_rows(np.zeros(24), LEAST_ROWS - 1, name="this.parquet")
    with pytest.raises(DatasetError, match="24 dimensions"):
        Centre(values=VECTORS[0], by="card").unit(VECTORS[:, :5])
