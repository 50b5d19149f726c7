"""The numbers that the model gets: what a scene's own say is brought to what the model was trained on, or refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline

from clayline.model.wire import Request
from clayline.steps.planning import Planned
from clayline.steps.tiling import TileJob

NAMES = ("red", "green", "blue")
SENTINEL = {"sensor": "sentinel-2-l2a", "gsd": 10.0}
# From a multiple of 640 m: chips of 64 px begin where the scene does.
GRID = {"crs": "EPSG:32632", "transform": scenes.utm_grid(origin=(400_000.0, 4_999_680.0))}
REPROCESSED = "S2A_MSIL2A_20190416T100031_N0500_R122_T33TUL_20230612T101112"
OF_2019 = REPROCESSED.replace("_N0500_", "_N0211_")


def sent(pipeline: Pipeline, key: str) -> dict[int, NDArray[Any]]:
    """Plan and tile a landed scene; give what the endpoint gets of each chip, by its index."""
    assert pipeline.plan(key).kind is Planned.ENQUEUED
    while pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body))):
        pass
    requests = [Request.from_bytes(pipeline.objects.get(uri)) for uri, _ in pipeline.endpoint.taken]
    return {
        index: chip
        for request in requests
        for index, chip in zip(request.index.tolist(), request.inputs["pixels"][:], strict=True)
    }


@pytest.mark.parametrize(("name", "offset"), [(REPROCESSED, -1000), (OF_2019, 0)])
def test_a_scene_of_2019_processed_anew_carries_the_offset_that_its_name_says(
    make_pipeline: Callable[..., Pipeline], name: str, offset: int
) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    pixels = scenes.noise(bands=3, height=64, width=64)
    pixels[:, 3, 5] = 0
    pipeline.put(f"cog/{name}.tif", scenes.geotiff(pixels, **GRID, nodata=0, names=NAMES))
    [chip] = sent(pipeline, f"cog/{name}.tif").values()
    expected = [[[max(int(value) + offset, 1) if value else 0 for value in row] for row in band] for band in pixels]
    assert np.array_equal(chip, expected)
