"""Progress on a terminal is one line that is drawn again; in a log it is a line every so often."""

import io

import pytest

from clayline_cli.console import LOG_EVERY, Console
from clayline_local.dropped import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_log_has_a_line_for_each_change_of_stage_and_every_so_often(clock: Clock) -> None:
    stream = io.StringIO()
    console = Console(quiet=False, stream=stream, clock=clock)
    console.begin("item.json")
    for batches, settled in [(None, 0), (None, 0), (200, 0), *((200, settled) for settled in range(1, 201))]:
        console.progress(Progress(batches=batches, settled=settled))
        clock.now += 1
    console.end()
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["item.json", "0", "s", "planning"]
    assert "0 of 200" in lines[1]
    assert "200 of 200" in lines[-1]
    assert len(lines) == pytest.approx(3 + 200 / LOG_EVERY, abs=1)
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_log_says_that_it_is_alive_where_nothing_changes(clock: Clock) -> None:
    stream = io.StringIO()
    console = Console(quiet=False, stream=stream, clock=clock)
    console.begin("item.json")
    for _ in range(3):
        console.progress(Progress(batches=2, settled=1))
        clock.now += LOG_EVERY
    assert len(stream.getvalue().splitlines()) == 3


def test_a_terminal_has_one_line_that_notices_do_not_break(clock: Clock) -> None:
    stream = Terminal()
    console = Console(quiet=False, stream=stream, clock=clock, columns=lambda: 40)
    console.begin("a-very-long-name-that-no-terminal-is-wide-enough-for.json")
    for settled in range(5):
        console.progress(Progress(batches=4, settled=settled))
    assert "\n" not in stream.getvalue()
    assert max(len(line.removeprefix("\x1b[K")) for line in stream.getvalue().split("\r")) == 39
    console.notice("something")
    assert stream.getvalue().endswith("\r\x1b[Ksomething\n")
    console.end()
    assert stream.getvalue().endswith("something\n")


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_quiet_says_what_must_not_be_missed_alone(stream: io.StringIO) -> None:
    console = Console(quiet=True, stream=stream)
    console.begin("item.json")
    console.notice("starting")
    console.progress(Progress(batches=1, settled=1))
    console.end()
    console.warn("random")
    console.error("full")
    assert stream.getvalue() == "WARNING: random\nclayline: full\n"
