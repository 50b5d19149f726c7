"""Every way that a GeoTIFF may hold its pixels, against rasterio's own reading of the same window."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window
from tests.raster.geotiffs import SETTINGS, TEN_METRES, bands_of, header_of, local, texture, write
from tests.raster.tiffs import numbers, tiff

from clayline.errors import SceneError
from clayline.raster.directory import look
from clayline.raster.tile import read_job

WINDOW = (37, 170, 50, 181)


def smooth(bands: int, dtype: str) -> NDArray[Any]:
    """Make pixels of which lossy compressions leave something: [bands, 180, 190]."""
    band, row, col = np.ogrid[:bands, :180, :190]
    waves = 0.5 + 0.25 * np.sin(row / 9.0 + band) + 0.25 * np.cos(col / 11.0)
    if dtype == "float32":
        pixels = (waves * 40 - 20).astype(dtype)
        pixels[:, 60:70, 80:95] = np.nan
        return pixels
    lowest = -3000 if dtype == "int16" else 0
    return (lowest + waves * {"uint8": 255, "uint16": 4095, "int16": 30_000}[dtype]).astype(dtype)


def equal_to_rasterio(path: Path) -> NDArray[Any]:
    """Read a window of all bands by both; give it."""
    row0, row1, col0, col1 = WINDOW
    header = header_of(path)
    bands = bands_of(path, *range(1, header.band_count + 1))
    read = read_job(bands, None, transform=TEN_METRES, window=WINDOW, settings=SETTINGS)
    with rasterio.open(path) as dataset:
        expected: NDArray[Any] = dataset.read(window=Window.from_slices((row0, row1), (col0, col1)))
    assert read.pixels.dtype == expected.dtype
    np.testing.assert_array_equal(read.pixels, expected)
    assert read.damaged is None
    return expected


LOSSLESS = ["none", "deflate", "lzw", "zstd", "lzma", "packbits", "lerc", "lerc_deflate", "lerc_zstd"]
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": {},
    "strips": {"tiled": False, "blockxsize": None, "blockysize": 16},
    "one strip a row": {"tiled": False, "blockxsize": None, "blockysize": 1},
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("compress", LOSSLESS)
def test_every_lossless_compression_of_every_type(tmp_path: Path, compress: str, dtype: str) -> None:
    pixels = smooth(3, dtype)
    for interleave in ("pixel", "band"):
        for layout in LAYOUTS.values():
            nodata = {"nodata": np.nan} if dtype == "float32" else {}
            profile = {**layout, **nodata, "interleave": interleave, "compress": compress}
            found = equal_to_rasterio(write(tmp_path / "scene.tif", pixels, **profile))
            np.testing.assert_array_equal(found, pixels[:, WINDOW[0] : WINDOW[1], WINDOW[2] : WINDOW[3]])


@pytest.mark.parametrize(
    "profile",
    [
        {"compress": "jpeg", "photometric": "YCBCR", "interleave": "pixel"},
        {"compress": "jpeg", "photometric": "RGB", "interleave": "pixel"},
        {"compress": "jpeg", "interleave": "band"},
        {"compress": "webp", "interleave": "pixel"},
        {"compress": "webp", "interleave": "pixel", "WEBP_LOSSLESS": "YES"},
        {"compress": "lerc", "MAX_Z_ERROR": 2},
    ],
    ids=["ycbcr", "jpeg", "jpeg by band", "webp", "lossless webp", "lossy lerc"],
)
@pytest.mark.parametrize("tiled", [True, False])
def test_lossy_compressions(tmp_path: Path, profile: dict[str, Any], tiled: bool) -> None:  # noqa: FBT001 - a case
    layout = {} if tiled else LAYOUTS["strips"]
    equal_to_rasterio(write(tmp_path / "scene.tif", smooth(3, "uint8"), **layout, **profile))


@pytest.mark.parametrize(
    ("dtype", "predictor"), [("uint8", 2), ("uint16", 2), ("int16", 2), ("float32", 2), ("float32", 3)]
)
@pytest.mark.parametrize("compress", ["deflate", "lzw", "zstd"])
def test_predictors(tmp_path: Path, dtype: str, predictor: int, compress: str) -> None:
    equal_to_rasterio(write(tmp_path / "scene.tif", smooth(3, dtype), compress=compress, predictor=predictor))


@pytest.mark.parametrize(
    "profile", [{"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}, {"BIGTIFF": "YES", "ENDIANNESS": "BIG"}]
)
def test_big_tiffs_and_both_orders_of_bytes(tmp_path: Path, profile: dict[str, Any]) -> None:
    equal_to_rasterio(write(tmp_path / "scene.tif", smooth(2, "uint16"), **profile))


@pytest.mark.parametrize(("dtype", "bits"), [("uint16", 12), ("uint16", 10), ("uint8", 4)])
def test_fewer_bits_than_the_type_has(tmp_path: Path, dtype: str, bits: int) -> None:
    equal_to_rasterio(write(tmp_path / "scene.tif", smooth(2, dtype) % (2**bits), NBITS=bits))


def test_overviews_in_the_file_are_not_read(tmp_path: Path) -> None:
    """Not even for a grid of twice the pixel, for which GDAL would take them."""
    pixels = smooth(1, "uint16")
    path = write(tmp_path / "scene.tif", pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.average)
    np.testing.assert_array_equal(equal_to_rasterio(path), pixels[:, 37:170, 50:181])
    a, b, c, d, e, f = TEN_METRES
    read = read_job(
        bands_of(path, 1), None, transform=(2 * a, b, c, d, 2 * e, f), window=(0, 90, 0, 95), settings=SETTINGS
    )
    np.testing.assert_array_equal(read.pixels[0], pixels[0, 1::2, 1::2])


@pytest.mark.parametrize("photometric", ["MINISWHITE", "PALETTE", "MINISBLACK"])
def test_colours_are_told_from_numbers(tmp_path: Path, photometric: str) -> None:
    path = tmp_path / "scene.tif"
    write(path, texture(1, 64, 64, "uint8"), photometric=photometric)
    if photometric == "PALETTE":
        with rasterio.open(path, "r+") as dataset:
            dataset.write_colormap(1, {value: (value, 0, 0, 255) for value in range(256)})
            assert dataset.colorinterp == (ColorInterp.palette,)
    assert header_of(path).colours == (photometric != "MINISBLACK")


@pytest.mark.parametrize("beginning", [b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", b"\xff\x4f\xff\x51\0\x29"])
def test_a_jpeg_2000_image_by_the_name_of_a_tiff(tmp_path: Path, beginning: bytes) -> None:
    (tmp_path / "T29UNU_B04.tif").write_bytes(beginning + bytes(500))
    with pytest.raises(SceneError) as caught:
        look(local(tmp_path / "T29UNU_B04.tif"), None)
    assert caught.value.reason == "jpeg2000"
    assert "gdal_translate" in caught.value.message


@pytest.mark.parametrize("compression", [34_712, 33_003, 33_005])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_compressed_by_jpeg_2000(tmp_path: Path, compression: int, order: str) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(tiff(order, extra=({259: numbers(order, 3, compression)},)))
    with pytest.raises(SceneError) as caught:
        look(local(path), None)
    assert caught.value.reason == "jpeg2000"


@pytest.mark.parametrize(
    ("dtype", "readable"),
    [("int8", True), ("uint32", True), ("int32", True), ("float64", True), ("complex64", False), ("uint64", False)],
)
def test_other_types_are_read_or_refused_with_the_remedy(
    tmp_path: Path,
    dtype: str,
    readable: bool,  # noqa: FBT001 - a case
) -> None:
    """Whether a model takes them is another question."""
    path = write(tmp_path / "scene.tif", texture(1, 180, 190, "uint8").astype(dtype))
    if readable:
        equal_to_rasterio(path)
        return
    with pytest.raises(SceneError) as caught:
        header_of(path)
    assert caught.value.reason == "unsupported-dtype"
    target = "Int32" if dtype == "uint64" else "Float32"  # whole numbers stay such: floats would be reflectances
    assert f"gdal_translate -of COG -ot {target}" in caught.value.message
