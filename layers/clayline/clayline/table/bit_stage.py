"""The first of two stages over tiers of bits: which rows may be the best. `candidate_rows.py` has the second."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clayline.dataset.ports import Root
from clayline.likeness.signs import Candidates
from clayline.table.ranged import FileAt, RangedFile, damaged
from clayline.table.ranking import Judge
from clayline.table.selecting import Wanted, rows_of_tier
from clayline.table.streaming import AT_ONCE
from clayline.table.tiers import read_small

_READ = ("uci", "datetime", "bbox", "valid_fraction", "cloud_fraction", "scene", "revision", "bits")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiered:
    """A compact file and its tier of bits, both opened: row i of one is row i of the other."""

    file: RangedFile
    bits: RangedFile
    wanted: Wanted


def open_tiered(root: Root, found: Sequence[tuple[FileAt, FileAt, Wanted]]) -> list[Tiered]:
    """Read both footers of each, side by side.

    Raises DatasetError, also where the two have other row groups, TransientError.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        files = list(threads.map(lambda each: RangedFile.open(root, each[0]), found))
        tiers = list(threads.map(lambda each: RangedFile.open(root, each[1]), found))
    for file, tier in zip(files, tiers, strict=True):
        if [file.rows(group) for group in range(file.groups)] != [tier.rows(group) for group in range(tier.groups)]:
            raise damaged(root, tier.at, f"its row groups are not those of {file.at.key}")
        if lacking := sorted(set(_READ) - set(tier.names)):
            raise damaged(root, tier.at, f"it has no column {', '.join(lacking)}")
    return [
        Tiered(file=file, bits=tier, wanted=wanted)
        for file, tier, (_, _, wanted) in zip(files, tiers, found, strict=True)
    ]


def choose_by_bits(root: Root, tiered: Sequence[Tiered], judge: Judge, candidates: Candidates) -> NDArray[np.int64]:
    """Give the numbers of rows that may be the best, counted through all files, ascending.

    Raises DatasetError, TransientError.
    """
    first = 0
    starts = []
    for each in tiered:
        starts.append(first)
        first += each.file.at.rows
    work = []
    for each, start in zip(tiered, starts, strict=True):
        for group in range(each.bits.groups):
            work.append((each, group, start))
            start += each.bits.rows(group)  # noqa: PLW2901 - where the next group begins

    def one(each: Tiered, group: int, start: int) -> tuple[pa.Table, NDArray[np.intp], int]:
        table = each.bits.read(group, _READ)
        try:
            return table, rows_of_tier(table, each.wanted), start
        except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise damaged(root, each.bits.at, f"row group {group} is no tier's: {error}") from error

    for table, rows, start in side_by_side([partial(one, *each) for each in work]):
        taken = rows[judge.judge(table.take(rows))]
        if len(taken):
            candidates.add(np.ascontiguousarray(read_small(table, "bits")[taken]), start + taken.astype(np.int64))
    return candidates.best()


def side_by_side[Result](work: "Sequence[partial[Result]]") -> Iterator[Result]:
    """Do some of it at a time, and give what comes in the order of the work."""
    waiting = iter(work)
    threads = ThreadPoolExecutor(AT_ONCE)
    try:
        going: list[Future[Result]] = [threads.submit(each) for each in islice(waiting, AT_ONCE)]
        while going:
            result = going.pop(0).result()
            going += [threads.submit(each) for each in islice(waiting, 1)]
            yield result
    finally:
        threads.shutdown(cancel_futures=True)
