"""int8 over the container's HTTP: whatever lies beside a chip in a batch, and whatever micro-batch is asked for, its vector is the same."""

from pathlib import Path

import numpy as np
import safetensors.numpy
from tests.server.container import running_container
from tests.server.requests import chips, request_body

from clay.entry import Request
from clay.export import export
from clay.sensor import find_sensor
from clay.weights import seeded_source


def test_a_chips_vector_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    request = Request(sensor=find_sensor("linz"), chip_size=64)
    folder = export(seeded_source("tiny", 0, loss=False), [request], tmp_path / "models", precision="int8").folder
    dark, bright = (chips(2, dtype="uint8", seed=seed) // divisor for seed, divisor in ((1, 50), (2, 1)))
    pixels = np.concatenate([dark, bright])
    metadata = np.random.default_rng(3).uniform(-1, 1, (2, len(pixels), 4)).astype(np.float32)

    def body(rows: slice) -> bytes:
        return request_body(folder, pixels[rows], tensors={"time": metadata[0, rows], "latlon": metadata[1, rows]})

    with running_container(folder.parent, tmp_path / "log", "--micro-batch", "4") as container:
        together = safetensors.numpy.load(container.invoke(body(slice(None))).body)["embeddings"]
        alone = [safetensors.numpy.load(container.invoke(body(slice(row, row + 1))).body)["embeddings"] for row in range(len(pixels))]
    np.testing.assert_array_equal(together, np.concatenate(alone))
