"""What a model folder states of its vectors: measured in parts, refused where broken, of its weights alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.verification.made import DIGEST, TOKEN, check, make, vectors

from clayline.errors import ModelError
from clayline.model.manifest import digest_of, read_manifest
from clayline.model.statistics import FolderStatistics, VectorStatistics, read_statistics
from clayline_cli.verifying.run import known
from clayline_local.repository import STARTER
from publish.statistics import main


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_parts_give_what_all_at_once_give(sizes: list[int]) -> None:
    held = vectors(sum(sizes))
    parts = np.split(held, np.cumsum(sizes)[:-1])
    found = VectorStatistics.measure(parts, digest=DIGEST, scenes=["a"])
    assert found.vectors == len(held)
    assert np.allclose(found.mean, held.mean(axis=0, dtype=np.float64), rtol=1e-6)
    assert np.allclose(found.deviation, held.std(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-6)
    assert np.allclose(found.least, held.min(axis=0), rtol=1e-6)
    assert np.allclose(found.most, held.max(axis=0), rtol=1e-6)
    least, most = found.possible
    assert ((held >= least) & (held <= most)).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [({"mean": [0.0]}, "one length"), ({"least": [9.0, 9.0]}, "over the most"), ({"vectors": 0}, "greater than")],
)
def test_what_is_broken_is_refused(change: dict[str, object], says: str) -> None:
    good = {"digest": DIGEST, "vectors": 1, "scenes": ["a"], "mean": [1.0, 2.0], "deviation": [0.0, 0.0]}
    good |= {"least": [1.0, 2.0], "most": [1.0, 2.0]}
    entry = {**good, **change}
    text = json.dumps({"schema": "clayline-statistics/1", "entries": {TOKEN: entry}}).encode()
    with pytest.raises(ModelError, match=says):
        read_statistics(text, source="x")


def test_of_other_weights_they_say_nothing() -> None:
    one = VectorStatistics.measure([vectors(3)], digest=DIGEST, scenes=["a"])
    found = FolderStatistics(schema="clayline-statistics/1", entries={TOKEN: one})
    assert found.of(TOKEN, DIGEST) == one
    assert found.of(TOKEN, f"sha256:{'b' * 64}") is None
    assert found.of("other-v1-x", DIGEST) is None


def test_the_starter_states_its_spread_and_its_digest_is_listed() -> None:
    manifest = read_manifest((STARTER / "manifest.json").read_bytes(), source="starter")
    with (STARTER / "statistics.json").open("rb") as stream:
        assert digest_of(stream) == manifest.statistics
    spread = {token for token, model in known([]).items() if model.statistics}
    assert {"starter-v1.0-l1-rgb", "starter-v1.0-s2-rgbns", "starter-v1.0-naip-rgb"} <= spread


def test_the_program_measures_what_the_model_made_and_says_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of files that another model made it says that there is none."""
    shutil.copytree(STARTER, tmp_path / "starter")
    made = make(tmp_path / "scenes")
    arguments = ["--model", str(tmp_path / "starter"), "--scenes", str(made.parquet.parent)]
    before = (tmp_path / "starter" / "manifest.json").read_bytes()
    assert main(arguments) == 1
    assert "was made by starter-v1.0" in capsys.readouterr().err
    assert (tmp_path / "starter" / "manifest.json").read_bytes() == before
    assert check(made.parquet).rows == 110
