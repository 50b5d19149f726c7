"""Pixels of jobs, against plain windowed reads of the same files."""

from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.shutil import copy
from rasterio.windows import Window
from tests.raster.geotiffs import SETTINGS, TEN_METRES, bands_of, header_of, texture, write

from clayline.chips.batch import block_grid, lay_jobs
from clayline.chips.chip import cut
from clayline.chips.grid import ChipGrid
from clayline.raster.part import BandSource
from clayline.raster.tile import read_job


def whole(bands: list[BandSource], mask: BandSource | None = None) -> tuple[NDArray[Any], NDArray[Any] | None, int]:
    """Read the whole of the first band's grid."""
    header = bands[0].header
    read = read_job(
        bands, mask, transform=header.transform, window=(0, header.height, 0, header.width), settings=SETTINGS
    )
    return read.pixels, read.mask, read.decoded_blocks


def check_chips(bands: list[BandSource], size: int, memory_budget: int) -> int:
    """Read a scene job by job and compare every chip with its own windowed read by rasterio.

    Give the number of jobs.
    """
    header = bands[0].header
    grid = ChipGrid(height=header.height, width=header.width, size=size)
    blocks = [block_grid(band.header, finest=header.transform) for band in bands]
    jobs = lay_jobs(grid, blocks, bytes_per_pixel=4 * len(bands), memory_budget=memory_budget, chips_per_batch=16)
    for job in jobs:
        window = job.pixel_window(grid)
        read = read_job(bands, None, transform=header.transform, window=window, settings=SETTINGS)
        chips = cut(read.pixels, job.windows(grid), origin=(window[0], window[2]), fill=0)
        for number, band in enumerate(bands):
            with rasterio.open(band.source.path) as dataset:
                for chip, place in zip(chips, job.windows(grid), strict=True):
                    expected = dataset.read(
                        band.band, window=Window(place.col, place.row, size, size), boundless=True, fill_value=0
                    )
                    np.testing.assert_array_equal(chip[number], expected)
    return len(jobs)


def test_every_chip_of_a_real_pixel_interleaved_scene(shared_data: Path) -> None:
    path = shared_data / "s2_aquileia_2019" / "S2_L2A_aquileia_20190416.tif"
    assert check_chips(bands_of(path, *range(1, 11)), size=256, memory_budget=20_000_000) > 1


def test_every_chip_of_a_real_scene_of_one_file_a_band(shared_data: Path) -> None:
    folder = shared_data / "landsat8_itaipu_2020"
    bands = [
        band
        for number in (2, 3, 4)
        for band in bands_of(folder / f"LC08_L1TP_224078_20200518_20200518_01_RT_B{number}.TIF", 1)
    ]
    assert check_chips(bands, size=64, memory_budget=8_000_000) > 1


def test_every_chip_of_the_bundled_scene(sample: Path) -> None:
    paths = sorted(sample.glob("*.[tT][iI][fF]"))
    if not paths:
        pytest.skip(f"the bundled scene is not at {sample}")
    check_chips([band for path in paths for band in bands_of(path, 1)], size=256, memory_budget=100_000_000)


def test_20_m_bands_and_classes_on_the_10_m_grid_of_a_real_scene(shared_data: Path) -> None:
    folder = shared_data / "s2_29RKH_sahara_2020"
    fine, coarse = bands_of(folder / "B02.tif", 1), bands_of(folder / "B11.tif", 1)
    (classes,) = bands_of(folder / "SCL.tif", 1)
    pixels, mask, _ = whole([*fine, *coarse], classes)
    with (
        rasterio.open(folder / "B02.tif") as b02,
        rasterio.open(folder / "B11.tif") as b11,
        rasterio.open(folder / "SCL.tif") as scl,
    ):
        np.testing.assert_array_equal(pixels[0], b02.read(1))
        # GDAL's own nearest neighbour, and the statement that each 20 m pixel is four 10 m pixels.
        np.testing.assert_array_equal(pixels[1], b11.read(1, out_shape=b02.shape))
        np.testing.assert_array_equal(pixels[1], b11.read(1).repeat(2, axis=0).repeat(2, axis=1))
        np.testing.assert_array_equal(mask, scl.read(1).repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("blocks", [{}, {"tiled": False, "blockysize": 7}, {"tiled": False, "blockysize": 130}])
@pytest.mark.parametrize("size", [32, 50])
def test_every_chip_of_generated_files(tmp_path: Path, interleave: str, blocks: dict[str, Any], size: int) -> None:
    profile = {"interleave": interleave, **blocks}
    if not profile.get("tiled", True):
        profile["blockxsize"] = None
    path = write(tmp_path / "scene.tif", texture(3, 150, 210), **profile)
    assert header_of(path).pixel_interleaved == (interleave == "pixel")
    assert check_chips(bands_of(path, 1, 2, 3), size=size, memory_budget=100_000) > 1


def test_a_scene_smaller_than_a_chip(tmp_path: Path) -> None:
    path = write(tmp_path / "small.tif", texture(2, 40, 33))
    assert check_chips(bands_of(path, 1, 2), size=64, memory_budget=1_000_000) == 1


def test_a_cog_interleaved_by_tile(tmp_path: Path) -> None:
    pixels = texture(3, 600, 600)
    plain = write(tmp_path / "plain.tif", pixels)
    with rasterio.open(plain) as dataset:
        copy(dataset, tmp_path / "tile.tif", driver="COG", INTERLEAVE="TILE", BLOCKSIZE=128, PREDICTOR=2)
    bands = bands_of(tmp_path / "tile.tif", 1, 2, 3)
    assert not bands[0].header.pixel_interleaved
    np.testing.assert_array_equal(whole(bands)[0], pixels)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("order", [(3, 1), (2,), (4, 3, 2, 1), (1, 3)])
def test_bands_come_in_the_order_asked_for(tmp_path: Path, interleave: str, order: tuple[int, ...]) -> None:
    pixels = texture(4, 100, 90)
    path = write(tmp_path / "scene.tif", pixels, interleave=interleave)
    np.testing.assert_array_equal(whole(bands_of(path, *order))[0], pixels[[number - 1 for number in order]])


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_bands_of_several_files_and_types_mix_in_any_order(tmp_path: Path, interleave: str) -> None:
    stack, single = texture(4, 100, 90), texture(1, 100, 90, "uint8")
    many = bands_of(write(tmp_path / "stack.tif", stack, interleave=interleave), 1, 2, 3, 4)
    (other,) = bands_of(write(tmp_path / "single.tif", single), 1)
    pixels, _, _ = whole([many[3], many[0], other, many[1]])
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, np.stack([stack[3], stack[0], single[0], stack[1]]))


def test_floats_with_nan(tmp_path: Path) -> None:
    pixels = texture(2, 70, 70).astype(np.float32) / 7
    pixels[:, 10:20, 30:35] = np.nan
    np.testing.assert_array_equal(whole(bands_of(write(tmp_path / "sar.tif", pixels, nodata=np.nan), 1, 2))[0], pixels)


@pytest.mark.parametrize(
    ("pixel", "shift_x", "shift_y"),
    [(15, 0, 0), (20, 10, -10), (60, 20, -40), (25, -35, 55), (10, 30, -20), (5, 0, 0), (7, 3, 2)],
)
def test_any_scale_and_offset_takes_the_pixel_that_holds_the_centre(
    tmp_path: Path, pixel: int, shift_x: int, shift_y: int
) -> None:
    fine = bands_of(write(tmp_path / "fine.tif", texture(1, 90, 80)), 1)
    a, b, c, d, e, f = TEN_METRES
    other = texture(1, 64, 48)
    transform = (float(pixel), b, c + shift_x, d, -float(pixel), f + shift_y)
    coarse = bands_of(write(tmp_path / "coarse.tif", other, transform=rasterio.Affine(*transform)), 1, nodata=7)
    window = (13, 77, 9, 80)
    read = read_job([*fine, *coarse], None, transform=TEN_METRES, window=window, settings=SETTINGS)
    for row in range(13, 77):
        for col in range(9, 80):
            # Whole metres and half pixels: exact in fractions.
            source_row = floor((Fraction(10 * row + 5) + shift_y) / pixel)
            source_col = floor((Fraction(10 * col + 5) - shift_x) / pixel)
            inside = 0 <= source_row < 64 and 0 <= source_col < 48
            assert read.pixels[1, row - 13, col - 9] == (other[0, source_row, source_col] if inside else 7)
    assert (a, e) == (10.0, -10.0)


@pytest.mark.parametrize(
    ("dtype", "nodata", "expected"),
    [("uint16", None, 0), ("uint16", 65535, 65535), ("uint16", -9999, 0), ("float32", None, np.nan)],
)
def test_outside_a_band_stands_its_nodata(tmp_path: Path, dtype: str, nodata: float | None, expected: float) -> None:
    fine = bands_of(write(tmp_path / "fine.tif", texture(1, 64, 64, dtype)), 1)
    far = rasterio.Affine(20, 0, TEN_METRES[2] + 10_000, 0, -20, TEN_METRES[5])
    away = bands_of(write(tmp_path / "away.tif", texture(1, 32, 32, dtype), transform=far), 1, nodata=nodata)
    pixels, _, decoded = whole([*fine, *away])
    np.testing.assert_array_equal(pixels[1], np.full((64, 64), expected, dtype))
    assert decoded == 1


def bytes_read() -> int:
    """Bytes this process has read by system calls."""
    return int(Path("/proc/self/io").read_text().splitlines()[0].split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts bytes read by /proc/self/io, which is Linux's")
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize(
    "blocks", [{"blockxsize": 128, "blockysize": 128}, {"tiled": False, "blockysize": 64, "blockxsize": None}]
)
def test_each_block_is_fetched_once(tmp_path: Path, interleave: str, blocks: dict[str, Any]) -> None:
    noise = np.random.default_rng(7).integers(0, 60_000, (4, 1024, 1024)).astype(np.uint16)
    path = write(tmp_path / "noise.tif", noise, interleave=interleave, **blocks)
    bands = bands_of(path, 1, 2, 3, 4)
    header = bands[0].header
    window = (100, 900, 60, 700)
    rows = range(100 // header.block_height, 899 // header.block_height + 1)
    cols = range(60 // header.block_width, 699 // header.block_width + 1)
    planes = [1] if interleave == "pixel" else [1, 2, 3, 4]
    with rasterio.open(path) as dataset:
        sizes = [
            int(dataset.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band))
            for band in planes
            for y in rows
            for x in cols
        ]
    read_job(
        bands, None, transform=header.transform, window=window, settings=SETTINGS
    )  # what is imported late is read with the first
    before = bytes_read()
    read = read_job(bands, None, transform=header.transform, window=window, settings=SETTINGS)
    assert sum(sizes) <= bytes_read() - before < 1.02 * sum(sizes)
    assert read.decoded_blocks == len(sizes)
    np.testing.assert_array_equal(read.pixels, noise[:, 100:900, 60:700])
