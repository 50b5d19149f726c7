"""Pixels of a job: each file opened once and read once, each block decoded once, coarser bands brought to the finest grid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from clayline.cog import Affine, CogHeader, CogSource
from clayline.errors import BatchError, SceneError, TransientError
from clayline.raster.cog import OpenCog, ReadSettings, network_trouble, open_cog
from clayline.raster.nearest import Span, find_span

PixelWindow = tuple[int, int, int, int]
"""row0, row1, col0, col1: pixels, half open."""
_STRIPE_BYTES = 64 * 2**20


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
class _FileRead:
    """What one file contributes to a window."""

    bands: Sequence[BandSource]
    positions: Sequence[int]
    """Where the bands belong in ``out``."""
    out: NDArray[Any]
    """[C, h, w]."""
    rows: Span
    cols: Span

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
        rows=find_span(row0, row1, *vertical, length=header.height),
        cols=find_span(col0, col1, *horizontal, length=header.width),
    )


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
    """Read the window, some whole block rows at a time.

    Bands of one file that lie apart are read one by one: asked for several together, GDAL's threads fetch each block by a request of its
    own. Some block rows at a time because GDAL fetches all that one read needs before it decodes.
    """
    every = range(len(read.bands))
    for group in [every] if read.header.pixel_interleaved else [[which] for which in every]:
        for start, stop in _stripes(read, len(group)):
            _fill_stripe(read, dataset, group, start, stop)


def _stripes(read: _FileRead, bands: int) -> Iterator[tuple[int, int]]:
    """Cut the file's rows between blocks, at most _STRIPE_BYTES or one block row together; give (start, stop) from the first row needed."""
    header, rows = read.header, read.rows
    row_bytes = len(read.cols.blocks(header.block_width)) * header.block_width * bands * np.dtype(header.dtype).itemsize
    height = max(1, _STRIPE_BYTES // (row_bytes * header.block_height)) * header.block_height
    borders = range((rows.start // header.block_height) * header.block_height, rows.start + rows.length, height)
    for border in borders:
        yield max(0, border - rows.start), min(rows.length, border + height - rows.start)


def _fill_stripe(read: _FileRead, dataset: Any, group: Sequence[int], start: int, stop: int) -> None:  # noqa: ANN401
    """Read rows [start, stop): straight into the result where pixels correspond one to one, else in the file's resolution first."""
    rows, cols = read.rows, read.cols
    numbers, positions = [read.bands[which].band for which in group], [read.positions[which] for which in group]
    first, last = np.searchsorted(rows.index, [start, stop]).tolist()
    inside = slice(rows.inside.start + first, rows.inside.start + last)
    window = Window(cols.start, rows.start + start, cols.length, stop - start)
    places = _as_slice(positions)
    if rows.one_to_one and cols.one_to_one and places is not None:
        dataset.read(numbers, window=window, out=read.out[places, inside, cols.inside])
        return
    for plane, position in zip(dataset.read(numbers, window=window, out_dtype=read.out.dtype), positions, strict=True):
        target = read.out[position, inside, cols.inside]
        np.take(plane[:, cols.index], rows.index[first:last] - start, axis=0, out=target, mode="clip")


def _as_slice(positions: Sequence[int]) -> slice | None:
    """Give evenly spaced positions as a slice, which numpy hands out as a view."""
    steps = set(np.diff(positions).tolist()) or {1}
    return slice(positions[0], positions[-1] + 1, steps.pop()) if len(steps) == 1 else None


def _check_unchanged(read: _FileRead, dataset: Any) -> None:  # noqa: ANN401
    header = read.header
    if (dataset.width, dataset.height, dataset.count, dataset.dtypes[0]) != (header.width, header.height, header.band_count, header.dtype):
        msg = f"{read.source.uri} has another size, type or number of bands than when it was planned: it was replaced in between."
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
    bands, rows = " ".join(band.name for band in read.bands), f"{read.rows.start} to {read.rows.start + read.rows.length}"
    msg = f"{read.source.uri} (band {bands}) is damaged, blocks in rows {rows} cannot be decoded: {why}. Deliver the whole file again."
    return BatchError(msg, reason="unreadable-pixels")


def _outside(nodata: float | None, dtype: np.dtype[Any]) -> float:
    if np.issubdtype(dtype, np.floating):
        return float("nan") if nodata is None else nodata
    limits = np.iinfo(dtype)
    return nodata if nodata is not None and limits.min <= nodata <= limits.max else 0
