"""benchmarks/cut.py writes the scene that it says, decodes all of it, and cuts every chip of it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from benchmarks import cut, tile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bands")
    cut.write_bands(made, tile.landsat(tile.BANDS), 1100)
    return made


def test_bands_of_20_m_are_half_as_wide(folder: Path) -> None:
    widths = [rasterio.open(path).width for path in sorted(folder.glob("*.tif"))]
    assert widths == [1100] * cut.FULL + [550] * (tile.BANDS - cut.FULL)


def test_every_block_is_decoded_by_both_drivers(folder: Path) -> None:
    assert all(cut.decode(folder, driver)["seconds"] > 0 for driver in cut.DRIVERS)


def test_every_chip_is_cut_those_at_the_edges_too(folder: Path) -> None:
    assert tile.run_jobs(cut.sources(folder), None, tile.Work())["chips"] == 5 * 5


def test_of_a_large_scene_the_largest_job_has_pixels(tmp_path: Path) -> None:
    scene = tile.landsat(tile.BANDS)
    done = cut.memory_of(tmp_path, scene, 1100)
    assert done["chips"] == 25
    with rasterio.open(tmp_path / "b00.tif") as dataset:
        rows, cols = (tile.mirror(scene.shape[axis], 1100) for axis in (1, 2))
        assert (dataset.read(1) == scene[0][np.ix_(rows, cols)]).all()
