"""Small scenes for the chain's tests: windows of the bundled real scene, as COGs with an Item."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.windows import Window

BANDS = {"blue": "B2", "green": "B3", "red": "B4"}


def crop(path: Path, *, row: int, col: int, height: int, width: int) -> bytes:
    """Cut a window of a COG into a tiled GeoTIFF of its own."""
    with rasterio.open(path) as dataset:
        window = Window(col, row, width, height)
        return geotiff(
            dataset.read(window=window),
            crs=dataset.crs,
            transform=dataset.window_transform(window),
            nodata=dataset.nodata,
        )


def geotiff(
    pixels: NDArray[Any],
    *,
    crs: Any,
    transform: Any,
    nodata: float | None,
    names: tuple[str, ...] = (),
    shown: tuple[str, ...] = (),
    **said: Any,
) -> bytes:
    """Write [C, h, w] as a tiled, deflated GeoTIFF, whose bands say ``scales``, ``offsets`` and ``units`` and are
    ``shown`` as red, green, ...
    """
    profile = {
        "driver": "GTiff", "count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2],
        "dtype": pixels.dtype.name,
        "crs": crs, "transform": transform, "nodata": nodata, "tiled": True, "blockxsize": 64, "blockysize": 64,
        "compress": "deflate",
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            if shown:
                dataset.colorinterp = [ColorInterp[colour] for colour in shown]
            dataset.write(pixels)
            for number, name in enumerate(names, start=1):
                dataset.set_band_description(number, name)
            for name, value in said.items():
                setattr(dataset, name, (value,) * len(pixels))
        return io.BytesIO(memory.read()).getvalue()


def landsat(
    sample: Path, *, folder: str = "scene", row: int = 200, col: int = 900, height: int = 150, width: int = 200
) -> dict[str, bytes]:
    """Give a small Landsat scene, key by key, the Item last. At the default place a part of it is nodata."""
    item = json.loads(next(sample.glob("*.json")).read_bytes())
    files = {
        f"{folder}/{band}.tif": crop(sample / f"{band}.tif", row=row, col=col, height=height, width=width)
        for band in BANDS.values()
    }
    return {**files, f"{folder}/item.json": json.dumps(item).encode()}


def utm_grid(*, origin: tuple[float, float] = (399960.0, 5000040.0), gsd: float = 10.0) -> Any:
    """Give a north-up transform."""
    return rasterio.Affine(gsd, 0, origin[0], 0, -gsd, origin[1])


def noise(*, bands: int, height: int, width: int, seed: int = 7) -> NDArray[np.uint16]:
    """Give digital numbers that differ everywhere."""
    return np.random.default_rng(seed).integers(500, 9000, (bands, height, width), dtype=np.uint16)
