"""Files with a damaged block: what touches it is named, all else is as rasterio reads it from the undamaged file."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window
from tests.raster.geotiffs import SETTINGS, TEN_METRES, bands_of, spoil, texture, write

from clayline.chips.chip import cut, touched
from clayline.chips.grid import ChipGrid
from clayline.errors import BatchError
from clayline.raster.cog import open_cog
from clayline.raster.part import Area, BandSource, FilePart
from clayline.raster.tile import TilePixels, read_job

HEIGHT, WIDTH = 250, 210
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": {"blockxsize": 64, "blockysize": 32},
    "strips": {"tiled": False, "blockxsize": None, "blockysize": 16},
    "one row strips": {"tiled": False, "blockxsize": None, "blockysize": 1},
}
CODECS: dict[str, dict[str, Any]] = {
    "deflate": {"compress": "deflate"},
    "deflate, predictor": {"compress": "deflate", "predictor": 2},
    "lzw": {"compress": "lzw"},
    "lzw, predictor": {"compress": "lzw", "predictor": 2},
    "zstd": {"compress": "zstd"},
    "zstd, predictor": {"compress": "zstd", "predictor": 2},
}


@pytest.fixture
def short_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of a test be read in many stripes, as large ones are."""
    monkeypatch.setattr("clayline.raster.part._STRIPE_BYTES", 60_000)


def read(
    bands: list[BandSource], mask: BandSource | None = None, window: tuple[int, int, int, int] = (0, HEIGHT, 0, WIDTH)
) -> TilePixels:
    return read_job(bands, mask, transform=TEN_METRES, window=window, settings=SETTINGS)


def block_pixels(row: int, col: int, layout: dict[str, Any]) -> NDArray[np.bool_]:
    """Mark a block's pixels."""
    height, width = layout["blockysize"], layout["blockxsize"] or WIDTH
    marked = np.zeros((HEIGHT, WIDTH), np.bool_)
    marked[row * height : (row + 1) * height, col * width : (col + 1) * width] = True
    return marked


@pytest.mark.usefixtures("short_stripes")
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", CODECS)
def test_all_chips_but_those_that_touch_a_damaged_block(
    tmp_path: Path, codec: str, layout: str, interleave: str
) -> None:
    sound = write(
        tmp_path / "sound.tif", texture(3, HEIGHT, WIDTH), interleave=interleave, **CODECS[codec], **LAYOUTS[layout]
    )
    path = Path(shutil.copy(sound, tmp_path / "scene.tif"))
    tiled = layout == "tiles"
    # one in the first stripe, two neighbours of other bands later, one that the scene's corner cuts
    last_row = (HEIGHT - 1) // LAYOUTS[layout]["blockysize"]
    places = (
        [(0, 1, 1), (4, 2, 2), (4, 1, 3), (last_row, 3, 1)]
        if tiled
        else [(0, 0, 1), (8, 0, 2), (9, 0, 3), (last_row, 0, 1)]
    )
    for row, col, band in places:
        spoil(path, row=row, col=col, band=band if interleave == "band" else 1)
    result = read(bands_of(path, 3, 1, 2))
    damaged = np.logical_or.reduce([block_pixels(row, col, LAYOUTS[layout]) for row, col, _ in places])
    np.testing.assert_array_equal(result.damaged, damaged)
    assert result.decoded_blocks == read(bands_of(sound, 3, 1, 2)).decoded_blocks
    grid = ChipGrid(height=HEIGHT, width=WIDTH, size=25)
    windows = [grid.window(index) for index in range(grid.rows * grid.cols)]
    lost = touched(result.damaged, windows, origin=(0, 0))
    assert 0 < sum(lost) < len(windows)
    with rasterio.open(sound) as dataset:
        for chip, place, is_lost in zip(cut(result.pixels, windows, origin=(0, 0), fill=0), windows, lost, strict=True):
            assert is_lost == damaged[place.row : place.row + 25, place.col : place.col + 25].any()
            if not is_lost:
                expected = dataset.read(
                    [3, 1, 2], window=Window(place.col, place.row, 25, 25), boundless=True, fill_value=0
                )
                np.testing.assert_array_equal(chip, expected)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize(
    "window", [(0, 64, 0, 64), (32, 64, 0, 200), (40, 41, 70, 71), (31, 70, 63, 129), (64, 250, 0, 210)]
)
def test_a_job_sees_the_damage_inside_its_window(
    tmp_path: Path, window: tuple[int, int, int, int], interleave: str
) -> None:
    pixels = texture(2, HEIGHT, WIDTH)
    path = write(tmp_path / "scene.tif", pixels, interleave=interleave, nodata=7, **LAYOUTS["tiles"])
    spoil(path, row=1, col=1, band=2 if interleave == "band" else 1)
    row0, row1, col0, col1 = window
    damaged = block_pixels(1, 1, LAYOUTS["tiles"])[row0:row1, col0:col1]
    result = read(bands_of(path, 1, 2), window=window)
    assert (result.damaged is not None) == damaged.any()
    np.testing.assert_array_equal(result.pixels[:, ~damaged], pixels[:, row0:row1, col0:col1][:, ~damaged])
    assert (result.pixels[1, damaged] == 7).all()


def test_a_damaged_band_that_is_not_asked_for(tmp_path: Path) -> None:
    path = spoil(write(tmp_path / "scene.tif", texture(3, HEIGHT, WIDTH), interleave="band"), row=0, col=0, band=2)
    assert read(bands_of(path, 1, 3)).damaged is None


@pytest.mark.parametrize(("shift_x", "shift_y"), [(0, 0), (10, -10), (-35, 55)])
def test_a_damaged_block_of_a_coarser_band(tmp_path: Path, shift_x: int, shift_y: int) -> None:
    """Its place on the finest grid is found by telling blocks apart by their values, in GDAL's own nearest
    neighbour.
    """
    fine = texture(1, HEIGHT, WIDTH)
    a, b, c, d, e, f = TEN_METRES
    transform = rasterio.Affine(2 * a, b, c + shift_x, d, 2 * e, f + shift_y)
    rows, cols = np.ogrid[:160, :140]
    number = (rows // 32 * 10 + cols // 16 + 1).astype(np.uint16)[None]
    layout = {"blockxsize": 16, "blockysize": 32, "transform": transform, "nodata": 0}
    numbered, coarse = (
        write(tmp_path / "numbers.tif", number, **layout),
        write(tmp_path / "coarse.tif", texture(1, 160, 140), **layout),
    )
    sound = Path(shutil.copy(coarse, tmp_path / "sound.tif"))
    spoil(coarse, row=2, col=3)
    bands = bands_of(write(tmp_path / "fine.tif", fine), 1)
    result = read([*bands, *bands_of(coarse, 1)])
    damaged = read([*bands, *bands_of(numbered, 1)]).pixels[1] == 24
    assert damaged.any()
    np.testing.assert_array_equal(result.damaged, damaged)
    np.testing.assert_array_equal(result.pixels[0], fine[0])
    whole = read([*bands, *bands_of(sound, 1)]).pixels[1]
    np.testing.assert_array_equal(result.pixels[1, ~damaged], whole[~damaged])
    if not (shift_x or shift_y):
        with rasterio.open(sound) as dataset:
            oracle = dataset.read(1).repeat(2, axis=0).repeat(2, axis=1)[:HEIGHT, :WIDTH]
        np.testing.assert_array_equal(damaged, block_pixels(2, 3, {"blockysize": 64, "blockxsize": 32}))
        np.testing.assert_array_equal(result.pixels[1, ~damaged], oracle[~damaged])


def test_damaged_scene_classes(tmp_path: Path) -> None:
    pixels = texture(1, HEIGHT, WIDTH)
    transform = rasterio.Affine(20.0, 0, TEN_METRES[2], 0, -20.0, TEN_METRES[5])
    classes = write(
        tmp_path / "scl.tif", texture(1, 125, 105, "uint8"), transform=transform, blockxsize=32, blockysize=32
    )
    (mask,) = bands_of(spoil(classes, row=1, col=2), 1)
    result = read(bands_of(write(tmp_path / "scene.tif", pixels), 1), mask)
    np.testing.assert_array_equal(result.damaged, block_pixels(1, 2, {"blockysize": 64, "blockxsize": 64}))
    np.testing.assert_array_equal(result.pixels, pixels)


def test_every_block_damaged(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", texture(1, HEIGHT, WIDTH))
    for row in range(4):
        for col in range(4):
            spoil(path, row=row, col=col)
    result = read(bands_of(path, 1))
    assert result.damaged is not None
    assert result.damaged.all()


def test_an_index_that_leaves_out_blocks_of_a_file_that_has_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a huge index plan looks at a part; here at so little that it misses the gap, which would read as nodata."""
    path, pixels = tmp_path / "scene.tif", texture(1, HEIGHT, WIDTH)
    pixels[0, 64:128, 128:192] = 0
    write(path, pixels, nodata=0, SPARSE_OK=True)
    monkeypatch.setattr("clayline.raster.blocks._BLOCKS_LOOKED_AT", 2)
    bands = bands_of(path, 1)
    assert not bands[0].header.sparse
    damaged = block_pixels(1, 2, {"blockysize": 64, "blockxsize": 64})
    result = read(bands)
    np.testing.assert_array_equal(result.damaged, damaged)
    np.testing.assert_array_equal(result.pixels, pixels)
    sparse = [replace(band, header=replace(band.header, sparse=True)) for band in bands]
    assert read(sparse).damaged is None


class Reads:
    """Counts what is opened and read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.opened = 0
        self.areas: list[Area] = []
        through, opening = FilePart.read, open_cog

        def count(part: FilePart, dataset: Any, area: Area) -> None:
            self.areas.append(area)
            through(part, dataset, area)

        def count_opened(*args: Any, **kwargs: Any) -> Any:
            self.opened += 1
            return opening(*args, **kwargs)

        patch.setattr(FilePart, "read", count)
        patch.setattr("clayline.raster.damage.open_cog", count_opened)


@pytest.mark.usefixtures("short_stripes")
@pytest.mark.parametrize("spoiled", [0, 1, 3])
def test_damage_costs_a_look_at_its_block_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoiled: int) -> None:
    path = write(tmp_path / "scene.tif", texture(1, HEIGHT, WIDTH), blockxsize=16, blockysize=16)
    bands = bands_of(path, 1)
    for col in range(spoiled):
        spoil(path, row=7, col=4 * col)
    reads = Reads(monkeypatch)
    read(bands)
    stripes, stripe_rows, row_blocks = 2, 8, 14
    if not spoiled:
        assert (reads.opened, len(reads.areas)) == (1, stripes)
        return
    first_attempt = 1
    assert reads.opened == 3
    assert len(reads.areas) == first_attempt + stripes + stripe_rows + row_blocks + spoiled


def test_a_file_that_does_not_open_any_more_is_no_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", texture(1, HEIGHT, WIDTH))
    bands = bands_of(path, 1)
    path.write_bytes(b"no TIFF any more")
    with pytest.raises(BatchError) as caught:
        read(bands)
    assert caught.value.reason == "not-a-geotiff"
