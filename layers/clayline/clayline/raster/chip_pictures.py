"""Chips read back from their imagery, to be looked at, and the picture that they are drawn into as PNG."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import ceil, floor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from clayline.chips.cog import CogSource
from clayline.errors import ClaylineError, DatasetError, SceneError, TransientError
from clayline.likeness.imagery import SceneImagery, ShownBand
from clayline.likeness.sheet import SIDE
from clayline.raster.cog import OpenCog, ReadSettings, network_trouble, open_cog

_MOST_PIXELS: Final = 1 << 26
"""Of a window: a band much finer than the model's would fill memory."""
type Locate = Callable[[str], CogSource]
"""Gives where the imagery of a URI is. Raises ClaylineError for what may not be opened, or is not there."""


def read_chip(
    imagery: SceneImagery, index: int, *, locate: Locate, settings: ReadSettings, side: int = SIDE
) -> NDArray[np.float32]:
    """Read the chip ``index`` [C, side, side], the nearest pixels; NaN is nodata, and what lies beside the file.

    Raises DatasetError and SceneError for what cannot be read, TransientError, and what ``locate`` raises.
    """
    [found] = read_chips(imagery, [index], locate=locate, settings=settings, side=side)
    if isinstance(found, ClaylineError):
        raise found
    return found


def read_chips(
    imagery: SceneImagery, indexes: Sequence[int], *, locate: Locate, settings: ReadSettings, side: int = SIDE
) -> list[NDArray[np.float32] | ClaylineError]:
    """Read chips as ``read_chip`` does, each file opened once; of a chip that cannot be read give why.

    Raises TransientError.
    """

    def of_band(band: ShownBand) -> list[NDArray[np.float32] | ClaylineError]:
        return _band(imagery, band, indexes, locate, settings, side)

    with ThreadPoolExecutor(len(imagery.bands)) as threads:
        bands = list(threads.map(of_band, imagery.bands))
    return [_stacked(each) for each in zip(*bands, strict=True)]


def png(picture: NDArray[np.uint8]) -> bytes:
    """Write a picture [h, w, 3] as PNG."""
    height, width, bands = picture.shape
    with MemoryFile() as memory:
        with memory.open(driver="PNG", width=width, height=height, count=bands, dtype="uint8") as file:
            file.write(picture.transpose(2, 0, 1))
        return bytes(memory.read())


def _stacked(planes: Sequence[NDArray[np.float32] | ClaylineError]) -> NDArray[np.float32] | ClaylineError:
    why = next((plane for plane in planes if isinstance(plane, ClaylineError)), None)
    return why or np.stack([plane for plane in planes if not isinstance(plane, ClaylineError)])


def _band(
    imagery: SceneImagery,
    band: ShownBand,
    indexes: Sequence[int],
    locate: Locate,
    settings: ReadSettings,
    side: int,
) -> list[NDArray[np.float32] | ClaylineError]:
    """Read the chips of one band. What fails is read once more over a new connection: bytes that did not come look
    like a bad file. One thread decodes, so that GDAL's warnings of the network come to this thread's ear.
    """
    alone = replace(settings, threads=1)
    try:
        source = locate(band.uri)
    except TransientError:
        raise
    except ClaylineError as error:
        return [error] * len(indexes)
    found = _opened(imagery, band, indexes, source, alone, side)
    failed = [place for place, each in enumerate(found) if isinstance(each, ClaylineError)]
    if failed:
        again = _opened(imagery, band, [indexes[place] for place in failed], source, alone, side)
        for place, each in zip(failed, again, strict=True):
            found[place] = each
    return found


def _opened(
    imagery: SceneImagery, band: ShownBand, indexes: Sequence[int], source: CogSource, settings: ReadSettings, side: int
) -> list[NDArray[np.float32] | ClaylineError]:
    found: list[NDArray[np.float32] | ClaylineError] = []
    try:
        with open_cog(source, settings) as opened:
            if not 1 <= band.number <= opened.dataset.count:
                msg = f"{source.uri} has no band {band.number}"
                raise DatasetError(msg)
            for index in indexes:
                try:
                    found.append(_read(band, source, opened, imagery.bounds(index), side))
                except DatasetError as error:
                    found.append(error)
    except (DatasetError, SceneError) as error:
        return [error] * len(indexes)
    return found


def _read(
    band: ShownBand, source: CogSource, opened: OpenCog, bounds: tuple[float, float, float, float], side: int
) -> NDArray[np.float32]:
    out, dataset = np.full((side, side), np.nan, np.float32), opened.dataset
    rows, cols = _span(dataset.transform, bounds)
    inside = [_inside(*rows, dataset.height), _inside(*cols, dataset.width)]
    if any(stop <= start for start, stop in inside):
        return out
    (top, bottom), (left, right) = inside
    if (bottom - top) * (right - left) > _MOST_PIXELS:
        msg = f"{source.uri}: a chip of {bottom - top} x {right - left} pixels is too large to be shown"
        raise DatasetError(msg)
    try:
        window = Window(left, top, right - left, bottom - top)
        pixels = dataset.read(band.number, window=window).astype(np.float32)
    except RasterioError as error:
        if opened.watch.network:
            raise network_trouble(source, error) from error
        msg = f"{source.uri}: pixels cannot be read ({error})"
        raise DatasetError(msg) from error
    flipped = dataset.transform.e > 0
    nodata = {*band.nodata, *([float(dataset.nodata)] if dataset.nodata is not None else [])}
    pixels[np.isin(pixels, np.array(sorted(each for each in nodata if np.isfinite(each)), np.float32))] = np.nan
    at_row = np.floor(rows[0] + (np.arange(side) + 0.5) * (rows[1] - rows[0]) / side).astype(int)
    at_col = np.floor(cols[0] + (np.arange(side) + 0.5) * (cols[1] - cols[0]) / side).astype(int)
    if flipped:
        at_row = at_row[::-1]
    there_row, there_col = (at_row >= top) & (at_row < bottom), (at_col >= left) & (at_col < right)
    out[np.ix_(there_row, there_col)] = pixels[np.ix_(at_row[there_row] - top, at_col[there_col] - left)]
    return out


def _span(transform: Any, bounds: tuple[float, float, float, float]) -> tuple[tuple[float, float], tuple[float, float]]:  # noqa: ANN401 - rasterio publishes no types
    """Give the first and last row and column, fractions of pixels among them."""
    left, bottom, right, top = bounds
    rows = sorted((place - transform.f) / transform.e for place in (top, bottom))
    cols = sorted((place - transform.c) / transform.a for place in (left, right))
    return (rows[0], rows[1]), (cols[0], cols[1])


def _inside(start: float, stop: float, length: int) -> tuple[int, int]:
    return max(0, floor(start)), min(length, ceil(stop))
