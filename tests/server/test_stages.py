"""The stages of a batch: what is logged of each, and that those of different batches overlap.

No test compares with a length of time but one that it measured itself within what it compares: a slow machine only
makes both longer.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.server.scripted_chains import Gated
from tests.server.serving import RUN, TOKEN, Serving, log_of, serving

FIRST, SECOND, THIRD = BATCHES = ("b00000", "b00001", "b00002")
STAGES = ("receiving", "parsing", "waiting", "computing", "serialising")
ROUNDED = 1e-6
"""The log gives microseconds."""


def timed(server: Serving, batch: str, **about: Any) -> Callable[[], float]:
    """Give what sends a batch, and gives the seconds that passed until it was answered."""

    def ask() -> float:
        began = time.perf_counter()
        assert server.ask(batch, **about) == (200, "")
        return time.perf_counter() - began

    return ask


def seconds_of(server: Serving, batch: str) -> dict[str, float]:
    """Give the seconds of each stage, which add up to the whole."""
    line = server.line("batch computed", batch)
    seconds = {stage: float(line[f"seconds_{stage}"]) for stage in STAGES}
    assert all(value >= 0 for value in seconds.values()), seconds
    assert sum(seconds.values()) == pytest.approx(line["seconds"], abs=1e-5)
    return seconds


def events(server: Serving, *messages: str) -> list[tuple[str, str]]:
    return [(line["message"], line["batch"]) for line in server.log() if line["message"] in messages]


def test_the_next_batch_is_received_and_parsed_while_one_computes_and_the_one_before_is_answered(
    tmp_path: Path,
) -> None:
    chain = Gated(3)
    with serving(tmp_path, chain) as server, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(server.ask, FIRST, pixel=0)]
        for number, before in enumerate(chain.gates[:2]):
            before.wait_until_entered()
            # While one computes, the next one is received and parsed ...
            answers.append(pool.submit(server.ask, BATCHES[number + 1], pixel=number + 1))
            server.log.wait_for("batch parsed", batch=BATCHES[number + 1])
            # ... and while the next one computes, the answer to the one before reaches its client.
            before.opened.set()
            chain.gates[number + 1].wait_until_entered()
            assert answers[number].result(60) == (200, "")
        chain.gates[2].opened.set()
        assert answers[2].result(60) == (200, "")
        # One at a time, in the order in which they came.
        order = events(server, "batch begun", "batch embedded")
        assert order == [(message, batch) for batch in BATCHES for message in ("batch begun", "batch embedded")]


def test_with_concurrency_2_two_batches_compute_at_once(tmp_path: Path) -> None:
    chain = Gated(3)
    with serving(tmp_path, chain, concurrency=2) as server, ThreadPoolExecutor(3) as pool:
        answers = []
        for number, batch in enumerate(BATCHES):
            answers.append(pool.submit(server.ask, batch, pixel=number))
            server.log.wait_for("batch parsed", batch=batch)
            if number < 2:  # the second one while the first is held
                chain.gates[number].wait_until_entered()
        chain.release()
        assert [answer.result() for answer in answers] == [(200, "")] * 3
        begun, most = 0, 0
        for message, _ in events(server, "batch begun", "batch embedded"):
            begun += 1 if message == "batch begun" else -1
            most = max(most, begun)
    assert most == 2


def test_a_batchs_line_tells_its_size_and_the_seconds_of_each_stage(tmp_path: Path) -> None:
    chain = Gated(1)
    (gate,) = chain.gates
    with serving(tmp_path, chain, micro_batch=1) as server, ThreadPoolExecutor(1) as pool:
        took = pool.submit(timed(server, FIRST, count=2))
        gate.wait_until_entered()
        gate.hold()
        whole = took.result()
        line = server.line("batch computed", FIRST)
        seconds = seconds_of(server, FIRST)
        size = len(server.body(FIRST, count=2))
    assert (line["run"], line["token"]) == (RUN, TOKEN)
    assert (line["chips"], line["bytes"], line["micro_batch"], line["non_finite"]) == (2, size, 1, 0)
    assert line["seconds"] < whole + ROUNDED
    # The chain's own time is in computing, and so in no other one.
    assert seconds["computing"] >= gate.seconds - ROUNDED
    assert max(seconds[stage] for stage in STAGES if stage != "computing") <= whole - gate.seconds + ROUNDED


def test_who_waits_for_another_batch_says_so(tmp_path: Path) -> None:
    chain = Gated(2)
    first, second = chain.gates
    with serving(tmp_path, chain) as server, ThreadPoolExecutor(2) as pool:
        took_first = pool.submit(timed(server, FIRST, pixel=0))
        first.wait_until_entered()
        took_second = pool.submit(timed(server, SECOND, pixel=1))
        server.log.wait_for("batch parsed", batch=SECOND)
        waited = first.hold()
        second.wait_until_entered()
        second.hold()
        assert took_first.result() > waited
        assert took_second.result() > waited
        computing, waiting = seconds_of(server, FIRST), seconds_of(server, SECOND)
    assert computing["computing"] >= waited - ROUNDED
    assert computing["waiting"] <= took_first.result() - first.seconds + ROUNDED
    assert waiting["waiting"] >= waited - ROUNDED
    assert waiting["computing"] >= second.seconds - ROUNDED
    assert waiting["computing"] <= took_second.result() - waited + ROUNDED


def test_who_waits_for_a_thread_says_so_too(tmp_path: Path) -> None:
    chain = Gated(2)
    first, second = chain.gates
    second.opened.set()
    with serving(tmp_path, chain, threads=1) as server, ThreadPoolExecutor(2) as pool:
        took_first = pool.submit(timed(server, FIRST, pixel=0))
        first.wait_until_entered()
        with log_of("waitress.queue") as queue:
            took_second = pool.submit(timed(server, SECOND, pixel=1))
            queue.wait_for("Task queue depth is 1")  # received, and the only thread computes
        waited = first.hold()
        assert took_first.result() > waited
        assert took_second.result() > waited
        assert seconds_of(server, SECOND)["waiting"] >= waited - ROUNDED
        assert events(server, "batch computed", "batch parsed")[:2] == [
            ("batch parsed", FIRST),
            ("batch computed", FIRST),
        ]


def test_a_slow_sender_shows_in_receiving(tmp_path: Path) -> None:
    chain = Gated(1)
    chain.release()
    with serving(tmp_path, chain) as server:
        body = server.body(FIRST)
        lingered = 0.0

        def slowly() -> Iterator[bytes]:
            nonlocal lingered
            yield body[:1000]
            for _ in range(2):  # what was sent before is read by the turn of the server's loop after the first answer
                assert server.ping() == 200
            began = time.perf_counter()
            time.sleep(0.1)
            lingered = time.perf_counter() - began
            yield body[1000:]

        assert server.send(slowly(), **{"Content-Length": str(len(body))}) == (200, "")
        assert seconds_of(server, FIRST)["receiving"] >= lingered - ROUNDED  # so it is in no other one
