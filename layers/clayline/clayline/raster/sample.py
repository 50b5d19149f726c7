"""A look at a file's pixels: some blocks spread over it, before anything is paid for the rest."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from clayline.chips.cog import CogHeader, CogSource
from clayline.raster.cog import ReadSettings, network_trouble, open_cog

BLOCKS = 3
"""That differ within, and so hold more than nodata."""
TRIED = 9
_PIXELS_OF_A_BLOCK = 2**16
_AT = (1 / 2, 1 / 6, 5 / 6)
"""Shares of height and width."""


def read_sample(source: CogSource, header: CogHeader, bands: Sequence[int], settings: ReadSettings) -> NDArray[Any]:
    """Read some of the pixels of ``bands`` (1-based) as the file has them: [C, n], of equal places in each.

    At most ``TRIED`` blocks, from the centre outwards, until ``BLOCKS`` of them hold different numbers; at most 65,536
    pixels of each, evenly spread over it. A block that cannot be decoded is passed over. Raises SceneError and
    TransientError as opening does.
    """
    found: list[NDArray[Any]] = []
    varied = 0
    with open_cog(source, settings, placed=False) as opened:
        for window in _windows(header):
            try:
                block = opened.dataset.read(list(bands), window=window).reshape(len(bands), -1)
            except RasterioIOError as error:
                if opened.watch.network:
                    raise network_trouble(source, error.__cause__ or error) from error
                continue
            found.append(block[:, :: ceil(block.shape[1] / _PIXELS_OF_A_BLOCK)])
            varied += bool((block != block[:, :1]).any())
            if varied == BLOCKS:
                break
    return np.concatenate(found, axis=1) if found else np.empty((len(bands), 0), header.dtype)


def _windows(header: CogHeader) -> Iterator[Window]:
    """Give blocks' windows, those at the centre first, each once."""
    height, width = header.block_height, header.block_width
    rows, cols = ceil(header.height / height), ceil(header.width / width)
    places = [(int(rows * down), int(cols * across)) for down in _AT for across in _AT]
    for row, col in list(dict.fromkeys(places))[:TRIED]:
        top, left = row * height, col * width
        yield Window(left, top, min(width, header.width - left), min(height, header.height - top))
