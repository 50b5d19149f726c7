"""The second of two stages: of the rows that the bits chose, the vectors' pages alone are fetched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clayline.dataset.ports import Root
from clayline.table.bit_stage import Tiered, side_by_side
from clayline.table.ranged import damaged
from clayline.table.selecting import Selected, select
from clayline.table.streaming import LOOK_FROM, columns_read


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """Rows of a row group."""

    of: Tiered
    group: int
    rows: NDArray[np.int64]


def read_candidates(
    root: Root, tiered: Sequence[Tiered], numbers: NDArray[np.int64], columns: Sequence[str]
) -> Iterator[Selected]:
    """Give the rows of these numbers, ascending through all files, that are wanted, a row group each.

    Of the vectors of a large row group only the pages are read that hold some; its other columns are read whole, and so
    are small groups, where an index of pages could be another request. Raises DatasetError, TransientError.
    """
    yield from side_by_side([partial(_read, root, each, columns) for each in _by_group(tiered, numbers)])
    for each in tiered:
        each.file.settle()


def _by_group(tiered: Sequence[Tiered], numbers: NDArray[np.int64]) -> Iterator[_Work]:
    first = 0
    for each in tiered:
        for group in range(each.file.groups):
            last = first + each.file.rows(group)
            low, high = np.searchsorted(numbers, [first, last])
            if high > low:
                yield _Work(of=each, group=group, rows=numbers[low:high] - first)
            first = last


def _read(root: Root, work: _Work, columns: Sequence[str]) -> Selected:
    file, wanted = work.of.file, work.of.wanted
    read = columns_read(root, file, wanted, columns)
    large = sum(each.size for each in file.ranges(work.group, read)) >= LOOK_FROM
    pages = file.paged(work.group, work.rows) if large else None
    table: Any = file.read(work.group, read, pages)
    try:
        return select(table if pages else table.take(work.rows), wanted)
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise damaged(root, file.at, f"row group {work.group} is not as docs/schema.md has it: {error}") from error
