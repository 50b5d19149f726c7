"""int8: a chip's vector is the same whatever lies beside it in a batch, and quantising hides no number that is not
finite.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from tests.server.container import running_container
from tests.server.requests import chips, request_body

from clay.entry import Request
from clay.export import export
from clay.mask import Mask
from clay.sensor import find_sensor
from clay.weights import seeded_source
from clayline.model.manifest import read_manifest
from clayline.model.wire import BatchHeader, Response
from clayline.model.wire import Request as WireRequest
from server.folders import load_folders
from server.inference import embed

Chip = dict[str, NDArray[np.float32]]
CHIP = 64
NAN, INFINITY = float("nan"), float("inf")


def test_a_chips_vector_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    request = Request(sensor=find_sensor("linz"), chip_size=CHIP)
    folder = export(seeded_source("tiny", 0, loss=False), [request], tmp_path / "models", precision="int8").folder
    dark, bright = (chips(2, dtype="uint8", seed=seed) // divisor for seed, divisor in ((1, 50), (2, 1)))
    pixels = np.concatenate([dark, bright])
    metadata = np.random.default_rng(3).uniform(-1, 1, (2, len(pixels), 4)).astype(np.float32)

    def body(rows: slice) -> bytes:
        return request_body(folder, pixels[rows], tensors={"time": metadata[0, rows], "latlon": metadata[1, rows]})

    with running_container(folder.parent, tmp_path / "log", "--micro-batch", "4") as container:
        together = safetensors.numpy.load(container.invoke(body(slice(None))).body)["embeddings"]
        alone = [
            safetensors.numpy.load(container.invoke(body(slice(row, row + 1))).body)["embeddings"]
            for row in range(len(pixels))
        ]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def reflectances(path: Path) -> Request:
    """Give a sensor of reflectances, whose stem overflows long before its pixels do: its deviations are small."""
    bands = [
        {"name": name, "mean": 0.1, "std": 0.004, "wavelength": wavelength}
        for name, wavelength in (("red", 0.66), ("nir", 0.84))
    ]
    file = path / "own.yaml"
    file.write_text(
        json.dumps({"name": "Own", "slug": "own", "gsd": 20, "dtype": "float32", "bands": bands})
    )  # JSON is YAML
    return Request(sensor=find_sensor(str(file)), chip_size=CHIP)


def plain_chip() -> Chip:
    generator = np.random.default_rng(7)
    pixels = generator.normal(0.1, 0.004, (2, CHIP, CHIP)).astype(np.float32)
    return {"pixels": pixels, **{name: generator.uniform(-1, 1, 4).astype(np.float32) for name in ("time", "latlon")}}


def changed_chip(name: str, where: tuple[int | slice, ...], value: float) -> Chip:
    chip = plain_chip()
    chip[name][where] = value
    return chip


FINITE = {
    "plain": plain_chip(),
    "bright": changed_chip("pixels", (0, 5, 37), 1e12),
    "far": changed_chip("time", (1,), 1e20),
}
BROKEN = {
    **{f"pixel {value}": changed_chip("pixels", (1, 5, 37), value) for value in (NAN, INFINITY, -INFINITY)},
    **{f"{name} {value}": changed_chip(name, (3,), value) for name in ("time", "latlon") for value in (NAN, INFINITY)},
    "overflow": changed_chip("pixels", (slice(None), slice(8, 24), slice(8, 24)), 3e38),
}


def answer(folder: Path, given: list[Chip]) -> Response:
    """Give what the server does, all chips in one request."""
    manifest = read_manifest((folder / "manifest.json").read_bytes(), source=str(folder))
    (entry,) = manifest.entries
    loaded = load_folders(folder.parent, threads=1).find(folder=folder.name, token=entry.token, digest=entry.digest)
    header = BatchHeader(run="0a" * 16, batch="b00001", folder=folder.name, token=entry.token, digest=entry.digest)
    inputs = {name: np.stack([chip[name] for chip in given]) for name in given[0]}
    together = 1 if entry.one_chip_a_run(on="cuda") else 4  # as the server has it there
    return embed(loaded, WireRequest(header=header, index=np.arange(len(given)), inputs=inputs), micro_batch=together)


@pytest.mark.parametrize("loss", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_what_is_not_finite_fails_its_chip_only(precision: str, *, loss: bool, tmp_path: Path) -> None:
    request = reflectances(tmp_path)
    asked = Request(sensor=request.sensor, chip_size=CHIP, mask=Mask() if loss else None)
    folder = export(seeded_source("tiny", 0, loss=loss), [asked], tmp_path / "models", precision=precision).folder
    finite = {
        name: chip for name, chip in FINITE.items() if precision != "fp16" or name == "plain"
    }  # the others overflow there
    order = [name for pair in zip(BROKEN, list(finite) * len(BROKEN), strict=False) for name in pair]
    found = answer(folder, [(BROKEN | finite)[name] for name in order])
    assert {name: int(status) for name, status in zip(order, found.status, strict=True)} == dict.fromkeys(
        BROKEN, 1
    ) | dict.fromkeys(finite, 0)
    alone = {name: answer(folder, [chip]) for name, chip in finite.items()}
    for row, name in enumerate(order):
        if name in finite and precision == "int8":
            np.testing.assert_array_equal(found.embeddings[row], alone[name].embeddings[0])
        elif name in BROKEN:
            assert not found.embeddings[row].any()
            assert found.loss is None or found.loss[row] == 0


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> tuple[onnxruntime.InferenceSession, dict[str, NDArray[Any]]]:
    """An int8 trunk with a loss, and a chip's tokens for it."""
    out = tmp_path_factory.mktemp("trunk")
    request = Request(sensor=reflectances(out).sensor, chip_size=CHIP, mask=Mask())
    folder = export(seeded_source("tiny", 0, loss=True), [request], out / "models", precision="int8").folder
    (entry,) = read_manifest((folder / "manifest.json").read_bytes(), source=str(folder)).entries
    stem, whole = (onnxruntime.InferenceSession(folder / str(file)) for file in (entry.graph, entry.trunk))
    given = stem.run(None, {name: value[np.newaxis] for name, value in plain_chip().items()})
    return whole, dict(zip([node.name for node in stem.get_outputs()], given, strict=True))


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize(
    ("name", "result"),
    [("tokens", "embeddings"), ("visible", "decoded"), ("visible_encoding", "decoded"), ("masked_queries", "decoded")],
)
def test_every_way_into_the_trunk_shows_what_is_not_finite(
    trunk: tuple[onnxruntime.InferenceSession, dict[str, NDArray[Any]]], name: str, result: str, value: float
) -> None:
    session, tokens = trunk
    assert all(np.isfinite(each).all() for each in session.run([], tokens))
    (other,) = {"embeddings", "decoded"} - {result}
    for row, channel in itertools.product(
        (0, 1, 7, -1), (0, 3, -1)
    ):  # what quantising makes of a NaN depends on where it meets it
        broken = tokens[name].copy()
        broken[0, row, channel] = value
        found, untouched = session.run([result, other], tokens | {name: broken})
        assert np.isnan(found).all(), (row, channel)
        assert np.isfinite(untouched).all(), "a pass that did not take it"
