"""The committed model folder: files and digests as the manifest says, and graphs that do what the card says."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

FOLDER = Path(__file__).resolve().parents[2] / "model" / "starter" / "starter-v1.0"
MANIFEST: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text())
ENTRIES: list[dict[str, Any]] = MANIFEST["entries"]
FIVE = ["red", "green", "blue", "nir08", "swir16"]
WANTED = {
    # token: sensor, bands, dtype, gsd, dimensions, whether it has a loss
    "starter-v1.0-s2-rgbns": ("sentinel-2-l2a", FIVE, "uint16", 10.0, 224, True),
    "starter-v1.0-s2-rgb": ("sentinel-2-l2a", FIVE[:3], "uint16", 10.0, 112, True),
    "starter-v1.0-l1-rgbns": ("landsat-c2l1", FIVE, "uint16", 30.0, 224, False),
    "starter-v1.0-l1-rgb": ("landsat-c2l1", FIVE[:3], "uint16", 30.0, 112, True),
    "starter-v1.0-l2-rgbns": ("landsat-c2l2-sr", FIVE, "uint16", 30.0, 224, True),
    "starter-v1.0-l2-rgb": ("landsat-c2l2-sr", FIVE[:3], "uint16", 30.0, 112, True),
    "starter-v1.0-naip-rgb": ("naip", FIVE[:3], "uint8", 1.0, 112, True),
}
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=[entry["token"] for entry in ENTRIES])
with_loss = pytest.mark.parametrize(
    "entry",
    [entry for entry in ENTRIES if entry["loss_metric"]],
    ids=[entry["token"] for entry in ENTRIES if entry["loss_metric"]],
)


def session(entry: dict[str, Any]) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(FOLDER / entry["graph"]), options, providers=["CPUExecutionProvider"])


def limits(entry: dict[str, Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    ends = np.array([entry["stretch"][band] for band in entry["bands"]]).reshape(1, -1, 2, 1, 1)
    return ends[:, :, 0], ends[:, :, 1]


def chips(entry: dict[str, Any], count: int, seed: int = 1) -> npt.NDArray[np.generic]:
    """Patchy chips, partly outside the stretch."""
    low, high = limits(entry)
    random = np.random.default_rng(seed)
    level = random.uniform(-0.1, 1.2, (count, len(entry["bands"]), 16, 16)).repeat(4, axis=2).repeat(4, axis=3)
    top = np.iinfo(entry["dtype"]).max
    return np.clip(np.rint(low + level * (high - low)), 0, top).astype(entry["dtype"])


def test_the_folder_holds_the_entries_asked_for() -> None:
    found = {
        entry["token"]: (
            entry["sensor"],
            entry["bands"],
            entry["dtype"],
            entry["gsd"],
            entry["dimensions"],
            entry["loss_metric"] == "linear-thumb8-l1",
        )
        for entry in ENTRIES
    }
    assert found == WANTED
    assert {entry["chip_size"] for entry in ENTRIES} == {64}


def test_the_manifest_lists_every_graph_and_weights_file_with_its_digest() -> None:
    on_disk = {path.name for path in FOLDER.iterdir()} - {
        "manifest.json",
        "statistics.json",
        "LICENSE",
        MANIFEST["card"],
    }
    assert on_disk == MANIFEST["files"].keys()
    for name, digest in MANIFEST["files"].items():
        assert digest == "sha256:" + hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


@every_entry
def test_an_entrys_digest_covers_its_fields_and_its_files(entry: dict[str, Any]) -> None:
    content = {key: value for key, value in entry.items() if key != "digest"}
    content["files"] = {name: MANIFEST["files"][name] for name in entry["files"]}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert entry["digest"] == "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()
    assert entry["graph"] in entry["files"]


def test_the_folder_stays_small_and_carries_card_and_licence() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 6_000_000
    assert "not Clay" in (FOLDER / MANIFEST["card"]).read_text()
    licence = (FOLDER / "LICENSE").read_text()
    assert "ML Illustrated" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


@every_entry
def test_a_graph_reads_no_file_but_those_of_its_entry(entry: dict[str, Any]) -> None:
    model = onnx.load(FOLDER / entry["graph"], load_external_data=False)
    outside = [tensor for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    named = {pair.value for tensor in outside for pair in tensor.external_data if pair.key == "location"}
    assert named | {entry["graph"]} == set(entry["files"])
    assert {operator.domain for operator in model.opset_import} == {""}


@every_entry
def test_inputs_and_outputs_are_those_of_the_manifest(entry: dict[str, Any]) -> None:
    opened = session(entry)
    inputs = {item.name: (item.type, item.shape) for item in opened.get_inputs()}
    assert list(inputs) == entry["inputs"]
    assert inputs["pixels"] == (f"tensor({entry['dtype']})", ["batch", len(entry["bands"]), 64, 64])
    outputs = {item.name: item.shape for item in opened.get_outputs()}
    wanted = {"embeddings": ["batch", entry["dimensions"]]}
    assert outputs == (wanted | {"loss": ["batch"]} if entry["loss_metric"] else wanted)


@every_entry
def test_outputs_are_finite_whatever_the_pixels(entry: dict[str, Any]) -> None:
    top = np.iinfo(entry["dtype"]).max
    pixels = chips(entry, 5)
    pixels[0], pixels[1] = 0, top
    pixels[2, :, :, ::2], pixels[2, :, :, 1::2] = 0, top
    pixels[3] = np.random.default_rng(2).integers(0, top, pixels[3].shape, dtype=pixels.dtype, endpoint=True)
    for output in session(entry).run(None, {"pixels": pixels}):
        assert output.dtype == np.float32
        assert output.shape[0] == 5
        assert np.isfinite(output).all()


@every_entry
def test_a_chips_result_does_not_depend_on_its_batch(entry: dict[str, Any]) -> None:
    opened = session(entry)
    pixels = chips(entry, 7)
    together = opened.run(None, {"pixels": pixels})
    alone = [opened.run(None, {"pixels": pixels[index : index + 1]}) for index in range(7)]
    for position, output in enumerate(together):
        np.testing.assert_allclose(np.concatenate([one[position] for one in alone]), output, rtol=0, atol=2e-5)


@every_entry
def test_chips_differ_and_every_band_counts(entry: dict[str, Any]) -> None:
    low, high = limits(entry)
    base = chips(entry, 1)
    changed = [base]
    for band in range(len(entry["bands"])):
        other = base.copy()
        other[:, band] = np.rint(((low + high) / 2)[0, band]).astype(other.dtype)
        changed.append(other)
    vectors = session(entry).run(["embeddings"], {"pixels": np.concatenate(changed)})[0]
    assert vectors.std(axis=1).min() > 0.1
    assert np.abs(vectors[1:] - vectors[0]).max(axis=1).min() > 0.1
    # red, green and blue move the first image's half; NIR and SWIR only the second's, together with red
    if entry["dimensions"] == 224:
        moved = np.abs(vectors[1:] - vectors[0]) > 1e-4
        first, second = moved[:, :112].any(axis=1), moved[:, 112:].any(axis=1)
        assert first.tolist() == [True, True, True, False, False]
        assert second.tolist() == [True, False, False, True, True]


@every_entry
def test_the_stretch_saturates_where_the_manifest_says(entry: dict[str, Any]) -> None:
    low, high = limits(entry)
    top = np.iinfo(entry["dtype"]).max
    shape = (1, len(entry["bands"]), 64, 64)
    levels = [np.zeros(shape), np.broadcast_to(low, shape), np.broadcast_to(high, shape), np.full(shape, top)]
    levels += [np.broadcast_to(low + 0.02 * (high - low), shape), np.broadcast_to(high - 0.02 * (high - low), shape)]
    vectors = session(entry).run(["embeddings"], {"pixels": np.concatenate(levels).astype(entry["dtype"])})[0]
    np.testing.assert_allclose(vectors[1], vectors[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(vectors[2], vectors[3], rtol=0, atol=1e-4)
    assert np.abs(vectors[4] - vectors[1]).max() > 1e-3
    assert np.abs(vectors[5] - vectors[2]).max() > 1e-3


@with_loss
def test_the_loss_is_the_distance_of_the_linear_guess_from_the_thumbnail(entry: dict[str, Any]) -> None:
    pixels = chips(entry, 6)
    pixels[0], pixels[1, :, :30] = 0, 0
    vectors, loss = session(entry).run(["embeddings", "loss"], {"pixels": pixels})
    held = {
        tensor.name: tensor for tensor in onnx.load(FOLDER / entry["graph"], load_external_data=False).graph.initializer
    }
    matrix, bias = (numpy_helper.to_array(held[name]).astype(np.float64) for name in ("decoder.matrix", "decoder.bias"))
    low, high = limits(entry)
    level = np.minimum(np.maximum((pixels.astype(np.float64) - low) / (high - low), 0), 1)
    for index in range(6):
        gaps = []
        for band in range(len(entry["bands"])):
            for row in range(8):
                for column in range(8):
                    truth = level[index, band, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8].mean()
                    place = (band * 8 + row) * 8 + column
                    gaps.append(abs(truth - (vectors[index] @ matrix[:, place] + bias[place])))
        assert loss[index] == pytest.approx(np.mean(gaps), abs=1e-5)
    assert matrix.shape == (entry["dimensions"], 64 * len(entry["bands"]))
