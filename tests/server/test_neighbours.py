"""A chip's answer is the same bits whatever else is in its request, wherever the chip lies in it, whatever the server
computes beside it, and however many chips a run takes.
"""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import safetensors.numpy
from numpy.typing import NDArray
from tests.server.container import running_container
from tests.server.requests import request_body

from clay.entry import Request as Asked
from clay.export import export
from clay.mask import Mask
from clay.sensor import find_sensor
from clay.weights import seeded_source
from clayline.model.manifest import ModelEntry, read_manifest
from clayline.model.vector import CLS, PARTS
from clayline.model.wire import Request
from server.app import EndpointApp
from server.folders import load_folders
from server.inference import embed

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "model" / "starter" / "starter-v1.0"
SCENE = ROOT / "samples" / "landsat8_itaipu_2020"
CHIP = 64
COUNT = 19
"""Computed as 16, 2 and 1 where 16 share a run."""
MICRO_BATCH = 16
THREADS = 3
"""More than one, and no power of two: ONNX Runtime divides a run's numbers among them, in the middle of a chip."""
SHARING = {
    *(
        f"starter-v1.0-{short}"
        for short in ("s2-rgb", "s2-rgbns", "l1-rgb", "l1-rgbns", "l2-rgb", "l2-rgbns", "naip-rgb")
    ),
    "untrained-tiny-loss-v1.5-ls-c2l1-c64",
    *(f"untrained-tiny-{vector}-v1.5-ls-c2l1-c64" for vector in ("mean", "both", "grid4")),
}
"""Entries of whose chips several share a run on the CPU where the server is told so."""
Answers = list[tuple[bytes, bytes]]
"""Of each chip its vector's bytes and its loss's."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An entry, and COUNT chips for it."""

    folder: Path
    entry: ModelEntry
    tensors: dict[str, NDArray[Any]]

    def body(self, rows: Sequence[int]) -> bytes:
        """Give a request for these of the chips, in this order."""
        tensors = {name: np.ascontiguousarray(tensor[rows]) for name, tensor in self.tensors.items()}
        return request_body(self.folder, tensors.pop("pixels"), token=self.entry.token, tensors=tensors)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter, and Clay with seeded weights: with a loss in each precision, optical chips and radar's; and each
    vector but the class token.
    """
    path = tmp_path_factory.mktemp("models")
    shutil.copytree(STARTER, path / STARTER.name)
    asked = [
        Asked(sensor=find_sensor(sensor), chip_size=CHIP, mask=Mask()) for sensor in ("landsat-c2l1", "sentinel-1-rtc")
    ]
    for precision in ("fp32", "fp16", "int8"):
        export(seeded_source("tiny", 0, loss=True), asked, path, precision=precision)
    bare = Asked(sensor=find_sensor("landsat-c2l1"), chip_size=CHIP)
    for vector in PARTS:
        if vector != CLS:
            export(seeded_source("tiny", 0, loss=False), [bare], path, vector=vector)
    return path


@pytest.fixture(scope="module")
def offers(models: Path) -> dict[str, Offer]:
    """Every entry by its token."""
    scene = scene_chips()
    return {
        entry.token: Offer(folder=folder, entry=entry, tensors=tensors_for(entry, scene))
        for folder in models.iterdir()
        for entry in read_manifest((folder / "manifest.json").read_bytes(), source=folder.name).entries
    }


def scene_chips() -> NDArray[np.uint16]:
    """Give COUNT pieces of the bundled scene, [COUNT, 3, CHIP, CHIP]."""
    bands = []
    for name in ("B4", "B3", "B2"):
        with rasterio.open(SCENE / f"{name}.tif") as source:
            bands.append(source.read(1))
    corners = np.random.default_rng(11).integers(0, np.array(bands[0].shape) - CHIP, (COUNT, 2))
    return np.stack([[band[row : row + CHIP, column : column + CHIP] for band in bands] for row, column in corners])


def tensors_for(entry: ModelEntry, scene: NDArray[np.uint16]) -> dict[str, NDArray[Any]]:
    """Give what the entry takes: the scene's pixels, and between them the ends of the type's range, alone and mixed."""
    level = (scene[:, np.arange(len(entry.bands)) % scene.shape[1]].astype(np.float64) - 5500) / 14_500
    ends = [(0.0, 0.3) if entry.decibel else (5500.0, 20_000.0)] * len(entry.bands)
    if entry.stretch is not None:
        ends = [entry.stretch[band] for band in entry.bands]
    low, high = np.array(ends).T.reshape(2, 1, -1, 1, 1)
    pixels = np.maximum(low + level * (high - low), 0).astype(entry.dtype)
    top = 1000 if entry.decibel else np.iinfo(entry.dtype).max
    pixels[3], pixels[8], pixels[17] = 0, top, 0
    pixels[17, :, ::2] = top
    generator = np.random.default_rng(12)
    return {"pixels": pixels} | {
        name: generator.uniform(-1, 1, (COUNT, 4)).astype(np.float32) for name in entry.inputs if name != "pixels"
    }


def answers(answer: bytes) -> Answers:
    tensors = safetensors.numpy.load(answer)
    assert not tensors["status"].any()
    losses = tensors.get("loss", np.zeros(len(tensors["status"]), np.float32))
    return [(vector.tobytes(), loss.tobytes()) for vector, loss in zip(tensors["embeddings"], losses, strict=True)]


def test_every_entry_answers_a_chip_alike_in_every_company(
    models: Path, offers: dict[str, Offer], tmp_path: Path
) -> None:
    generator = np.random.default_rng(13)
    alone = [[row] for row in range(COUNT)]
    together = [list(range(COUNT)), generator.permutation(COUNT).tolist()]
    together += [generator.permutation(COUNT)[:count].tolist() for count in (2, 3, 7)]
    together += [[0, 3], [17, 0], [8, 0, 3], [0] * 7]
    flags = ("--micro-batch", str(MICRO_BATCH), "--cpu-threads", str(THREADS), "--concurrency", "2")
    with running_container(models, tmp_path / "log", *flags) as container, ThreadPoolExecutor(4) as pool:

        def ask(body: bytes) -> Answers:
            reply = container.invoke(body)
            assert reply.status == 200, reply.body
            return answers(reply.body)

        def differing(offer: Offer) -> set[int]:
            """Give the chips that are not answered as they are alone."""
            expected = [answer for (answer,) in pool.map(ask, map(offer.body, alone))]
            assert len(set(expected)) == COUNT, "each chip has an answer of its own"
            return {
                row
                for rows, given in zip(together, pool.map(ask, map(offer.body, together)), strict=True)
                for row, answer in zip(rows, given, strict=True)
                if answer != expected[row]
            }

        assert {token: differing(offer) for token, offer in offers.items()} == {token: set() for token in offers}
        (ready,) = [line for line in container.lines() if line["message"] == "ready"]
    assert {token for token, size in ready["micro_batch"].items() if size == MICRO_BATCH} == SHARING
    assert {size for token, size in ready["micro_batch"].items() if token not in SHARING} == {1}


def test_neither_the_chips_of_a_run_nor_threads_change_a_bit(models: Path, offers: dict[str, Offer]) -> None:
    """So nothing changes where memory lowers the micro-batch. Of fp16's products and radar's logarithms threads do."""
    known: dict[str, Answers] = {}
    for threads in (1, THREADS):
        for loaded in load_folders(models, threads=threads).all():
            entry = loaded.entry
            if entry.options.precision == "fp16" or entry.decibel:
                continue
            request = Request.from_bytes(offers[entry.token].body(range(COUNT)))
            for told in (1, 2, 5, MICRO_BATCH) if entry.token in SHARING else (MICRO_BATCH,):
                size = EndpointApp(micro_batch=told, concurrency=1, give_up=lambda: None).micro_batch(loaded)
                found = answers(embed(loaded, request, micro_batch=size).to_bytes())
                assert found == known.setdefault(entry.token, found), (entry.token, told, threads)
    assert len(known) == len(SHARING) + 1
