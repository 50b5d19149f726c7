"""Work that threads share: all of it is done, or the first error comes and nobody goes on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, override

import pytest

from clayline.chips.workers import each

SECONDS = 60
"""How long a test waits for what has to come."""


def test_everything_is_done_and_several_at_once() -> None:
    meeting, done = threading.Barrier(2), []

    def meet(item: int) -> None:
        meeting.wait(SECONDS)  # passes only where two are at work at once
        done.append(item)

    each(meet, range(4), workers=2)
    assert sorted(done) == [0, 1, 2, 3]


def test_nothing_to_do() -> None:
    each(lambda _: pytest.fail("there was nothing"), [])


def test_an_error_stops_what_has_not_begun_and_waits_for_what_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Item 0 fails; its thread may take up 2 before that is noticed. Whoever has begun goes on when it was."""
    noticed, begun, ended, before = threading.Event(), [], [], threading.active_count()

    class Noticing(ThreadPoolExecutor):
        @override
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            noticed.set()
            super().shutdown(wait=wait, cancel_futures=cancel_futures)

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            msg = "the first"
            raise LookupError(msg)
        assert noticed.wait(SECONDS)
        ended.append(item)

    monkeypatch.setattr("clayline.chips.workers.ThreadPoolExecutor", Noticing)
    with pytest.raises(LookupError, match="the first"):
        each(work, range(20), workers=2)
    assert 1 <= len(begun) <= 3
    assert sorted(ended) == sorted(set(begun) - {0})
    assert threading.active_count() == before


def test_the_caller_who_is_interrupted_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    before, begun = threading.active_count(), threading.Semaphore(0)
    monkeypatch.setattr("clayline.chips.workers.as_completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        each(lambda _: begun.release(), range(3))
    assert threading.active_count() == before
