"""Probes."""

import numpy as np
import pytest

from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe, StoredProbe, Together

RANDOM = np.random.default_rng(4)
CENTRE = Centre(values=np.full(12, 2, np.float32), by="card")
LIKE = (RANDOM.standard_normal((3, 12)) + 2).astype(np.float32)
UNLIKE = (RANDOM.standard_normal((2, 12)) + 2).astype(np.float32)
TOKEN, DIGEST = "starter-v1.0-rgb", "sha256:" + "1" * 64


def test_one_example_scores_by_its_cosine() -> None:
    probe = Probe.of_examples(LIKE[:1], token=TOKEN, digest=DIGEST, centre=CENTRE)
    away, others = LIKE[0] - 2, UNLIKE - 2
    expected = others @ away / (np.linalg.norm(others, axis=1) * np.linalg.norm(away))
    assert probe.scores(UNLIKE) == pytest.approx(expected, abs=1e-5)
    assert probe.scores(LIKE[:1]) == pytest.approx([1], abs=1e-6)


def test_several_score_together_as_each_does_alone() -> None:
    other = Centre(values=np.arange(12, dtype=np.float32), by="rows")
    probes = [
        Probe.of_examples(LIKE[[number]], token=TOKEN, digest=DIGEST, centre=centre)
        for centre in (CENTRE, other)
        for number in range(3)
    ]
    mixed = [probes[number] for number in (0, 3, 1, 4, 2, 5)]
    expected = np.stack([probe.scores(UNLIKE) for probe in mixed])
    assert Together(mixed).scores(UNLIKE) == pytest.approx(expected, abs=1e-6)
    assert Together(mixed).scores(UNLIKE[:0]).shape == (6, 0)
    with pytest.raises(DatasetError, match="12 dimensions"):
        Together(mixed).scores(UNLIKE[:, :3])


def test_negative_examples_push_away() -> None:
    without = Probe.of_examples(LIKE, token=TOKEN, digest=DIGEST, centre=CENTRE)
    with_them = Probe.of_examples(LIKE, UNLIKE, token=TOKEN, digest=DIGEST, centre=CENTRE)
    assert with_them.scores(UNLIKE).mean() < without.scores(UNLIKE).mean()
    assert np.linalg.norm(with_them.direction) == pytest.approx(1, abs=1e-6)


def test_it_comes_back_from_json_as_it_was() -> None:
    probe = Probe.of_examples(LIKE, UNLIKE, token=TOKEN, digest=DIGEST, centre=CENTRE)
    again = Probe.of(StoredProbe.model_validate_json(probe.stored().model_dump_json()))
    assert (again.direction == probe.direction).all()
    assert (again.centre.values == CENTRE.values).all()
    assert (again.token, again.digest, again.centre.by) == (TOKEN, DIGEST, "card")


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(DatasetError, match="at least one example"):
        Probe.of_examples(LIKE[:0], token=TOKEN, digest=DIGEST, centre=CENTRE)
    with pytest.raises(DatasetError, match="cancel each other out"):
        Probe.of_examples(LIKE[:1], LIKE[:1], token=TOKEN, digest=DIGEST, centre=CENTRE)


@pytest.mark.parametrize(
    "change",
    [{"centre": "AAAA"}, {"centre": "!!!!!"}, {"direction": "AADAfw=="}, {"direction": "AAA="}],
)
def test_a_damaged_one_is_refused(change: dict[str, str]) -> None:
    stored = Probe.of_examples(LIKE, token=TOKEN, digest=DIGEST, centre=CENTRE).stored()
    with pytest.raises(DatasetError, match="damaged"):
        Probe.of(stored.model_copy(update=change))
