"""Which vector: the class token, the patches' mean, both, or means in 4 x 4 cells; each a folder of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from tests.clay.test_clay_parity import PYTHON, ROOT, assert_parity

from clay.__main__ import main
from clay.architecture import ARCHITECTURES
from clay.chips import random_chips
from clay.entry import Request
from clay.export import add, export
from clay.graph import Graph
from clay.sensor import find_sensor
from clay.transformer import Precision, Stack
from clay.trunk import write_trunk
from clay.weights import Source, seeded_source
from clayline.errors import ModelError
from clayline.model.manifest import Manifest, read_manifest
from clayline.model.vector import PARTS, WORDS, Vector

TINY = ARCHITECTURES["tiny"]
DIM = TINY.encoder.dim
NAIP = Request(sensor=find_sensor("naip"), chip_size=96)
"""12 patches a side, so 3 in each cell of the grid."""


@pytest.fixture(scope="module")
def source() -> Source:
    return seeded_source("tiny", 0, loss=False)


@pytest.fixture(scope="module")
def folders(source: Source, tmp_path_factory: pytest.TempPathFactory) -> dict[Vector, Path]:
    """One for each vector. Not to be changed."""
    out = tmp_path_factory.mktemp("vectors")
    return {vector: export(source, [NAIP], out, vector=vector).folder for vector in PARTS}


def manifest_of(folder: Path) -> Manifest:
    return read_manifest((folder / "manifest.json").read_bytes(), source=folder.name)


def run(path: Path, feed: dict[str, Any]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {node.name: feed[node.name] for node in session.get_inputs()})[0]
    return found


def every_token(source: Source, path: Path, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    """All that the encoder gives, [N, 1 + patches, dim]."""
    graph = Graph(name="all", weights_file="all.weights")
    graph.input("tokens", "float32", ["N", "S", DIM])
    precision = Precision(matrices="float32", residual="float32")
    stack = Stack(
        graph=graph, name="encoder.transformer", shape=TINY.encoder, weights=source.weights, precision=precision
    )
    graph.node("Identity", [stack.apply("tokens", "whole", only_first=False)], "all")
    graph.output("all", "float32", ["N", "S", DIM])
    graph.write(path, "all.onnx")
    return run(path / "all.onnx", {"tokens": tokens})


def test_each_vector_is_made_of_the_tokens_that_its_name_says(
    source: Source, folders: dict[Vector, Path], tmp_path: Path
) -> None:
    chips = random_chips(NAIP.sensor, chip_size=96, count=3, generator=np.random.default_rng(4))
    stem = folders["cls"] / manifest_of(folders["cls"]).entries[0].graph
    tokens = run(stem, chips.feed)
    whole = every_token(source, tmp_path, tokens)
    first, patches = whole[:, 0], whole[:, 1:]
    cells = [  # by hand: rows from the top, in each from the left
        patches.reshape(3, 12, 12, DIM)[:, row : row + 3, column : column + 3].mean(axis=(1, 2))
        for row in range(0, 12, 3)
        for column in range(0, 12, 3)
    ]
    expected = {
        "cls": first,
        "mean": patches.mean(axis=1),
        "both": np.concatenate([first, patches.mean(axis=1)], axis=1),
        "grid4": np.concatenate(cells, axis=1),
    }
    for vector, folder in folders.items():
        found = run(folder / "trunk.onnx", {"tokens": tokens})
        assert found.shape == (3, DIM * PARTS[vector])
        np.testing.assert_allclose(found, expected[vector], rtol=0, atol=1e-5, err_msg=vector)
    apart = [np.abs(expected["grid4"][:, :DIM] - each).max() for each in (expected["mean"], cells[1], cells[4])]
    assert min(apart) > 0.1, "the cells are not all alike, so their order is tested"


def test_folder_token_and_manifest_say_which(folders: dict[Vector, Path]) -> None:
    found = {vector: manifest_of(folder) for vector, folder in folders.items()}
    assert {vector: each.entries[0].token for vector, each in found.items()} == {
        "cls": "untrained-tiny-v1.5-naip-c96",
        "mean": "untrained-tiny-mean-v1.5-naip-c96",
        "both": "untrained-tiny-both-v1.5-naip-c96",
        "grid4": "untrained-tiny-grid4-v1.5-naip-c96",
    }
    for vector, manifest in found.items():
        (entry,) = manifest.entries
        assert entry.dimensions == DIM * PARTS[vector]
        assert entry.options.vector == (None if vector == "cls" else vector)
        card = (folders[vector] / manifest.card).read_text()
        assert WORDS[vector][1:-1] in card
        assert f"({DIM * PARTS[vector]} numbers)" in card
    # What is usual goes unsaid, so that entries exported before there was a choice keep their digests.
    assert "vector" not in json.loads((folders["cls"] / "manifest.json").read_text())["entries"][0]["options"]
    assert len({each.files["trunk.weights"] for each in found.values()}) == 1, "the same weights in the same places"
    assert len({each.files["trunk.onnx"] for each in found.values()}) == len(PARTS)


def test_an_addition_takes_the_folders_vector(source: Source, tmp_path: Path) -> None:
    folder = export(source, [NAIP], tmp_path, vector="grid4").folder
    linz = Request(sensor=find_sensor("linz"), chip_size=64)
    lines: list[str] = []
    assert add(folder, [linz], progress=lines.append).added == ("untrained-tiny-grid4-v1.5-linz-c64",)
    entry = manifest_of(folder).entries[-1]
    assert (entry.options.vector, entry.dimensions) == ("grid4", 16 * DIM)
    assert len(lines) == 1, "one chip was to be run"


def test_a_chip_without_whole_patches_in_its_cells_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["export", "--size", "tiny", "--sensor", "naip", "--out", str(tmp_path)]
    assert main([*asked, "--vector", "grid4", "--chip", "80"]) == 1
    assert "a chip of 80 px has no 4 x 4 cells of whole patches: give a multiple of 32 px" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main([*asked, "--vector", "grid4", "--chip", "64"]) == 0
    (folder,) = tmp_path.iterdir()
    with pytest.raises(ModelError, match="a chip of 40 px has no 4 x 4 cells"):
        add(folder, [Request(sensor=find_sensor("linz"), chip_size=40)])


@pytest.mark.parametrize("vector", ["mean", "both", "grid4"])
def test_all_patches_cost_the_last_block_and_nothing_else(source: Source, vector: Vector) -> None:
    """The trunk differs from the class token's by the slices of its last block, and by the pooling."""
    precision = Precision(matrices="float32", residual="float32")
    usual, other = (write_trunk(TINY, source.weights, precision, loss=False, vector=each) for each in ("cls", vector))
    expensive = {"MatMul", "MultiHeadAttention", "BiasGelu", "SkipLayerNormalization", "LayerNormalization"}
    counted = [[node.op_type for node in graph.nodes if node.op_type in expensive] for graph in (usual, other)]
    assert counted[0] == counted[1]
    assert list(usual.external) == list(other.external)


@pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-model: torch and claymodel are only there")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("vector", ["mean", "both", "grid4"])
def test_the_published_model_gives_the_same(vector: Vector) -> None:
    """Pooled by torch from what claymodel's encoder gives; radar and an optical sensor, in all precisions."""
    done = subprocess.run(
        [
            PYTHON, "-m", "clay.proof.parity", "--sensor", "sentinel-2-l2a", "sentinel-1-rtc", "--chip", "96",
            "--loss", "--precision", "fp32", "fp16", "int8", "--vector", vector,
        ],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "model:layers/clayline"},
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert_parity(lines[1:])
    assert len(lines[1:]) == 2 * 3
    assert {line["dimensions"] for line in lines[1:]} == {DIM * PARTS[vector]}
