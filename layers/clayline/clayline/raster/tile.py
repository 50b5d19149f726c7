"""Pixels of a job: each file opened once and read once, each block decoded once, coarser bands brought to the finest
grid.

Where that fails, a second attempt finds the blocks that are damaged and reads the others.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError

from clayline.chips.cog import Affine
from clayline.chips.reading import NOTHING, Reading, reading_of
from clayline.errors import BatchError, SceneError, TransientError
from clayline.raster.cog import OpenCog, ReadSettings, is_remote, is_short, network_trouble, open_cog
from clayline.raster.nearest import find_span
from clayline.raster.part import Area, BandSource, Block, FilePart, facing
from clayline.run.receipt import UNREADABLE

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
    has no pixel, the band's nodata stands. Memory: the result, an alpha band as another band, one plane of the other
    masks at a time, a coarser band in its own resolution, and GDAL's own (some blocks for each thread).

    Raises BatchError (``source-changed``, why a file does not open any more,
    ``unreadable-pixels`` if its tags cannot be read any more) and TransientError.
    """
    row0, row1, col0, col1 = window
    marks = _Marks(shape=(row1 - row0, col1 - col0))
    files = {band.dataset for band in bands}
    beside = [band for band in validity if band.dataset in files]  # alpha: its blocks are those of the bands
    dtype = np.result_type(*(band.header.dtype for band in bands))
    joins = mask is not None and mask.dataset in files and np.issubdtype(dtype, np.integer)  # so are such a mask's
    every = [*bands, *beside, *([mask] if mask is not None and joins else [])]
    planes = np.empty((len(every), *marks.shape), dtype)
    around = _Marks(shape=marks.shape)
    blocks = 0
    for positions in _by_file(every):
        part = lay_part([every[position] for position in positions], positions, planes, transform, window)
        blocks += marks.read(part, settings)
        marks.mask_outside(part)
        if joins and positions[-1] == len(every) - 1:
            around.mask_outside(part)
    for plane in planes[len(bands) : len(bands) + len(beside)]:
        marks.mask(plane == 0)
    classes = planes[-1:] if joins else None
    if mask is not None and not joins:
        classes = np.empty((1, *marks.shape), mask.header.dtype)
        part = lay_part([mask], [0], classes, transform, window)
        blocks += marks.read(part, settings)
        around.mask_outside(part)
    for band in validity:
        if band.dataset not in files:
            own = np.empty((1, *marks.shape), band.header.dtype)
            blocks += marks.read(lay_part([band], [0], own, transform, window), settings)
            marks.mask(own[0] == 0)
    return TilePixels(
        pixels=planes[: len(bands)],
        mask=None if classes is None else classes[0],
        unclassified=around.masked,
        masked=marks.masked,
        damaged=marks.damaged,
        decoded_blocks=blocks,
        reading=marks.reading,
    )


@dataclass(kw_only=True, slots=True)
class _Marks:
    """What is said of a window's pixels beside their values, as far as it has been read."""

    shape: tuple[int, int]
    masked: NDArray[np.bool_] | None = None
    damaged: NDArray[np.bool_] | None = None
    reading: Reading = NOTHING

    def read(self, part: FilePart, settings: ReadSettings) -> int:
        """Read a part, mark what is damaged, and give its number of blocks."""
        for area in _read(part, settings):
            self.damaged = np.zeros(self.shape, np.bool_) if self.damaged is None else self.damaged
            facing(part.header, self.damaged)[part.covered(area)] = True
        self.reading += part.taken.reading
        return part.block_count

    def mask(self, where: NDArray[np.bool_]) -> None:
        """Mark where there is no value [h, w]."""
        self.masked = where if self.masked is None else np.logical_or(self.masked, where, out=self.masked)

    def mask_outside(self, part: FilePart) -> None:
        """Mark where a file has no pixel."""
        if not part.is_whole:
            outside = np.ones(self.shape, np.bool_)
            facing(part.header, outside)[part.rows.inside, part.cols.inside] = False
            self.mask(outside)


def openings(
    bands: Sequence[BandSource], mask: BandSource | None, validity: Sequence[BandSource]
) -> list[list[BandSource]]:
    """Give the bands that ``read_job`` reads of each opening of a file."""
    files = {band.dataset for band in bands}
    every = [*bands, *(band for band in validity if band.dataset in files)]
    together = [[every[position] for position in positions] for positions in _by_file(every)]
    alone = [*([mask] if mask else []), *(band for band in validity if band.dataset not in files)]
    return [*together, *([band] for band in alone)]


def _by_file(bands: Sequence[BandSource]) -> list[list[int]]:
    """Give places in ``bands``, those of one file together."""
    files: dict[tuple[str, int | None], list[int]] = {}
    for position, band in enumerate(bands):
        files.setdefault(band.dataset, []).append(position)
    return list(files.values())


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


def _read(part: FilePart, settings: ReadSettings) -> list[Area]:
    """Read one file's part, a second time if the first fails; give what is damaged.

    The second time one thread does it all, so that GDAL's warnings of the network come to this thread's ear: they tell
    a connection that failed from a block that cannot be decoded. A block that fails then is asked for once more over a
    new connection.
    """
    part.blank_outside()
    if not part.block_count:
        return []
    try:
        is_whole = _read_whole(part, settings)
    except (BatchError, TransientError):
        is_whole = False
    if is_whole:
        return []
    alone = replace(settings, threads=1)
    suspects = _read_around(part, alone)
    return _read_again(part, suspects, alone) if suspects else []


def _read_whole(part: FilePart, settings: ReadSettings) -> bool:
    """Read everything, and say whether that could be done."""
    with _opened(part, settings) as opened:
        return not _gaps(part, opened) and all(_is_read(part, opened, stripe) for stripe in part.stripes())


def _read_around(part: FilePart, settings: ReadSettings) -> list[Block]:
    """Read everything but blocks that cannot be read, and give those.

    A stripe that fails is read by block rows, a block row that fails by blocks: a few damaged blocks cost few requests
    more.
    """
    with _opened(part, settings) as opened:
        suspects = _gaps(part, opened)
        for stripe in part.stripes():
            if _is_read(part, opened, stripe):
                continue
            for block_row in part.block_rows(stripe):
                if not _is_read(part, opened, block_row):
                    suspects += [
                        block for block in part.blocks(block_row) if not _is_read(part, opened, part.block_area(block))
                    ]
        return suspects


def _read_again(part: FilePart, suspects: Sequence[Block], settings: ReadSettings) -> list[Area]:
    """Read the blocks that failed; let nodata stand where they fail again, and give those places."""
    damaged = []
    with _opened(part, settings) as opened:
        gaps = set(_gaps(part, opened))
        for block in dict.fromkeys(suspects):
            area = part.block_area(block)
            if block in gaps or not _is_read(part, opened, area):
                part.blank(area)
                damaged.append(area)
    return damaged


@contextmanager
def _opened(part: FilePart, settings: ReadSettings) -> Iterator[OpenCog]:
    """Open the file. Raises BatchError and TransientError."""
    try:
        with open_cog(part.source, settings, directory=part.directory) as opened:
            part.taken.add(Reading(files=1))
            _check_unchanged(part, opened.dataset)
            yield opened
    except SceneError as error:
        raise BatchError(str(error), reason=error.reason) from error


def _is_read(part: FilePart, opened: OpenCog, area: Area) -> bool:
    """Read an area and say whether it could be decoded. Raises TransientError where the network is to blame."""
    part.taken.add(reading_of(part.places(opened.dataset, area)))
    try:
        part.read(opened.dataset, area)
    except RasterioIOError as error:
        undelivered = is_remote(part.source) and is_short(error) and not _ends_outside(part, opened.dataset, area)
        if opened.watch.network or undelivered:
            raise network_trouble(part.source, error.__cause__ or error) from error
        return False
    return True


def _ends_outside(part: FilePart, dataset: Any, area: Area) -> bool:  # noqa: ANN401 - rasterio publishes no types
    """Say whether the index places one of the blocks beyond the file's end."""
    return any(offset + size > part.source.size for offset, size in part.places(dataset, area))


def _check_unchanged(part: FilePart, dataset: Any) -> None:  # noqa: ANN401
    header = part.header
    if (dataset.width, dataset.height, dataset.count, dataset.dtypes[0]) != (
        header.width,
        header.height,
        header.band_count,
        header.dtype,
    ):
        msg = (
            f"{part.source.uri} has another size, type or number of bands than when it was planned: it was replaced in"
            " between."
        )
        raise BatchError(msg, reason="source-changed")


def _gaps(part: FilePart, opened: OpenCog) -> list[Block]:
    """Look up every block before any is read; give those that are missing, which would silently read as nodata.

    Raises TransientError where the network is to blame, and BatchError where tags could not be read: pixels may then be
    decoded wrongly.
    """
    if opened.watch.gap:
        raise _unreadable(part, opened, "a part of its directory cannot be read")
    header, dataset = part.header, opened.dataset
    gaps = [
        Block(group, row, col)
        for group, band in [(group, part.index_band(group)) for group in part.groups]
        for row in part.rows.blocks(header.block_height)
        for col in part.cols.blocks(header.block_width)
        if dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band) is None
    ]
    if opened.watch.gap and not gaps:
        raise _unreadable(part, opened, "a part of its directory cannot be read")
    if gaps and opened.watch.network:
        raise network_trouble(part.source, f"{len(gaps)} entries of its block index are missing")
    return gaps if opened.watch.gap or not header.sparse else []


def _unreadable(part: FilePart, opened: OpenCog, why: str) -> BatchError | TransientError:
    if opened.watch.network:
        return network_trouble(part.source, why)
    bands, rows = (
        " ".join(band.name for band in part.bands),
        f"{part.rows.start} to {part.rows.start + part.rows.length}",
    )
    msg = f"{part.source.uri} (band {bands}) is damaged in rows {rows}: {why}. Deliver the whole file again."
    return BatchError(msg, reason=UNREADABLE)
