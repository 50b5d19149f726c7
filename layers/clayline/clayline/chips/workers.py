"""Work that several threads of a process share."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

WORKERS: Final = 2
"""Threads that work at once: about the processors that tile's memory brings (template.yaml, TileMemory)."""


def each[Item](work: Callable[[Item], object], items: Iterable[Item], *, workers: int = WORKERS) -> None:
    """Do ``work`` for each item, by so many threads; it should leave Python's lock to others, as numpy and GDAL do.

    When this ends, no thread goes on. Raises the first error of ``work``: then what has not begun is not begun.
    """
    with ThreadPoolExecutor(workers) as pool:
        begun = [pool.submit(work, item) for item in items]
        try:
            for done in as_completed(begun):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
