"""The blocks in which a file holds its pixels: whether they are few and small enough, and all there."""

from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np

from clayline.chips.cog import CogSource
from clayline.errors import SceneError
from clayline.raster.cog import ReadSettings

MAX_SIDE = 200_000
"""Pixels."""
MAX_BANDS = 1_024
MAX_BLOCKS = 2**23
"""Entries of the TIFF's index, all bands together: it is held in memory."""
_BLOCKS_LOOKED_AT = 2**18
_DTYPES = frozenset({"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"})


def check_size(source: CogSource, dataset: Any, settings: ReadSettings) -> None:  # noqa: ANN401 - as in headers
    """Raise SceneError (``unsupported-dtype``, ``too-large``, ``block-too-large``) for what cannot be worked with."""
    width, height, bands, dtype = dataset.width, dataset.height, dataset.count, dataset.dtypes[0]
    if dtype not in _DTYPES:
        target = "Int32" if np.issubdtype(np.dtype(dtype), np.integer) else "Float32"
        msg = (
            f"{source.uri} has pixels of type {dtype}, which no sensor here delivers. Deliver the product's own"
            f" numbers, or convert these: `gdal_translate -of COG -ot {target} IN OUT` (complex ones: the real part)."
        )
        raise SceneError(msg, reason="unsupported-dtype")
    (block_height, block_width), *_ = dataset.block_shapes
    per_block = bands if is_pixel_interleaved(dataset) else 1
    blocks = ceil(height / block_height) * ceil(width / block_width) * (bands // per_block)
    if max(width, height) > MAX_SIDE or bands > MAX_BANDS or blocks > MAX_BLOCKS:
        msg = (
            f"{source.uri} declares {width} x {height} px, {bands} band(s), {blocks} blocks; the limits are {MAX_SIDE}"
            f" px a side, {MAX_BANDS} bands, {MAX_BLOCKS} blocks. Cut the scene into tiles, with blocks of 256 to"
            " 1024 px."
        )
        raise SceneError(msg, reason="too-large")
    block_bytes = block_height * block_width * per_block * np.dtype(dtype).itemsize
    if block_bytes > settings.max_block_bytes:
        msg = (
            f"{source.uri} has blocks of {block_width} x {block_height} px, {block_bytes} bytes decoded, over the limit"
            f" of {settings.max_block_bytes}. Rewrite it as a COG with blocks of 256 to 1024 px."
        )
        raise SceneError(msg, reason="block-too-large")


def is_sparse(source: CogSource, dataset: Any) -> bool:  # noqa: ANN401
    """Say whether blocks are left out.

    Refuse a file whose index points beyond its end, which is what an interrupted upload leaves: SceneError
    (``truncated``).
    """
    sparse = False
    for band, row, col in _places(dataset):
        offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
        size = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band)
        if offset is None or size is None:
            sparse = True
        elif (end := int(offset) + int(size)) > source.size:
            msg = (
                f"{source.uri} is cut off: the block in row {row}, column {col} of band {band} should end at byte"
                f" {end}, the object has {source.size}. Deliver the whole file again."
            )
            raise SceneError(msg, reason="truncated")
    return sparse


def _places(dataset: Any) -> Iterator[tuple[int, int, int]]:  # noqa: ANN401
    """Give (band, block row, block column) of every block.

    Of a huge index, the last block row of each band and an even sample.
    """
    (block_height, block_width), *_ = dataset.block_shapes
    rows, cols = ceil(dataset.height / block_height), ceil(dataset.width / block_width)
    bands = 1 if is_pixel_interleaved(dataset) else dataset.count
    total = rows * cols * bands
    step = ceil(total / _BLOCKS_LOOKED_AT)
    sample = np.arange(0, total, step)
    if step > 1:
        last_rows = (np.arange(1, bands + 1)[:, None] * rows * cols - np.arange(1, cols + 1)).ravel()
        sample = np.union1d(sample, last_rows[:_BLOCKS_LOOKED_AT])
    for number in sample.tolist():
        band, place = divmod(number, rows * cols)
        yield band + 1, *divmod(place, cols)


def is_pixel_interleaved(dataset: Any) -> bool:  # noqa: ANN401
    """Say whether a block holds all bands."""
    return bool(dataset.count > 1 and dataset.profile.get("interleave") == "pixel")
