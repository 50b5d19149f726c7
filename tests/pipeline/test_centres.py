"""Whose word a model's centre is."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.dataset.world import NOON, TOKEN, Memory

from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import MANIFEST, TIERS, CompactFile, Extent, Manifest, StoredFile, Tier
from clayline.errors import DatasetError, TransientError
from clayline.model.statistics import FolderStatistics, VectorStatistics
from clayline.steps.centres import Centres

DIGEST, OTHER = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
VECTORS = np.random.default_rng(3).standard_normal((300, 8), dtype=np.float32) + 2
BOOK = f"{TIERS}{TOKEN}/codebook_{'0' * 16}.json"


def dataset(*, digest: str = DIGEST) -> Memory:
    """Give a root whose manifest has one file with a tier by a codebook of VECTORS."""
    root = Memory()
    root.put_new(BOOK, Codebook.of(VECTORS, token=TOKEN, digest=digest).encode(stamp="a"))
    stored = StoredFile(href="dataset/files/x.parquet", size=1, rows=300, sha256="0" * 64)
    extent = Extent(west=0, south=0, east=1, north=1, start=NOON, end=datetime(2025, 1, 1, tzinfo=UTC))
    file = CompactFile(
        file=stored, extent=extent, token=TOKEN, square="32UQD", year=2024,
        tiers={"int8": Tier(file=stored, codebook=BOOK)},
    )  # fmt: skip
    root.put_new(MANIFEST, Manifest(files=(file,)).model_dump_json().encode())
    return root


def card(digest: str = DIGEST) -> FolderStatistics:
    measured = VectorStatistics.measure([VECTORS + 1], digest=digest, scenes=["a"])
    return FolderStatistics(entries={TOKEN: measured})


def test_the_cards_word_comes_first() -> None:
    found = Centres(root=dataset(), statistics=card).of(TOKEN, DIGEST)
    assert found
    assert found.by == "card"
    np.testing.assert_allclose(found.values, VECTORS.mean(axis=0) + 1, rtol=1e-5)


@pytest.mark.parametrize("statistics", [lambda: None, lambda: card(OTHER)])
def test_without_a_card_of_these_weights_the_datasets_codebook_counts(statistics) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    found = Centres(root=dataset(), statistics=statistics).of(TOKEN, DIGEST)
    assert found
    assert found.by == "codebook"
    np.testing.assert_allclose(found.values, VECTORS.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("root", [Memory(), dataset(digest=OTHER)])
def test_where_nobody_states_one_there_is_none(root: Memory) -> None:
    assert Centres(root=root, statistics=lambda: None).of(TOKEN, DIGEST) is None


def test_a_codebook_that_was_taken_away_meanwhile_is_looked_for_again() -> None:
    root = dataset()
    root.discard([BOOK])
    with pytest.raises(TransientError, match="taken away since the manifest was read"):
        Centres(root=root, statistics=lambda: None).of(TOKEN, DIGEST)


def test_a_damaged_codebook_is_named() -> None:
    root = dataset()
    root.objects[BOOK] = b"{}", root.now
    with pytest.raises(DatasetError, match=Path(BOOK).name):
        Centres(root=root, statistics=lambda: None).of(TOKEN, DIGEST)
