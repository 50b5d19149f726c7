"""One file's part, read around what is damaged.

A first attempt reads it whole. Where that fails, a second one finds the blocks that are damaged and reads the others.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rasterio.errors import RasterioIOError

from clayline.chips.reading import Reading, reading_of
from clayline.errors import BatchError, SceneError, TransientError
from clayline.raster.cog import OpenCog, ReadSettings, is_remote, is_short, network_trouble, open_cog
from clayline.raster.part import Area, Block, FilePart
from clayline.run.receipt import UNREADABLE


def read_part(part: FilePart, settings: ReadSettings) -> list[Area]:
    """Read one file's part, a second time if the first fails; give what is damaged.

    The second time one thread does it all, so that GDAL's warnings of the network come to this thread's ear: they tell
    a connection that failed from a block that cannot be decoded. A block that fails then is asked for once more over a
    new connection. Raises BatchError and TransientError.
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
        with open_cog(part.source, settings, directory=part.directory, placed=False) as opened:
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
