"""A signal is raised where work can be left, once, and only noted where something is begun or ended."""

import contextlib
import gc
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from clayline_local.stopping import SIGNALS, Stopped, catching, check, stoppable, temporary_folder

if TYPE_CHECKING:
    from _typeshed import TraceFunction


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = [signal.getsignal(number) for number in SIGNALS]
    gc.disable()  # hypothesis has it call Python, and what a signal raises in there is lost
    yield
    gc.enable()
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_what_can_be_left_is_left_at_once(number: signal.Signals) -> None:
    reached = False
    with catching(), pytest.raises(Stopped) as stopped, stoppable():  # noqa: PT012 - what must not be reached
        signal.raise_signal(number)
        reached = True
    assert not reached
    assert stopped.value.exit_status == 128 + number


def test_elsewhere_it_waits_for_the_next_place_where_something_can_be_left() -> None:
    done = []
    with catching():
        signal.raise_signal(signal.SIGTERM)
        done.append("begun and noted")
        with pytest.raises(Stopped), stoppable():
            done.append("not reached")
        with pytest.raises(Stopped):
            check()
    assert done == ["begun and noted"]


def test_what_is_put_away_on_the_way_out_is_not_interrupted_by_the_impatient() -> None:
    done = []
    with catching(), pytest.raises(Stopped) as stopped, stoppable():  # noqa: PT012 - what is done on the way out
        try:
            with stoppable():
                signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)
            done.append("put away")
    assert done == ["put away"]
    assert stopped.value.signal is signal.SIGINT  # the first


def test_what_was_raised_where_it_gets_lost_is_raised_again() -> None:
    reached = False
    with catching(), pytest.raises(Stopped), stoppable():  # noqa: PT012 - what must not be reached
        with contextlib.suppress(KeyboardInterrupt):  # as a destructor does
            signal.raise_signal(signal.SIGTERM)
        check()
        reached = True
    assert not reached


def test_one_that_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with catching(), stoppable():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nobody_who_does_not_ask_for_it_is_changed() -> None:
    with pytest.raises(KeyboardInterrupt) as interrupted, stoppable():
        signal.raise_signal(signal.SIGINT)
    assert type(interrupted.value) is KeyboardInterrupt


def _signal_at(moment: int, act: Callable[[], object]) -> bool:
    """Run something with a signal at its ``moment``-th line of Python; gives whether it has so many."""
    left = moment

    def trace(_frame: FrameType, event: str, _argument: object) -> "TraceFunction":
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with contextlib.suppress(Stopped):
            act()
    finally:
        sys.settrace(before)
    return left <= 0


def _inside() -> None:
    with stoppable(), temporary_folder("of-a-test-") as folder:
        (folder / "something").touch()


def _outside() -> None:
    with temporary_folder("of-a-test-") as folder, stoppable():
        (folder / "something").touch()


def _within() -> None:
    with stoppable(), temporary_folder("of-a-test-", within=Path(tempfile.gettempdir())) as folder:
        (folder / "something").touch()


@pytest.mark.parametrize("use", [_inside, _outside, _within])
def test_no_temporary_folder_is_left_whichever_line_a_signal_comes_at(
    use: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    moment = 0
    more = True
    while more:
        moment += 1
        with catching():
            more = _signal_at(moment, use)
        assert list(tmp_path.iterdir()) == [], moment
    assert moment > 50  # the lines of tempfile and shutil are among them


def test_what_is_done_in_a_temporary_folder_can_be_left_as_before(
    tmp_path: Path,
) -> None:
    def interrupted(outer: AbstractContextManager[None]) -> bool:
        reached = False
        with catching(), contextlib.suppress(Stopped), outer, temporary_folder("of-a-test-", within=tmp_path):
            signal.raise_signal(signal.SIGTERM)
            reached = True
        return not reached

    assert interrupted(stoppable())
    assert not interrupted(contextlib.nullcontext())
