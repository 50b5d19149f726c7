"""What reading windows of a scene will take, by the files' own block indexes. No pixel is decoded."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clayline.chips.cog import Affine
from clayline.chips.reading import Reading, reading_of
from clayline.raster.cog import ReadSettings, open_cog
from clayline.raster.part import BandSource, FilePart
from clayline.raster.tile import PixelWindow, lay_part

MOST_LOOKED_UP = 2**20
"""Blocks of all windows together: each is a look into an index."""


def readings(
    files: Sequence[Sequence[BandSource]],
    *,
    transform: Affine,
    windows: Sequence[PixelWindow],
    settings: ReadSettings,
) -> list[Reading] | None:
    """Give for each window of the finest grid, whose transform is ``transform``, what ``read_job`` takes for it.

    ``files`` has the bands of each opening of a file (``tile.openings``). None if there are more than MOST_LOOKED_UP
    blocks to look up. Raises SceneError and TransientError as ``open_cog``.
    """
    laid = [[_part(bands, transform, window) for window in windows] for bands in files]
    if sum(part.block_count for parts in laid for part in parts) > MOST_LOOKED_UP:
        return None
    found = [Reading() for _ in windows]
    for parts in laid:
        with open_cog(parts[0].source, settings, directory=parts[0].directory, placed=False) as opened:
            for number, part in enumerate(parts):
                found[number] += _of_part(part, opened.dataset)
    return found


def _part(bands: Sequence[BandSource], transform: Affine, window: PixelWindow) -> FilePart:
    """Lay a part that nothing is read into."""
    nowhere = np.empty((len(bands), 0, 0), np.uint8)
    return lay_part(bands, range(len(bands)), nowhere, transform, window)


def _of_part(part: FilePart, dataset: Any) -> Reading:  # noqa: ANN401
    """Give what one file's part takes: its opening, and a read a stripe."""
    if not part.block_count:
        return Reading()
    total = Reading(files=1)
    for stripe in part.stripes():
        total += reading_of(part.places(dataset, stripe))
    return total
