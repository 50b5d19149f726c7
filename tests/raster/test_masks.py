"""What files say beside their bands of where there are values: alpha bands and masks, against rasterio."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from tests.raster.geotiffs import SETTINGS, TEN_METRES, bands_of, header_of, local, texture, write

from clayline.chips.cog import CogHeader
from clayline.errors import SceneError
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import read_header
from clayline.raster.part import BandSource
from clayline.raster.tile import TilePixels, read_job

HEIGHT, WIDTH = 250, 210
BLOCKS = {"blockxsize": 64, "blockysize": 32}
WINDOWS = [(0, HEIGHT, 0, WIDTH), (31, 70, 63, 129), (249, 250, 0, 210)]


def holes(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """Make a mask [height, width] that is 0 in scattered places, and all over some blocks."""
    mask = np.full((height, width), 255, np.uint8)
    mask[::7, ::5] = 0
    mask[40:90, 100:] = 0
    return mask


def masked(path: Path, pixels: NDArray[Any], mask: NDArray[np.uint8], **profile: Any) -> Path:
    """Write a file that carries a mask of its own."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write(path, pixels, **{**BLOCKS, **profile})
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
    assert not path.with_name(f"{path.name}.msk").exists()
    return path


def of_mask(path: Path, band: int = 1) -> BandSource:
    """Name a file's own mask."""
    header = header_of(path)
    assert header.mask is not None
    return BandSource(
        name="mask",
        source=local(path),
        header=header.of_mask(),
        band=band,
        nodata=None,
        directory=header.mask.directory,
    )


def of_alpha(path: Path) -> BandSource:
    """Name a file's alpha band."""
    header = header_of(path)
    assert header.alpha is not None
    return BandSource(name="alpha", source=local(path), header=header, band=header.alpha, nodata=None)


def read(
    bands: list[BandSource], validity: list[BandSource], window: tuple[int, int, int, int] = WINDOWS[0]
) -> TilePixels:
    return read_job(bands, None, validity=validity, transform=TEN_METRES, window=window, settings=SETTINGS)


def by_rasterio(path: Path, window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    row0, row1, col0, col1 = window
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read_masks(1)[row0:row1, col0:col1] == 0)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("compress", ["deflate", "lzw", None])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_a_mask_that_a_file_carries(
    tmp_path: Path, window: tuple[int, int, int, int], compress: str | None, interleave: str
) -> None:
    pixels = texture(3, HEIGHT, WIDTH)
    path = masked(tmp_path / "scene.tif", pixels, holes(), compress=compress, interleave=interleave)
    result = read(bands_of(path, 3, 1), [of_mask(path)], window)
    row0, row1, col0, col1 = window
    assert result.masked is not None
    np.testing.assert_array_equal(result.masked, by_rasterio(path, window))
    np.testing.assert_array_equal(result.masked, holes()[row0:row1, col0:col1] == 0)
    np.testing.assert_array_equal(result.pixels, pixels[[2, 0], row0:row1, col0:col1])
    assert result.damaged is None


def test_a_mask_beside_nodata_is_the_mask_and_not_gdals_view_of_nodata(tmp_path: Path) -> None:
    pixels = texture(1, HEIGHT, WIDTH)
    pixels[0, 100:] = 7
    path = masked(tmp_path / "scene.tif", pixels, holes(), nodata=7)
    result = read(bands_of(path, 1), [of_mask(path)])
    np.testing.assert_array_equal(result.masked, holes() == 0)
    plain = header_of(write(tmp_path / "plain.tif", pixels, nodata=7))
    assert (plain.mask, plain.alpha) == (None, None)


def test_a_mask_behind_overviews_and_a_cogs(tmp_path: Path) -> None:
    pixels = texture(2, HEIGHT, WIDTH)
    path = write(tmp_path / "late.tif", pixels, **BLOCKS)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4])
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(holes())
    cog = tmp_path / "cog.tif"
    rasterio.shutil.copy(path, cog, driver="COG", blocksize=128)
    for each in (path, cog):
        np.testing.assert_array_equal(read(bands_of(each, 1, 2), [of_mask(each)]).masked, holes() == 0)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_an_alpha_band(
    tmp_path: Path, window: tuple[int, int, int, int], nodata: int | None, dtype: str, interleave: str
) -> None:
    """Beside nodata GDAL hides it; we do not."""
    alpha = holes().astype(dtype)
    alpha[0, 1] = 1  # nearly nothing is not nothing
    pixels = np.concatenate([texture(3, HEIGHT, WIDTH, dtype), alpha[None]])
    path = write(
        tmp_path / "rgba.tif", pixels, photometric="RGB", alpha="YES", nodata=nodata, interleave=interleave, **BLOCKS
    )
    bands = bands_of(path, 1, 2, 3)
    result = read(bands, [of_alpha(path)], window)
    row0, row1, col0, col1 = window
    np.testing.assert_array_equal(result.masked, alpha[row0:row1, col0:col1] == 0)
    np.testing.assert_array_equal(result.pixels, pixels[:3, row0:row1, col0:col1])
    if nodata is None:
        np.testing.assert_array_equal(result.masked, by_rasterio(path, window))
    alone = read(bands, [], window)
    if interleave == "pixel":
        assert result.decoded_blocks == alone.decoded_blocks  # alpha lies in the same blocks


@pytest.mark.parametrize(("shift_x", "shift_y"), [(0, 0), (10, -10), (-35, 55)])
def test_the_mask_of_a_coarser_band_lies_as_the_band_lies(tmp_path: Path, shift_x: int, shift_y: int) -> None:
    """The oracle: a coarser band that holds the mask's own numbers, read by the rule for bands."""
    a, b, c, d, e, f = TEN_METRES
    transform = rasterio.Affine(2 * a, b, c + shift_x, d, 2 * e, f + shift_y)
    mask = holes(160, 140)
    fine = write(tmp_path / "fine.tif", texture(1, HEIGHT, WIDTH))
    coarse = masked(tmp_path / "coarse.tif", texture(1, 160, 140), mask, transform=transform)
    numbers = write(tmp_path / "numbers.tif", mask[None].astype(np.uint16), transform=transform)
    expected = read([*bands_of(fine, 1), *bands_of(numbers, 1)], []).pixels[1]
    result = read([*bands_of(fine, 1), *bands_of(coarse, 1)], [of_mask(coarse)])
    np.testing.assert_array_equal(result.masked, expected == 0)


def test_where_a_file_has_no_pixel_there_is_no_value(tmp_path: Path) -> None:
    """0 stands there, which is a number to a file without nodata."""
    a, b, c, d, e, f = TEN_METRES
    fine = write(tmp_path / "fine.tif", texture(1, HEIGHT, WIDTH))
    part = write(tmp_path / "part.tif", texture(1, 100, 80), transform=rasterio.Affine(a, b, c + 50 * a, d, e, f))
    outside = np.ones((HEIGHT, WIDTH), np.bool_)
    outside[:100, 50:130] = False
    result = read([*bands_of(fine, 1), *bands_of(part, 1)], [])
    np.testing.assert_array_equal(result.masked, outside)
    assert (result.pixels[1][outside] == 0).all()


def test_a_damaged_block_of_a_mask_spoils_its_place_alone(tmp_path: Path) -> None:
    path = masked(tmp_path / "scene.tif", texture(2, HEIGHT, WIDTH), holes())
    mask = of_mask(path)
    with rasterio.open(f"GTIFF_DIR:{mask.directory}:{path}") as dataset:
        offset, size = (int(dataset.get_tag_item(f"BLOCK_{what}_1_2", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)
    result = read(bands_of(path, 1, 2), [mask])
    damaged = np.zeros((HEIGHT, WIDTH), np.bool_)
    damaged[64:96, 64:128] = True
    np.testing.assert_array_equal(result.damaged, damaged)
    assert result.masked is not None
    np.testing.assert_array_equal(result.masked[~damaged], (holes() == 0)[~damaged])


def test_blocks_of_a_mask_that_are_too_large(tmp_path: Path) -> None:
    path = masked(tmp_path / "scene.tif", texture(1, HEIGHT, WIDTH, "uint8"), holes())
    assert isinstance(read_header(local(path), ReadSettings(max_block_bytes=2048)), CogHeader)
    with pytest.raises(SceneError) as caught:
        read_header(local(path), ReadSettings(max_block_bytes=2047))
    assert caught.value.reason == "block-too-large"


def test_a_mask_that_cannot_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = masked(tmp_path / "scene.tif", texture(1, HEIGHT, WIDTH), holes())
    monkeypatch.setattr("clayline.raster.headers._MAX_DIRECTORIES", 1)
    with pytest.raises(SceneError) as caught:
        header_of(path)
    assert caught.value.reason == "unusable-mask"


def test_a_south_up_files_mask_is_turned_round_with_it(tmp_path: Path) -> None:
    """And what lies outside of a file that covers the window in part."""
    pixels = texture(2, HEIGHT, WIDTH)
    a, b, c, d, e, f = TEN_METRES
    up = (a, b, c, d, -e, f + e * HEIGHT)
    path = masked(tmp_path / "scene.tif", pixels[:, ::-1], holes()[::-1], transform=up)
    result = read(bands_of(path, 1, 2), [of_mask(path)], (5, HEIGHT, 3, WIDTH))
    np.testing.assert_array_equal(result.pixels, pixels[:, 5:, 3:])
    np.testing.assert_array_equal(result.masked, holes()[5:, 3:] == 0)
    path = write(tmp_path / "part.tif", pixels[:, 50:][:, ::-1], transform=up)
    result = read(bands_of(path, 1), [], (0, HEIGHT, 0, WIDTH))
    assert result.masked is not None
    assert result.masked[:50].all()
    assert not result.masked[50:].any()
