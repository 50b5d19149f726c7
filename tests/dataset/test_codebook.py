"""Smaller forms of vectors."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clayline.dataset.codebook import LEAST_ROWS, Codebook
from clayline.errors import DatasetError

D = 45
"""No multiple of eight."""


def _vectors(rows: int = 400, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return (random.standard_normal((rows, D)) * np.linspace(0.001, 10, D) + np.linspace(-5, 5, D)).astype(np.float32)


def _book(vectors: NDArray[np.float32] | None = None) -> Codebook:
    return Codebook.of(_vectors() if vectors is None else vectors, token="starter-v1.0-rgb", digest="sha256:0")


def test_int8_is_within_half_a_step_and_reaches_no_further_than_its_steps() -> None:
    vectors, book = _vectors(seed=1), _book()
    steps = book.int8(vectors)
    assert (steps.dtype.name, steps.shape, int(np.abs(steps.astype(int)).max())) == ("int8", vectors.shape, 127)
    inside = np.abs(steps) < 127
    away = np.abs(book.floats(steps) - vectors)
    assert (away <= 0.5001 * book.scale)[inside].all()
    assert inside.mean() > 0.999


def test_a_vector_far_out_becomes_the_outermost_step() -> None:
    book = _book()
    far = np.stack([book.centre + 1e6, book.centre - 1e6]).astype(np.float32)
    assert book.int8(far).tolist() == [[127] * D, [-127] * D]


def test_one_vector_far_out_does_not_make_all_steps_wide() -> None:
    vectors = _vectors()
    vectors[0] *= 1000
    assert (_book(vectors).scale < vectors.std(axis=0) / 20).all()


def test_bits_say_which_side_of_the_centre_and_stand_for_the_spread() -> None:
    vectors, book = _vectors(seed=2), _book()
    bits = book.bits(vectors)
    assert (bits.dtype.name, bits.shape) == ("uint8", (len(vectors), 6))
    above = np.array([[one[at // 8] >> (7 - at % 8) & 1 for at in range(D)] for one in bits], dtype=bool)
    assert np.array_equal(above, vectors > book.centre)
    stands = book.signs(bits)
    assert np.array_equal(stands > book.centre, above)
    assert np.allclose(np.abs(stands - book.centre), book.spread, rtol=1e-4, atol=1e-4)


def test_the_metadata_gives_the_vectors_back() -> None:
    vectors, book = _vectors(seed=3), _book()
    said = book.quantization("int8", link="codebook.json")
    assert (said["original_dtype"], said["quantized_dtype"]) == ("float32", "int8")
    by_hand = book.int8(vectors) * np.asarray(said["scale"]) + np.asarray(said["offset"])
    assert np.allclose(by_hand, book.floats(book.int8(vectors)), rtol=1e-5, atol=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_it_is_the_same_after_it_was_written_and_read(seed: int) -> None:
    book = _book(_vectors(LEAST_ROWS, seed))
    again = Codebook.parse(book.encode(stamp="a"), uri="codebook.json")
    assert again.encode(stamp="a") == book.encode(stamp="a")
    assert np.array_equal(again.int8(_vectors()), book.int8(_vectors()))


def test_a_dimension_that_never_changes_has_steps_all_the_same() -> None:
    vectors = _vectors()
    vectors[:, 3] = 7
    book = _book(vectors)
    assert book.scale[3] > 0
    assert not book.int8(vectors)[:, 3].any()


@pytest.mark.parametrize(
    ("vectors", "why"),
    [
        (_vectors(LEAST_ROWS - 1), "at least 256 vectors, there are 255"),
        (np.where(np.arange(400)[:, None] == 7, np.float32(np.nan), _vectors()), "not finite"),
    ],
)
def test_too_few_or_broken_vectors_make_none(vectors: NDArray[np.float32], why: str) -> None:
    with pytest.raises(DatasetError, match=why):
        _book(vectors)


def test_vectors_of_other_dimensions_are_refused() -> None:
    with pytest.raises(DatasetError, match="has 45 dimensions"):
        _book().int8(np.zeros((3, D + 1), dtype=np.float32))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "clayline-codebook/2"},
        {"scale": [0.0] * D},
        {"scale": [1.0]},
        {"centre": ["x"] * D},
        {"centre": [float("nan")] * D},
        {"spread": None},
        {"rows": "many"},
    ],
)
def test_what_is_no_codebook_is_refused_by_name(change: dict[str, object]) -> None:
    content = json.dumps({**json.loads(_book().encode(stamp="a")), **change}).encode()
    with pytest.raises(DatasetError, match=r"s3://b/codebook\.json is no codebook"):
        Codebook.parse(content, uri="s3://b/codebook.json")
