"""benchmarks/usefulness.py: its vectors are the models', and docs/benchmarks.md says of NAIP what it prints."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import usefulness
from clayline.model.statistics import VectorStatistics
from starter import inference, scenes

ROOT = Path(__file__).resolve().parents[2]
SHARED = pytest.mark.skipif(not scenes.SHARED.is_dir(), reason=f"needs the shared scenes, not found at {scenes.SHARED}")
CHIPS = np.random.default_rng(8).integers(1, 255, (3, 3, 64, 64)).astype(np.uint8)


def test_the_feature_map_is_what_the_starter_averages() -> None:
    maps = usefulness.starter_maps("naip-rgb", CHIPS)
    assert maps.shape == (3, 112, 4, 4)
    graph = inference.session(usefulness.STARTER / "starter-v1.0-naip-rgb.onnx")
    np.testing.assert_allclose(usefulness.pooled(maps, 1), inference.embed(graph, CHIPS), rtol=0, atol=1e-5)


def test_cells_follow_each_other_row_by_row() -> None:
    maps = np.arange(2 * 4 * 4, dtype=np.float64).reshape(1, 2, 4, 4)
    assert usefulness.pooled(maps, 2).tolist() == [[2.5, 18.5, 4.5, 20.5, 10.5, 26.5, 12.5, 28.5]]
    assert usefulness.pooled(maps, 4)[0, :4].tolist() == [0, 16, 1, 17]


def test_the_three_ways_are_cosine_less_the_mean_and_over_the_deviation() -> None:
    generator = np.random.default_rng(3)
    truth = generator.normal(size=(50, 8))
    one, other = (
        np.column_stack([truth + 100, 50 * generator.normal(size=50)]) for _ in range(2)
    )  # a common offset, and a loud number that says nothing
    found = usefulness.compare([one, other], None)
    assert found["whitened"][0] > 0.7
    assert found["centred"][0] < 0.5
    assert found["raw"][0] < 0.5
    quiet = [each[:, :8] for each in (one, other)]
    assert usefulness.compare(quiet, None)["centred"] == [1, 1]
    elsewhere = VectorStatistics.measure(
        [np.zeros((2, 8), np.float32)], digest="sha256:" + "0" * 64, scenes=["elsewhere"]
    )
    assert usefulness.compare(quiet, elsewhere)["centred"] == usefulness.compare(quiet, None)["raw"]


@SHARED
def test_itaipus_pairs_are_the_same_ground() -> None:
    same, shifted = (usefulness.itaipu(shift) for shift in (0, 16))
    apart = np.abs(same.one.astype(int) - same.other)
    assert np.median(apart) <= 1
    step = slice(16, None), slice(None, -16)
    moved = np.abs(shifted.one[:, :, step[0], step[0]].astype(int) - shifted.other[:, :, step[1], step[1]])
    assert np.median(moved) <= 1
    assert np.median(np.abs(shifted.one.astype(int) - shifted.other)) > 10


@SHARED
def test_the_page_says_what_is_printed_of_naip() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text().split("## Usefulness")[1].split("\n## ")[0]
    written = {
        row[0].strip("* "): [[float(each) for each in cell.split(" / ")] for cell in row[2:5]]
        for line in page.split("**NAIP")[1].split("\n\n")[1].splitlines()[2:]
        if (row := [cell.strip() for cell in line.strip("| ").split("|")])
    }
    pairs = usefulness.naip()
    for name, vectors, stated in usefulness.descriptors(pairs, None):
        found = usefulness.compare(vectors, stated)
        # Another processor's last bits may tip chips.
        np.testing.assert_allclose(
            [found[way] for way in ("raw", "centred", "whitened")], written.pop(name), atol=0.02, err_msg=name
        )
    assert all(re.match("Clay", name) for name in written)
