"""Chips of the shared scenes, read as raw digital numbers in a given band order.

Only what the fit and the evaluation need; the service's own reader is the layer's. Nodata is 0 in every scene here and
stays 0.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

SHARED = Path(os.environ.get("CLAYLINE_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
"""The scenes' folder: beside the checkout, or in $CLAYLINE_SHARED."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One scene: where each band lies."""

    sensor: str
    """Sensor name as in the manifest."""
    bands: dict[str, tuple[str, int]]
    """Band name -> file under the shared folder, band number in it."""
    offset: int = 0
    """Added to every valid DN (processing baseline 04.00 of Sentinel-2: -1000), the result held at 1 or more so that it
    stays valid."""


def _single(folder: str, files: dict[str, str]) -> dict[str, tuple[str, int]]:
    return {band: (f"{folder}/{file}", 1) for band, file in files.items()}


_S2 = {"red": "B04.tif", "green": "B03.tif", "blue": "B02.tif", "nir08": "B8A.tif", "swir16": "B11.tif"}
_RGB = ("red", "green", "blue")
_AQUILEIA = "s2_aquileia_2019/S2_L2A_aquileia_20190416.tif"
_ITAIPU = "LC08_L1TP_{}_20200518_20200518_01_RT_{}.TIF"
_COLOMBIA = "LC08_L2SP_008059_20191201_20200825_02_T1_SR_{}.TIF"
_L8 = {"red": "B4", "green": "B3", "blue": "B2", "nir08": "B5", "swir16": "B6"}

SCENES = {
    "aquileia": Scene(
        sensor="sentinel-2-l2a",
        bands={
            "blue": (_AQUILEIA, 1),
            "green": (_AQUILEIA, 2),
            "red": (_AQUILEIA, 3),
            "nir08": (_AQUILEIA, 8),
            "swir16": (_AQUILEIA, 9),
        },
    ),
    "sahara": Scene(sensor="sentinel-2-l2a", bands=_single("s2_29RKH_sahara_2020", _S2)),
    "ireland": Scene(sensor="sentinel-2-l2a", bands=_single("s2_29UNU_ireland_2022_60m", _S2), offset=-1000),
    "itaipu-077": Scene(
        sensor="landsat-c2l1",
        bands=_single("landsat8_itaipu_2020", {band: _ITAIPU.format("224077", _L8[band]) for band in _RGB}),
    ),
    "itaipu-078": Scene(
        sensor="landsat-c2l1",
        bands=_single("landsat8_itaipu_2020", {band: _ITAIPU.format("224078", _L8[band]) for band in _RGB}),
    ),
    "colombia": Scene(
        sensor="landsat-c2l2-sr",
        bands=_single("landsat8_colombia_2019", {band: _COLOMBIA.format(_L8[band]) for band in _L8}),
    ),
    "naip-2015": Scene(
        sensor="naip",
        bands={
            band: ("naip_north_dakota/m_4709963_se_14_1_20150926.tif", number + 1) for number, band in enumerate(_RGB)
        },
    ),
    "naip-2020": Scene(
        sensor="naip",
        bands={
            band: ("naip_north_dakota/m_4709963_se_14_1_20200831.tif", number + 1) for number, band in enumerate(_RGB)
        },
    ),
}


def read(name: str, bands: tuple[str, ...], shared: Path = SHARED) -> npt.NDArray[np.uint16 | np.uint8]:
    """[C, H, W] digital numbers of a scene on the grid of its first band.

    Coarser bands are repeated (nearest neighbour).
    """
    scene = SCENES[name]
    layers: list[npt.NDArray[np.uint16 | np.uint8]] = []
    for band in bands:
        file, number = scene.bands[band]
        with rasterio.open(shared / file, driver="GTiff") as source:
            layers.append(source.read(number))
    height, width = layers[0].shape
    layers = [
        layer.repeat(height // layer.shape[0], axis=0).repeat(width // layer.shape[1], axis=1) for layer in layers
    ]
    stack = np.stack(layers)
    if scene.offset:
        moved = np.maximum(stack.astype(np.int32) + scene.offset, 1)
        stack = np.where(stack == 0, 0, moved).astype(stack.dtype)
    return stack


def windows(height: int, width: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Row and column offsets of the whole chips of a grid."""
    return [
        (row, column) for row in range(0, height - size + 1, stride) for column in range(0, width - size + 1, stride)
    ]


def chips(
    name: str, bands: tuple[str, ...], *, size: int = 64, stride: int = 64, shared: Path = SHARED
) -> tuple[npt.NDArray[np.uint16 | np.uint8], npt.NDArray[np.int64]]:
    """Chips with any valid pixel, [N, C, size, size], and their offsets, [N, 2]. Valid: not 0 in some band."""
    image = read(name, bands, shared)
    kept, offsets = [], []
    for row, column in windows(image.shape[1], image.shape[2], size, stride):
        chip = image[:, row : row + size, column : column + size]
        if chip.any():
            kept.append(chip)
            offsets.append((row, column))
    return np.stack(kept), np.array(offsets, dtype=np.int64)
