"""Part: what one file gives to a window of the finest grid, read by stripes of whole block rows, or block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from clayline.chips.cog import CogHeader, CogSource
from clayline.chips.reading import NOTHING, Reading
from clayline.raster.nearest import Span, spread

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
    directory: int | None = None
    """Where the band is that of a mask: the mask's directory in the file."""

    @property
    def dataset(self) -> tuple[str, int | None]:
        """What is opened to read it."""
        return self.source.path, self.directory


class Block(NamedTuple):
    """One block of a file."""

    group: tuple[int, ...]
    """Which of the part's bands are read of it, by place in ``bands``."""
    row: int
    """Block row of the file."""
    col: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """A rectangle of the pixels that are needed of a file, in some of its bands."""

    group: tuple[int, ...]
    """Which of the part's bands, by place in ``bands``."""
    row_start: int
    """Counted, like the others, from the first pixel needed."""
    row_stop: int
    col_start: int
    col_stop: int


@dataclass(kw_only=True, slots=True)
class Taken:
    """What reading has taken so far, each attempt of it."""

    reading: Reading = NOTHING

    def add(self, reading: Reading) -> None:
        """Count it in."""
        self.reading += reading


@dataclass(frozen=True, kw_only=True, slots=True)
class FilePart:
    """What one file contributes to a window."""

    bands: Sequence[BandSource]
    positions: Sequence[int]
    """Where the bands belong in ``out``."""
    out: NDArray[Any]
    """[C, h, w], rows in the file's order: see ``facing``."""
    rows: Span
    cols: Span
    taken: Taken = field(default_factory=Taken)

    @property
    def source(self) -> CogSource:
        """The file."""
        return self.bands[0].source

    @property
    def header(self) -> CogHeader:
        """Its header."""
        return self.bands[0].header

    @property
    def directory(self) -> int | None:
        """The directory that is opened."""
        return self.bands[0].directory

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """Bands that are read together, by place in ``bands``.

        Bands that lie apart in the file are read one by one: asked for several together, GDAL's threads fetch each
        block by a request of its own.
        """
        every = tuple(range(len(self.bands)))
        return [every] if self.header.pixel_interleaved else [(which,) for which in every]

    def index_band(self, group: Sequence[int]) -> int:
        """Give the band under which the file's index has a group's blocks: one stands for all where blocks hold all."""
        return 1 if self.header.pixel_interleaved else self.bands[group[0]].band

    @property
    def block_count(self) -> int:
        """Blocks that are needed."""
        header = self.header
        return len(self.rows.blocks(header.block_height)) * len(self.cols.blocks(header.block_width)) * len(self.groups)

    def stripes(self) -> Iterator[Area]:
        """Cut what is needed between block rows, into at most _STRIPE_BYTES or one block row, group by group.

        Some block rows at a time because GDAL fetches all that one read needs before it decodes.
        """
        header = self.header
        width = len(self.cols.blocks(header.block_width)) * header.block_width
        for group in self.groups:
            row_bytes = width * len(group) * np.dtype(header.dtype).itemsize
            yield from self._cut(group, max(1, _STRIPE_BYTES // (row_bytes * header.block_height)))

    def block_rows(self, stripe: Area) -> Iterator[Area]:
        """Give a stripe's block rows."""
        for area in self._cut(stripe.group, 1):
            if stripe.row_start <= area.row_start < stripe.row_stop:
                yield area

    def blocks(self, area: Area) -> Iterator[Block]:
        """Give the blocks that an area touches."""
        rows, cols, header = self.rows, self.cols, self.header
        for row in rows.blocks_of(area.row_start, area.row_stop, header.block_height):
            for col in cols.blocks_of(area.col_start, area.col_stop, header.block_width):
                yield Block(area.group, row, col)

    def places(self, dataset: Any, area: Area) -> Iterator[tuple[int, int]]:  # noqa: ANN401 - rasterio publishes no types
        """Give offset and size in bytes of the blocks of an area; those that the index leaves out are not there."""
        for group, row, col in self.blocks(area):
            band = self.index_band(group)
            offset, size = (
                dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band) for what in ("OFFSET", "SIZE")
            )
            if offset is not None and size is not None:
                yield int(offset), int(size)

    def block_area(self, block: Block) -> Area:
        """Give what is needed of a block."""
        top, left = (
            block.row * self.header.block_height - self.rows.start,
            block.col * self.header.block_width - self.cols.start,
        )
        return Area(
            group=block.group,
            row_start=max(0, top),
            row_stop=min(self.rows.length, top + self.header.block_height),
            col_start=max(0, left),
            col_stop=min(self.cols.length, left + self.header.block_width),
        )

    def read(self, dataset: Any, area: Area) -> None:  # noqa: ANN401 - rasterio publishes no types
        """Read an area: straight into the result where pixels correspond one to one, else in the file's resolution
        first.
        """
        rows, cols = self.rows, self.cols
        numbers, positions = (
            [self.bands[which].band for which in area.group],
            [self.positions[which] for which in area.group],
        )
        down, across = self.covered(area)
        window = Window(
            cols.start + area.col_start,
            rows.start + area.row_start,
            area.col_stop - area.col_start,
            area.row_stop - area.row_start,
        )
        places = _as_slice(positions)
        if rows.one_to_one and cols.one_to_one and places is not None:
            dataset.read(numbers, window=window, out=self.out[places, down, across])
            return
        row_index = rows.index[down.start - rows.inside.start : down.stop - rows.inside.start] - area.row_start
        col_index = cols.index[across.start - cols.inside.start : across.stop - cols.inside.start] - area.col_start
        read = dataset.read(numbers, window=window, out_dtype=self.out.dtype)
        for plane, position in zip(read, positions, strict=True):
            spread(plane, row_index, col_index, self.out[position, down, across])

    def covered(self, area: Area) -> tuple[slice, slice]:
        """Give the rows and columns of the window whose pixels come from an area."""
        return self.rows.covered(area.row_start, area.row_stop), self.cols.covered(area.col_start, area.col_stop)

    def blank(self, area: Area) -> None:
        """Let nodata stand in an area."""
        for which in area.group:
            plane = self.out[self.positions[which], *self.covered(area)]
            plane[...] = _outside(self.bands[which].nodata, plane.dtype)

    def blank_outside(self) -> None:
        """Let nodata stand where the file does not cover the window."""
        if not self.is_whole:
            for band, position in zip(self.bands, self.positions, strict=True):
                self.out[position] = _outside(band.nodata, self.out.dtype)

    @property
    def is_whole(self) -> bool:
        """Whether the file covers the window."""
        return (self.rows.index.size, self.cols.index.size) == self.out.shape[1:]

    def _cut(self, group: tuple[int, ...], block_rows: int) -> Iterator[Area]:
        """Cut what is needed into so many block rows each."""
        rows, side = self.rows, self.header.block_height
        height = block_rows * side
        for border in range((rows.start // side) * side, rows.start + rows.length, height):
            start, stop = max(0, border - rows.start), min(rows.length, border + height - rows.start)
            yield Area(group=group, row_start=start, row_stop=stop, col_start=0, col_stop=self.cols.length)


def facing(header: CogHeader, plane: NDArray[Any]) -> NDArray[Any]:
    """Give a view of [..., h, w], north-up, whose rows go as the file's do. Of what it gives it makes the other."""
    return plane[..., ::-1, :] if header.flipped else plane


def _as_slice(positions: Sequence[int]) -> slice | None:
    """Give evenly spaced positions as a slice, which numpy hands out as a view."""
    steps = set(np.diff(positions).tolist()) or {1}
    return slice(positions[0], positions[-1] + 1, steps.pop()) if len(steps) == 1 else None


def _outside(nodata: float | None, dtype: np.dtype[Any]) -> float:
    if np.issubdtype(dtype, np.floating):
        return float("nan") if nodata is None else nodata
    limits = np.iinfo(dtype)
    return nodata if nodata is not None and limits.min <= nodata <= limits.max else 0
