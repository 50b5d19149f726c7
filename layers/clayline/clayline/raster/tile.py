"""Pixels of a job: each file opened once and read once, several files at a time, each block decoded once, coarser bands
brought to the finest grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.chips.cog import Affine
from clayline.chips.reading import NOTHING, Reading
from clayline.chips.workers import each
from clayline.raster.cog import ReadSettings
from clayline.raster.damage import read_part
from clayline.raster.nearest import find_span
from clayline.raster.part import Area, BandSource, FilePart, facing

PixelWindow = tuple[int, int, int, int]
"""row0, row1, col0, col1: pixels, half open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TilePixels:
    """Pixels of one window on the finest grid."""

    pixels: NDArray[Any]
    """[C, h, w] digital numbers, in the type that holds all bands' types."""
    mask: NDArray[Any] | None
    """[h, w] in the mask file's type."""
    unclassified: NDArray[np.bool_] | None
    """[h, w], where the mask's file has no pixel. None: nowhere."""
    masked: NDArray[np.bool_] | None
    """[h, w], where ``validity`` is 0, or a file of a band has no pixel. None: nowhere."""
    damaged: NDArray[np.bool_] | None
    """[h, w], where a band's or the mask's block cannot be decoded: nodata stands there. None: nowhere."""
    decoded_blocks: int
    """Blocks that the window touches in all files together: each was decoded once, if none is damaged."""
    reading: Reading
    """What reading them took, second attempts included; what GDAL repeats by itself over a network is not counted."""


def read_job(
    bands: Sequence[BandSource],
    mask: BandSource | None,
    *,
    validity: Sequence[BandSource] = (),
    transform: Affine,
    window: PixelWindow,
    settings: ReadSettings,
) -> TilePixels:
    """Read a window of the finest grid, whose transform is ``transform``, from every band, from the mask (SCL), and
    from what says where there are values (``validity``: alpha bands, and masks that files carry).

    A finest pixel takes the value of the band's pixel that contains its centre; nothing is reprojected. Where a file
    has no pixel, the band's nodata stands. Files are read ``settings.threads`` at a time. Memory: the result, an alpha
    band as another band; and of each file that is being read a plane if it is a mask, a stripe of a coarser band in its
    own resolution, and GDAL's own (some blocks for each thread).

    Raises BatchError (``source-changed``, why a file does not open any more,
    ``unreadable-pixels`` if its tags cannot be read any more) and TransientError; then files that have not been begun
    are not read, and none is being read any more.
    """
    row0, row1, col0, col1 = window
    found = _Found(shape=(row1 - row0, col1 - col0))
    opened = openings(bands, mask, validity)
    count = sum(len(opening.wanted) for opening in opened if opening.positions is not None)
    planes = np.empty((count, *found.shape), _pixel_type(bands))

    def read(opening: Opening) -> None:
        sources, positions, out = [wanted.band for wanted in opening.wanted], opening.positions, planes
        if positions is None:
            positions = range(len(sources))
            out = np.empty((len(sources), *found.shape), sources[0].header.dtype)
        part = lay_part(sources, positions, out, transform, window)
        found.add(part, read_part(part, settings))
        for wanted, position in zip(opening.wanted, positions, strict=True):
            found.use(part, out[position], wanted.use)

    each(read, opened, workers=settings.threads)
    return TilePixels(
        pixels=planes[: len(bands)],
        mask=found.classes,
        unclassified=found.unclassified,
        masked=found.masked,
        damaged=found.damaged,
        decoded_blocks=found.blocks,
        reading=found.reading,
    )


class Use(Enum):
    """What a band is read for."""

    PIXELS = auto()
    VALIDITY = auto()
    CLASSES = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A band, and what it is read for."""

    band: BandSource
    use: Use


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """What is read of one opening of a file: all that is wanted of it, for one block may hold it all."""

    wanted: Sequence[Wanted]
    positions: Sequence[int] | None
    """Their planes among the job's. None: the file holds no band of the scene, and has planes of its own."""


def openings(bands: Sequence[BandSource], mask: BandSource | None, validity: Sequence[BandSource]) -> list[Opening]:
    """Give what ``read_job`` reads of each opening of a file; the bands' planes come first, in their order.

    Classes beside bands are read with them only into whole numbers, which hold theirs exactly.
    """
    files = {band.dataset for band in bands}
    is_exact = np.issubdtype(_pixel_type(bands), np.integer)
    others = [Wanted(band=band, use=Use.VALIDITY) for band in validity]
    others += [Wanted(band=mask, use=Use.CLASSES)] if mask else []
    beside: list[Wanted] = []
    alone: list[Wanted] = []
    for wanted in others:
        is_beside = wanted.band.dataset in files and (is_exact or wanted.use is not Use.CLASSES)
        (beside if is_beside else alone).append(wanted)
    planes = [*(Wanted(band=band, use=Use.PIXELS) for band in bands), *beside]
    return [
        *(Opening(wanted=[planes[place] for place in places], positions=places) for places in _by_file(planes)),
        *(Opening(wanted=[alone[place] for place in places], positions=None) for places in _by_file(alone)),
    ]


def _by_file(wanted: Sequence[Wanted]) -> list[list[int]]:
    """Give places in ``wanted``, those of one file together."""
    files: dict[tuple[str, int | None], list[int]] = {}
    for place, one in enumerate(wanted):
        files.setdefault(one.band.dataset, []).append(place)
    return list(files.values())


def _pixel_type(bands: Sequence[BandSource]) -> np.dtype[Any]:
    """Give the type that holds all bands' types."""
    return np.result_type(*(band.header.dtype for band in bands))


@dataclass(kw_only=True, slots=True)
class _Found:
    """What has been found in a window so far, beside its bands' values. Threads may share it."""

    shape: tuple[int, int]
    classes: NDArray[Any] | None = None
    unclassified: NDArray[np.bool_] | None = None
    masked: NDArray[np.bool_] | None = None
    damaged: NDArray[np.bool_] | None = None
    blocks: int = 0
    reading: Reading = NOTHING
    _lock: Lock = field(default_factory=Lock)

    def add(self, part: FilePart, damaged: Sequence[Area]) -> None:
        """Count what a part took, and mark what is damaged of it."""
        with self._lock:
            self.blocks += part.block_count
            self.reading += part.taken.reading
            for area in damaged:
                self.damaged = np.zeros(self.shape, np.bool_) if self.damaged is None else self.damaged
                facing(part.header, self.damaged)[part.covered(area)] = True

    def use(self, part: FilePart, plane: NDArray[Any], use: Use) -> None:
        """Take from a plane [h, w] that a part has filled what it was read for; its pixels are where they belong."""
        with self._lock:
            outside = self._outside(part)
            if use is Use.CLASSES:
                self.classes, self.unclassified = plane, outside
            else:
                self.masked = _either(self.masked, outside)
            if use is Use.VALIDITY:
                self.masked = _either(self.masked, plane == 0)

    def _outside(self, part: FilePart) -> NDArray[np.bool_] | None:
        """Give where a file has no pixel. None: nowhere."""
        if part.is_whole:
            return None
        outside = np.ones(self.shape, np.bool_)
        facing(part.header, outside)[part.rows.inside, part.cols.inside] = False
        return outside


def _either(one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Give where one of two is marked, None: nowhere. The first is used up."""
    if one is None or other is None:
        return other if one is None else one
    return np.logical_or(one, other, out=one)


def lay_part(
    bands: Sequence[BandSource], positions: Sequence[int], out: NDArray[Any], transform: Affine, window: PixelWindow
) -> FilePart:
    """Give what one file contributes to a window of the finest grid; ``positions`` are its bands' places in ``out``."""
    row0, row1, col0, col1 = window
    header = bands[0].header
    down = (transform[4] / header.transform[4], (transform[5] - header.transform[5]) / header.transform[4])
    rows = find_span(row0, row1, *down, length=header.height)
    if header.flipped:
        rows = find_span(-row1, -row0, down[0], header.height - down[1], length=header.height, upwards=True)
    horizontal = (transform[0] / header.transform[0], (transform[2] - header.transform[2]) / header.transform[0])
    return FilePart(
        bands=bands,
        positions=positions,
        out=facing(header, out),
        rows=rows,
        cols=find_span(col0, col1, *horizontal, length=header.width),
    )
