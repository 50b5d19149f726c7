"""A look at some pixels: which blocks, and that they are the file's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from clayline.chips.cog import CogSource
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import read_header
from clayline.raster.sample import read_sample

SETTINGS = ReadSettings()


def written(path: Path, pixels: NDArray[Any], **profile: Any) -> CogSource:
    transform = rasterio.Affine(10, 0, 400_000, 0, -10, 5_000_000)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(pixels), height=pixels.shape[1], width=pixels.shape[2],
        dtype=pixels.dtype, crs="EPSG:32633", transform=transform, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    return CogSource(path=str(path), uri=str(path), size=path.stat().st_size)


def sample(source: CogSource, *bands: int) -> NDArray[Any]:
    return read_sample(source, read_header(source, SETTINGS), bands, SETTINGS)


TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}


@pytest.mark.parametrize(
    ("profile", "blocks"),
    [
        (TILED, [(2, 3), (2, 1), (2, 5)]),
        ({**TILED, "interleave": "pixel"}, [(2, 3), (2, 1), (2, 5)]),
        ({"blockysize": 16}, [(6, 0), (2, 0), (10, 0)]),
    ],
)
def test_three_blocks_from_the_centre_outwards(
    tmp_path: Path, profile: dict[str, Any], blocks: list[tuple[int, int]]
) -> None:
    """Each pixel says where it is: those of all bands are of the same places."""
    places = np.arange(1, 200 * 390 + 1, dtype=np.uint32).reshape(200, 390)
    source = written(tmp_path / "a.tif", np.stack([places, places + 100_000, places + 200_000]), **profile)
    height, width = (64, 64) if "tiled" in profile else (16, 390)
    expected = [
        places[row * height : (row + 1) * height, col * width : (col + 1) * width].ravel() for row, col in blocks
    ]
    found = sample(source, 3, 1)
    assert np.array_equal(found[1], np.concatenate(expected))
    assert np.array_equal(found[0], found[1] + 200_000)


def test_blocks_of_nodata_are_passed_over(tmp_path: Path) -> None:
    pixels = np.zeros((1, 640, 640), np.uint16)
    pixels[0, -64:, -64:] = np.arange(4096, dtype=np.uint16).reshape(64, 64) + 1
    pixels[0, 530:560, 530:560] = 7
    found = sample(written(tmp_path / "a.tif", pixels, nodata=0, **TILED), 1)
    assert set(found[0].tolist()) == {0, 7}
    assert found.shape[1] == 9 * 64 * 64


def test_a_large_block_gives_pixels_spread_over_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 9, (1, 1024, 1024), np.uint16)
    found = sample(written(tmp_path / "a.tif", pixels, tiled=True, blockxsize=1024, blockysize=1024), 1)
    assert np.array_equal(found[0], pixels.ravel()[::16])


def test_a_small_file_is_seen_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 9, (2, 30, 50), np.uint16)
    assert np.array_equal(sample(written(tmp_path / "a.tif", pixels, **TILED), 1, 2), pixels.reshape(2, -1))


def test_a_block_that_cannot_be_decoded_is_passed_over(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 9000, (1, 192, 192), np.uint16)
    source = written(tmp_path / "a.tif", pixels, compress="deflate", **TILED)
    with rasterio.open(source.path) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    body = bytearray(Path(source.path).read_bytes())
    body[start : start + 64] = b"\xff" * 64
    Path(source.path).write_bytes(bytes(body))
    blocks = [(1, 0), (1, 2), (0, 1)]
    expected = [pixels[0, row * 64 : row * 64 + 64, col * 64 : col * 64 + 64].ravel() for row, col in blocks]
    assert np.array_equal(sample(source, 1)[0], np.concatenate(expected))
