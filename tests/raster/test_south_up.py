"""Files whose first row is the southernmost: turned round as they are read, so that nothing else knows."""

from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window
from tests.raster.geotiffs import SETTINGS, TEN_METRES, bands_of, header_of, spoil, texture, write

from clayline.chips.batch import block_grid, lay_jobs
from clayline.chips.chip import cut
from clayline.chips.cog import Affine
from clayline.chips.grid import ChipGrid
from clayline.raster.tile import read_job


def south_up(height: int, *, pixel: float = 10.0, shift: float = 0.0) -> Affine:
    """The transform of a file of ``height`` rows over the place of TEN_METRES, ``shift`` metres further south."""
    _, _, c, _, _, f = TEN_METRES
    return (pixel, 0.0, c, 0.0, pixel, f - shift - pixel * height)


def test_the_header_is_that_of_the_file_turned_round(tmp_path: Path) -> None:
    up = header_of(write(tmp_path / "up.tif", texture(2, 150, 210)))
    down = header_of(write(tmp_path / "down.tif", texture(2, 150, 210)[:, ::-1], transform=south_up(150)))
    assert not up.flipped
    assert down == replace(up, flipped=True)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("blocks", [{}, {"tiled": False, "blockysize": 7, "blockxsize": None}])
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1), (2, 3, 1)])
def test_every_chip_is_rasterios_turned_round(
    tmp_path: Path, interleave: str, blocks: dict[str, Any], order: tuple[int, ...]
) -> None:
    path = write(tmp_path / "scene.tif", texture(3, 150, 210), transform=south_up(150), interleave=interleave, **blocks)
    bands = bands_of(path, *order)
    header = bands[0].header
    grid = ChipGrid(height=150, width=210, size=32, start=(-5, -9))
    jobs = lay_jobs(
        grid,
        [block_grid(header, finest=header.transform)],
        bytes_per_pixel=12,
        memory_budget=100_000,
        chips_per_batch=16,
    )
    assert len(jobs) > 1
    with rasterio.open(path) as dataset:
        for job in jobs:
            window = job.pixel_window(grid)
            read = read_job(bands, None, transform=header.transform, window=window, settings=SETTINGS)
            chips = cut(read.pixels, job.windows(grid), origin=(window[0], window[2]), fill=0)
            for chip, place in zip(chips, job.windows(grid), strict=True):
                mirrored = Window(place.col, 150 - place.row - 32, 32, 32)
                expected = dataset.read(list(order), window=mirrored, boundless=True, fill_value=0)
                np.testing.assert_array_equal(chip, expected[:, ::-1])


@pytest.mark.parametrize(
    ("pixel", "shift"), [(20, 0), (15, 0), (7, 3), (10, 5), (10, -5), (20, 10), (25, -35), (60, 40)]
)
def test_a_coarser_or_shifted_band_gives_what_it_would_give_north_up(tmp_path: Path, pixel: int, shift: int) -> None:
    """Centres on a border of two pixels too: the southern one has them, whichever way the file's rows go."""
    other = texture(1, 64, 48)
    path = write(tmp_path / "band.tif", other[:, ::-1], transform=south_up(64, pixel=pixel, shift=shift))
    window = (13, 77, 9, 80)
    read = read_job(bands_of(path, 1, nodata=7), None, transform=TEN_METRES, window=window, settings=SETTINGS)
    north_up = write(
        tmp_path / "north.tif",
        other,
        transform=(pixel, 0, TEN_METRES[2], 0, -pixel, TEN_METRES[5] - shift),
    )
    same = read_job(bands_of(north_up, 1, nodata=7), None, transform=TEN_METRES, window=window, settings=SETTINGS)
    np.testing.assert_array_equal(read.pixels, same.pixels)
    for row in range(13, 77):
        # From the file's own first row, the southernmost: borders belong to the pixel south of them.
        source_row = ceil((Fraction(64 * pixel + shift) - (10 * row + 5)) / pixel) - 1
        source_col = (10 * 9 + 5) // pixel
        expected = other[0, 63 - source_row, source_col] if 0 <= source_row < 64 else 7
        assert read.pixels[0, row - 13, 0] == expected


def test_both_ways_in_one_scene(tmp_path: Path) -> None:
    pixels = texture(2, 100, 90)
    north = bands_of(write(tmp_path / "north.tif", pixels[:1]), 1)
    south = bands_of(write(tmp_path / "south.tif", pixels[1:, ::-1], transform=south_up(100)), 1)
    classes = bands_of(write(tmp_path / "classes.tif", pixels[:1, ::-1], transform=south_up(100)), 1)
    read = read_job([*south, *north], classes[0], transform=TEN_METRES, window=(3, 100, 2, 80), settings=SETTINGS)
    np.testing.assert_array_equal(read.pixels, pixels[::-1, 3:100, 2:80])
    np.testing.assert_array_equal(read.mask, pixels[0, 3:100, 2:80])


def test_a_damaged_block_is_where_it_lies_on_the_ground(tmp_path: Path) -> None:
    pixels = texture(1, 150, 130)
    path = write(tmp_path / "scene.tif", pixels[:, ::-1], transform=south_up(150))
    bands = bands_of(path, 1)
    spoil(path, row=0, col=1)
    read = read_job(bands, None, transform=TEN_METRES, window=(10, 150, 20, 130), settings=SETTINGS)
    damaged = np.zeros((150, 130), np.bool_)
    damaged[150 - 64 :, 64:128] = True
    assert read.damaged is not None
    np.testing.assert_array_equal(read.damaged, damaged[10:, 20:])
    np.testing.assert_array_equal(read.pixels[0], np.where(damaged, 0, pixels[0])[10:, 20:])
