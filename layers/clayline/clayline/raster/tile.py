"""Pixels of a job: each file opened once and read once, each block decoded once, coarser bands brought to the finest grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from clayline.batch import CENTRE_TOLERANCE
from clayline.cog import Affine, CogHeader, CogSource
from clayline.errors import BatchError, SceneError, TransientError
from clayline.raster.cog import OpenCog, ReadSettings, network_trouble, open_cog

PixelWindow = tuple[int, int, int, int]
"""row0, row1, col0, col1: pixels, half open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BandSource:
    """One band of one file."""

    name: str
    source: CogSource
    header: CogHeader
    band: int
    """1-based number in the file."""
    nodata: float | None
    """What stands where the file has no pixel. None, or a value the pixels' type cannot hold: NaN in floats, else 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TilePixels:
    """Pixels of one window on the finest grid."""

    pixels: NDArray[Any]
    """[C, h, w] digital numbers, in the type that holds all bands' types."""
    mask: NDArray[Any] | None
    """[h, w] in the mask file's type."""
    decoded_blocks: int
    """Blocks that the window touches in all files together: each was decoded once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """Which pixels of a file a window needs along one axis."""

    inside: slice
    """Part of the window that the file covers."""
    start: int
    """First pixel of the file needed."""
    index: NDArray[np.int64]
    """For each pixel of ``inside`` its pixel in the file, counted from ``start``; ascending from 0."""

    @property
    def length(self) -> int:
        """Pixels of the file needed."""
        return int(self.index[-1]) + 1 if self.index.size else 0

    @property
    def one_to_one(self) -> bool:
        """Whether each pixel of ``inside`` is the file's next."""
        return self.length == self.index.size and bool((np.diff(self.index) == 1).all())

    def blocks(self, side: int) -> range:
        """Give the blocks of ``side`` pixels that are touched."""
        return range(self.start // side, (self.start + self.length - 1) // side + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class _FileRead:
    """What one file contributes to a window."""

    bands: Sequence[BandSource]
    positions: Sequence[int]
    """Where the bands belong in ``out``."""
    out: NDArray[Any]
    """[C, h, w]."""
    rows: _Span
    cols: _Span

    @property
    def source(self) -> CogSource:
        return self.bands[0].source

    @property
    def header(self) -> CogHeader:
        return self.bands[0].header

    @property
    def decoded_bands(self) -> list[int]:
        """Bands whose blocks are decoded: one stands for all where blocks hold all."""
        return [1] if self.header.pixel_interleaved else [band.band for band in self.bands]

    @property
    def window(self) -> Window:
        return Window(self.cols.start, self.rows.start, self.cols.length, self.rows.length)


def read_job(
    bands: Sequence[BandSource], mask: BandSource | None, *, transform: Affine, window: PixelWindow, settings: ReadSettings
) -> TilePixels:
    """Read a window of the finest grid, whose transform is ``transform``, from every band and from the mask (SCL).

    A finest pixel takes the value of the band's pixel that contains its centre; nothing is reprojected. Where a file has no pixel, the
    band's nodata stands. Memory: the result, a coarser band in its own resolution, and GDAL's own (some blocks for each thread).
    Raises BatchError (``unreadable-pixels``, ``source-changed``, or why a file does not open any more) and TransientError.
    """
    row0, row1, col0, col1 = window
    pixels = np.empty((len(bands), row1 - row0, col1 - col0), np.result_type(*(band.header.dtype for band in bands)))
    files: dict[str, list[int]] = {}
    for position, band in enumerate(bands):
        files.setdefault(band.source.path, []).append(position)
    reads = [_lay_read([bands[position] for position in positions], positions, pixels, transform, window) for positions in files.values()]
    classes = None
    if mask is not None:
        classes = np.empty((1, row1 - row0, col1 - col0), mask.header.dtype)
        reads.append(_lay_read([mask], [0], classes, transform, window))
    decoded = sum(_read(read, settings) for read in reads)
    return TilePixels(pixels=pixels, mask=None if classes is None else classes[0], decoded_blocks=decoded)


def _lay_read(
    bands: Sequence[BandSource], positions: Sequence[int], out: NDArray[Any], transform: Affine, window: PixelWindow
) -> _FileRead:
    row0, row1, col0, col1 = window
    header = bands[0].header
    vertical = (transform[4] / header.transform[4], (transform[5] - header.transform[5]) / header.transform[4])
    horizontal = (transform[0] / header.transform[0], (transform[2] - header.transform[2]) / header.transform[0])
    return _FileRead(
        bands=bands,
        positions=positions,
        out=out,
        rows=_span(row0, row1, *vertical, length=header.height),
        cols=_span(col0, col1, *horizontal, length=header.width),
    )


def _span(start: int, stop: int, scale: float, offset: float, *, length: int) -> _Span:
    """Find for finest pixels [start, stop) the file's pixel that contains each centre, floor((pixel + 1/2) * scale + offset)."""
    pixels = np.floor((np.arange(start, stop) + 0.5) * scale + offset + CENTRE_TOLERANCE).astype(np.int64)
    first, last = np.searchsorted(pixels, [0, length]).tolist()
    if first == last:
        return _Span(inside=slice(0, 0), start=0, index=pixels[:0])
    return _Span(inside=slice(first, last), start=int(pixels[first]), index=pixels[first:last] - pixels[first])


def _read(read: _FileRead, settings: ReadSettings) -> int:
    """Read one file's part, a second time if the first fails; give the number of blocks decoded.

    The second time one thread does it all, so that GDAL's warnings of the network come to this thread's ear: they tell a connection that
    failed from a block that cannot be decoded.
    """
    for band, position in zip(read.bands, read.positions, strict=True):
        plane = read.out[position]
        if read.rows.index.size < plane.shape[0] or read.cols.index.size < plane.shape[1]:
            plane[...] = _outside(band.nodata, plane.dtype)
    if not (read.rows.length and read.cols.length):
        return 0
    try:
        _attempt(read, settings)
    except (BatchError, TransientError):
        _attempt(read, replace(settings, threads=1))
    rows, cols = read.rows.blocks(read.header.block_height), read.cols.blocks(read.header.block_width)
    return len(rows) * len(cols) * len(read.decoded_bands)


def _attempt(read: _FileRead, settings: ReadSettings) -> None:
    try:
        with open_cog(read.source, settings) as opened:
            _check_unchanged(read, opened.dataset)
            _check_index(read, opened)
            try:
                _fill(read, opened.dataset)
            except RasterioIOError as error:
                raise _failed(read, opened, f"{error.__cause__ or error}") from error
    except SceneError as error:
        raise BatchError(str(error), reason=error.reason) from error


def _fill(read: _FileRead, dataset: Any) -> None:  # noqa: ANN401 - rasterio publishes no types
    """Read the window: straight into the result where pixels correspond one to one, else in the file's resolution first."""
    numbers = [band.band for band in read.bands]
    places = _as_slice(read.positions)
    if read.rows.one_to_one and read.cols.one_to_one and places is not None:
        dataset.read(numbers, window=read.window, out=read.out[places, read.rows.inside, read.cols.inside])
        return
    together = [list(range(len(numbers)))] if read.header.pixel_interleaved else [[which] for which in range(len(numbers))]
    for group in together:
        own = dataset.read([numbers[which] for which in group], window=read.window, out_dtype=read.out.dtype)
        for plane, which in zip(own, group, strict=True):
            target = read.out[read.positions[which], read.rows.inside, read.cols.inside]
            np.take(plane[:, read.cols.index], read.rows.index, axis=0, out=target, mode="clip")


def _as_slice(positions: Sequence[int]) -> slice | None:
    """Give evenly spaced positions as a slice, which numpy hands out as a view."""
    steps = set(np.diff(positions).tolist()) or {1}
    return slice(positions[0], positions[-1] + 1, steps.pop()) if len(steps) == 1 else None


def _check_unchanged(read: _FileRead, dataset: Any) -> None:  # noqa: ANN401
    header = read.header
    if (dataset.width, dataset.height, dataset.count, dataset.dtypes[0]) != (header.width, header.height, header.band_count, header.dtype):
        msg = f"{read.source.uri} has another size, type or number of bands than when it was planned. Land the scene again."
        raise BatchError(msg, reason="source-changed")


def _check_index(read: _FileRead, opened: OpenCog) -> None:
    """Look up every block before any is read: a block whose place could not be fetched would silently read as nodata."""
    gaps = sum(
        opened.dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band) is None
        for band in read.decoded_bands
        for row in read.rows.blocks(read.header.block_height)
        for col in read.cols.blocks(read.header.block_width)
    )
    if opened.watch.gap or (gaps and (opened.watch.network or not read.header.sparse)):
        raise _failed(read, opened, f"{gaps} entries of its block index are missing")


def _failed(read: _FileRead, opened: OpenCog, why: str) -> BatchError | TransientError:
    if opened.watch.network:
        return network_trouble(read.source, why)
    bands = " ".join(band.name for band in read.bands)
    msg = f"{read.source.uri} (band {bands}) is damaged, blocks within {read.window} cannot be decoded: {why}. Upload the file again."
    return BatchError(msg, reason="unreadable-pixels")


def _outside(nodata: float | None, dtype: np.dtype[Any]) -> float:
    if np.issubdtype(dtype, np.floating):
        return float("nan") if nodata is None else nodata
    limits = np.iinfo(dtype)
    return nodata if nodata is not None and limits.min <= nodata <= limits.max else 0
