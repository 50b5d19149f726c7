"""What reading blocks takes: bytes, and the requests in which they come."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

NEAR = 8
"""Bytes between two blocks that are fetched with them: so much stands between the blocks of a COG, and GDAL 3.12 joins
what is no further apart (tests/raster/test_reading.py)."""

BEGINNING = 32_768
"""Bytes that come with a file's opening (raster/cog.py)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What some reads take, a file's opening included."""

    files: int = 0
    """Openings: each is a request for the file's beginning, and more where its index is long."""
    blocks: int = 0
    """Blocks that are decoded."""
    ranges: int = 0
    """Runs of blocks that lie together in a file: each is a request."""
    bytes: int = 0
    """Of these runs. An opening fetches BEGINNING more, and GDAL rounds up what it fetches of a single block."""

    @property
    def requests(self) -> int:
        """GET requests, if every index lies in what an opening fetches and none has to be repeated."""
        return self.files + self.ranges

    def __add__(self, other: Self) -> "Reading":
        """Give what both take."""
        return Reading(
            files=self.files + other.files,
            blocks=self.blocks + other.blocks,
            ranges=self.ranges + other.ranges,
            bytes=self.bytes + other.bytes,
        )


NOTHING: Final = Reading()
"""What has not begun takes."""


def reading_of(places: Iterable[tuple[int, int]]) -> Reading:
    """Give what one read of blocks takes; ``places`` has the offset and size of each, in bytes."""
    found = list(places)
    if len(found) == 1 and sum(found[0]) <= BEGINNING:
        return Reading(blocks=1)  # several are asked for again, one is not
    runs = list(runs_of(found))
    return Reading(blocks=len(found), ranges=len(runs), bytes=sum(size for _, size in runs))


def runs_of(places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join blocks that lie at most NEAR bytes apart; gives offset and size of each run, in the file's order."""
    start = stop = -1
    for offset, size in sorted(places):
        if start >= 0 and offset <= stop + NEAR:
            stop = max(stop, offset + size)
            continue
        if start >= 0:
            yield start, stop - start
        start, stop = offset, offset + size
    if start >= 0:
        yield start, stop - start
