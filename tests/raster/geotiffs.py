"""GeoTIFFs made for a test, and how the reader is told of them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from clayline.chips.cog import Affine, CogHeader, CogSource
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import read_header
from clayline.raster.part import BandSource

TEN_METRES: Affine = (10.0, 0.0, 600_000.0, 0.0, -10.0, 5_000_000.0)
SETTINGS = ReadSettings()


def texture(bands: int, height: int, width: int, dtype: str = "uint16") -> NDArray[Any]:
    """Make pixels [bands, height, width], of which none equals its neighbours or the same place in another band."""
    band, row, col = np.ogrid[:bands, :height, :width]
    pixels: NDArray[Any] = ((row * 977 + col * 31 + band * 4409) % (251 if dtype == "uint8" else 40_009) + 1).astype(
        dtype
    )
    return pixels


def write(path: Path, pixels: NDArray[Any], **profile: Any) -> Path:
    """Write pixels [bands, height, width] in UTM zone 29N at 10 m, tiled 64 px and deflated, unless ``profile`` says
    otherwise.
    """
    count, height, width = pixels.shape
    given = {
        "crs": "EPSG:32629",
        "transform": TEN_METRES,
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "compress": "deflate",
        **profile,
    }
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype, **given
    ) as dataset:
        dataset.write(pixels)
    return path


def local(path: Path) -> CogSource:
    """Tell the reader of a file on this machine."""
    return CogSource(path=str(path), uri=f"file://{path}", size=path.stat().st_size)


def header_of(path: Path) -> CogHeader:
    """Read a file's header."""
    return read_header(local(path), SETTINGS)


def bands_of(path: Path, *numbers: int, nodata: float | None = None) -> list[BandSource]:
    """Name bands of one file."""
    header = header_of(path)
    return [
        BandSource(
            name=f"{path.stem}-{number}",
            source=local(path),
            header=header,
            band=number,
            nodata=nodata if nodata is not None else header.nodata,
        )
        for number in numbers
    ]


def spoil(path: Path, *, row: int, col: int, band: int = 1) -> Path:
    """Overwrite what lies in one block by bytes that are nothing in any compression."""
    with rasterio.open(path) as dataset:
        offset, size = (
            int(dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band)) for what in ("OFFSET", "SIZE")
        )
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)
    return path
