"""A signal is raised where work can be left, once, and only noted where something is begun or ended."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from clayline_local.stopping import SIGNALS, Stopped, catching, check, stoppable


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
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
