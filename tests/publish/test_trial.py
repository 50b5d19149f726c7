"""The smoke test's request is a valid one, its answer is judged, and its notification disturbs nobody."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server.model_folders import LOSS_METRIC, build_model_folder

from clay.entry import Request as EntryRequest
from clay.export import export
from clay.sensor import BandSet, find_sensor, known_sensors
from clay.weights import seeded_source
from clayline.errors import ModelError
from clayline.model.manifest import Manifest, read_manifest
from clayline.model.wire import Request, Response
from clayline.run.result import parse_result
from publish.errors import SmokeTestError
from publish.trial import Trial, make_trial
from server.folders import ModelFolders, load_folders
from server.inference import embed

STARTER = Path(__file__).parents[2] / "model" / "starter" / "starter-v1.0"
BELOW_ZERO = """
name: example-bathymetry
slug: bathymetry
gsd: 30
dtype: float32
bands:
  - {name: depth, mean: -3000, std: 40, wavelength: 0.49}
  - {name: index, mean: -0.2, std: 0.1, wavelength: 0.66}
"""
SENSORS = (*known_sensors(), "example-bathymetry")


def manifest_of(folder: Path) -> Manifest:
    return read_manifest((folder / "manifest.json").read_bytes(), source=folder.name)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return make_trial(manifest_of(build_model_folder(tmp_path)), None)


def good(trial: Trial) -> Response:
    count = len(trial.request.index)
    return Response(
        header=trial.request.header,
        index=trial.request.index,
        embeddings=np.arange(count * 8, dtype=np.float32).reshape(count, 8),
        status=np.zeros(count, np.uint8),
        loss=np.ones(count, np.float32),
        loss_metric=LOSS_METRIC,
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_request_has_what_the_entry_takes(tmp_path: Path, dtype: str) -> None:
    folder = build_model_folder(tmp_path, dtype=dtype, inputs=("pixels", "time", "latlon"), chip_size=32)
    request = Request.from_bytes(make_trial(manifest_of(folder), None).request.to_bytes())
    assert {name: (tensor.dtype.name, tensor.shape[1:]) for name, tensor in request.inputs.items()} == {
        "pixels": (dtype, (3, 32, 32)),
        "time": ("float32", (4,)),
        "latlon": ("float32", (4,)),
    }
    pixels = request.inputs["pixels"][:]
    assert (pixels > 0).all(), "nodata among the pixels"
    assert len(np.unique(pixels.reshape(len(pixels), -1).mean(axis=1))) == len(pixels)
    for name in ("time", "latlon"):
        pairs = request.inputs[name][:].reshape(-1, 2).astype(np.float64)
        np.testing.assert_allclose((pairs**2).sum(axis=1), 1, rtol=1e-6)


def test_the_pixels_are_the_same_each_time_and_the_names_are_not(tmp_path: Path) -> None:
    manifest = manifest_of(build_model_folder(tmp_path))
    one, two = make_trial(manifest, None), make_trial(manifest, None)
    np.testing.assert_array_equal(one.request.inputs["pixels"][:], two.request.inputs["pixels"][:])
    assert one.uri("work") != two.uri("work")
    assert one.inference_id != two.inference_id


def test_pixels_lie_where_the_entry_expects_them() -> None:
    trial = make_trial(manifest_of(STARTER), "starter-v1.0-l1-rgbns")
    for channel, band in enumerate(trial.entry.bands):
        assert trial.entry.stretch is not None
        low, high = trial.entry.stretch[band]
        inside = trial.request.inputs["pixels"][:][:, channel]
        assert ((inside > low) & (inside < high)).mean() > 0.95


@pytest.fixture(scope="module")
def clay_sensors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BandSet]:
    """Clay's nine, and one of a user's own whose numbers are negative."""
    file = tmp_path_factory.mktemp("sensors") / "bathymetry.yaml"
    file.write_text(BELOW_ZERO)
    return {name: find_sensor(str(file) if name == "example-bathymetry" else name) for name in SENSORS}


@pytest.fixture(scope="module")
def clay_folders(
    clay_sensors: dict[str, BandSet], tmp_path_factory: pytest.TempPathFactory
) -> tuple[ModelFolders, Manifest]:
    """A tiny Clay with an entry for each of them, and random weights."""
    requests = [EntryRequest(sensor=sensor, chip_size=32) for sensor in clay_sensors.values()]
    folder = export(seeded_source("tiny", 0, loss=False), requests, tmp_path_factory.mktemp("models")).folder
    return load_folders(folder.parent, threads=1), manifest_of(folder)


@pytest.mark.parametrize("name", SENSORS)
def test_a_clay_endpoint_passes_with_every_sensor(
    clay_sensors: dict[str, BandSet], clay_folders: tuple[ModelFolders, Manifest], name: str
) -> None:
    folders, manifest = clay_folders
    sensor = clay_sensors[name]
    (loaded,) = [each for each in folders.all() if each.entry.sensor == name]
    trial = make_trial(manifest, loaded.entry.token)
    pixels = trial.request.inputs["pixels"][:]
    assert (pixels.dtype.name, pixels.shape) == (sensor.dtype, (3, len(sensor.bands), 32, 32))
    assert not (pixels == sensor.nodata_fill).any()
    fed = 10 * np.log10(pixels) if sensor.decibel else pixels.astype(np.float64)
    scaled = (fed - np.reshape(sensor.mean, (1, -1, 1, 1))) / np.reshape(sensor.std, (1, -1, 1, 1))
    means = scaled.mean(axis=(2, 3))
    assert (np.diff(means, axis=0) > 0.3).all(), "each chip is brighter than the one before, in every band"
    assert np.abs(means).max() < 0.6
    trial.check(embed(loaded, trial.request, micro_batch=2).to_bytes())


def test_settle_reads_its_notification_as_one_of_a_run_that_nobody_planned(trial: Trial) -> None:
    """Settle then finds no such run in the ledger, and drops it with a log line
    (tests/aws/test_settling_on_moto.py).
    """
    message = {
        "invocationStatus": "Completed",
        "inferenceId": trial.inference_id,
        "requestParameters": {"inputLocation": trial.uri("work")},
        "responseParameters": {"outputLocation": "s3://work/responses/x.out"},
    }
    result = parse_result(json.dumps(message), work_bucket="work")
    assert (result.run, result.batch) == (trial.request.header.run, trial.request.header.batch)
    assert trial.uri("work").startswith("s3://work/requests/"), "the endpoint's role may read nothing else"


def test_a_token_that_the_folder_lacks(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no entry other-v1-x"):
        make_trial(manifest_of(build_model_folder(tmp_path)), "other-v1-x")


def test_a_good_answer_passes(trial: Trial) -> None:
    assert trial.check(good(trial).to_bytes()).embeddings.shape == (3, 8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"index": np.array([0, 2, 1])}, "index"),
        ({"embeddings": np.ones((3, 7), np.float32)}, "dimensions"),
        ({"status": np.array([0, 1, 0], np.uint8)}, "status"),
        ({"embeddings": np.full((3, 8), np.nan, np.float32)}, "not finite"),
        ({"loss": np.array([1, np.inf, 1], np.float32)}, "not finite"),
        ({"embeddings": np.ones((3, 8), np.float32)}, "one and the same vector"),
        ({"loss": None, "loss_metric": None}, "loss"),
    ],
)
def test_a_wrong_answer_is_called_wrong(trial: Trial, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SmokeTestError, match=words):
        trial.check(replace(good(trial), **change).to_bytes())


@pytest.mark.parametrize(
    ("change", "words"),
    [({"digest": "sha256:" + "9" * 64}, "another model is deployed"), ({"run": "0" * 32}, "asked was")],
)
def test_an_answer_to_another_request(trial: Trial, change: dict[str, Any], words: str) -> None:
    response = good(trial)
    with pytest.raises(SmokeTestError, match=words):
        trial.check(replace(response, header=replace(response.header, **change)).to_bytes())


def test_an_answer_that_is_none(trial: Trial) -> None:
    with pytest.raises(SmokeTestError, match="cannot be read"):
        trial.check(b"<html>")
