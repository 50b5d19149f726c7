"""The stages of a batch: what is logged of each, and that those of different batches overlap."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.server.container import Container, running_container
from tests.server.model_folders import build_model_folder
from tests.server.requests import chips, request_body

BATCHES = ("b00000", "b00001", "b00002")


@contextmanager
def slow_container(tmp_path: Path, *flags: str) -> Iterator[tuple[Container, Path]]:
    """A server whose runs take long enough to be looked at, with every event in its log."""
    folder = build_model_folder(tmp_path / "models", busy_loops=150)
    with running_container(tmp_path / "models", tmp_path / "log", "--cpu-threads", "1", "--log-level", "DEBUG", *flags) as container:
        yield container, folder


def send_all(container: Container, folder: Path, *, after: str = "batch parsed") -> dict[str, float]:
    """Send each batch once ``after`` is logged of the one before; give the clock at which each was answered."""

    def invoke(batch: str) -> float:
        assert container.invoke(request_body(folder, chips(2), batch=batch)).status == 200
        return time.time()

    with ThreadPoolExecutor(len(BATCHES)) as pool:
        futures = []
        for batch in BATCHES:
            futures.append(pool.submit(invoke, batch))
            container.wait_for(after, batch=batch)
        return {batch: future.result() for batch, future in zip(BATCHES, futures, strict=True)}


def events(container: Container) -> list[tuple[str, str]]:
    return [(line["message"], line["batch"]) for line in container.lines() if line.get("batch")]


def clock_of(container: Container, event: str, batch: str) -> float:
    (line,) = [line for line in container.lines() if (line["message"], line.get("batch")) == (event, batch)]
    return datetime.fromisoformat(line["time"]).timestamp()


def test_the_next_batch_is_received_and_parsed_while_one_computes_and_the_one_before_is_answered(tmp_path: Path) -> None:
    with slow_container(tmp_path) as (container, folder):
        answered = send_all(container, folder)
        order = events(container)
        first, second, third = BATCHES
        # One computes at a time, in the order in which they came...
        computing = [event for event in order if event[0] in {"batch begun", "batch embedded"}]
        assert computing == [(message, batch) for batch in BATCHES for message in ("batch begun", "batch embedded")]
        # ... while the next ones are parsed ...
        assert order.index(("batch parsed", second)) < order.index(("batch embedded", first))
        assert order.index(("batch parsed", third)) < order.index(("batch embedded", second))
        # ... and the one before is on its way to its client.
        assert answered[first] < clock_of(container, "batch embedded", second)
        assert answered[second] < clock_of(container, "batch embedded", third)


def test_with_concurrency_2_two_batches_compute_at_once(tmp_path: Path) -> None:
    with slow_container(tmp_path, "--concurrency", "2") as (container, folder):
        send_all(container, folder)
        begun, most = 0, 0
        for message, _ in events(container):
            begun += {"batch begun": 1, "batch embedded": -1}.get(message, 0)
            most = max(most, begun)
    assert most == 2


def computed(container: Container, batch: str) -> dict[str, Any]:
    (line,) = [line for line in container.lines() if line["message"] == "batch computed" and line["batch"] == batch]
    return line


STAGES = ("receiving", "parsing", "waiting", "computing", "serialising")


def test_a_batchs_line_tells_its_size_and_the_seconds_of_each_stage(tmp_path: Path) -> None:
    with slow_container(tmp_path, "--micro-batch", "1") as (container, folder):
        body = request_body(folder, chips(2), batch=BATCHES[0])
        started = time.perf_counter()
        container.invoke(body)
        took = time.perf_counter() - started
        line = computed(container, BATCHES[0])
    assert (line["run"], line["attempt"], line["token"]) == ("0a" * 16, 2, "tiny-v1.0-test")
    assert (line["chips"], line["bytes"], line["micro_batch"], line["non_finite"]) == (2, len(body), 1, 0)
    seconds = {stage: line[f"seconds_{stage}"] for stage in STAGES}
    assert all(value >= 0 for value in seconds.values()), seconds
    assert sum(seconds.values()) == pytest.approx(line["seconds"], abs=1e-5)
    assert line["seconds"] < took
    assert seconds["computing"] == max(seconds.values())


def test_who_waits_for_another_batch_says_so(tmp_path: Path) -> None:
    with slow_container(tmp_path) as (container, folder):
        send_all(container, folder)
        first, second = computed(container, BATCHES[0]), computed(container, BATCHES[1])
    assert second["seconds_waiting"] > first["seconds_computing"] / 4 > 4 * first["seconds_waiting"]


def test_who_waits_for_a_thread_says_so_too(tmp_path: Path) -> None:
    with slow_container(tmp_path, "--threads", "1") as (container, folder), ThreadPoolExecutor(2) as pool:
        sent = []
        for batch in BATCHES[:2]:
            sent.append(pool.submit(container.invoke, request_body(folder, chips(2), batch=batch)))
            container.wait_for("batch begun", batch=BATCHES[0])
        assert [each.result().status for each in sent] == [200, 200]
        first, second = computed(container, BATCHES[0]), computed(container, BATCHES[1])
    assert second["seconds_waiting"] > first["seconds_computing"] / 4


def test_a_slow_sender_shows_in_receiving(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models")
    with running_container(tmp_path / "models", tmp_path / "log") as container:
        body = request_body(folder, chips(2), batch=BATCHES[0])
        lingered = 0.0

        def slowly() -> Iterator[bytes]:
            nonlocal lingered
            yield body[:1000]
            for _ in range(2):  # what was sent before is read by the turn of the server's loop after the first answer
                assert container.request("GET", "/ping").status == 200
            began = time.perf_counter()
            time.sleep(0.1)
            lingered = time.perf_counter() - began
            yield body[1000:]

        headers = {"Content-Length": str(len(body))}
        assert container.request("POST", "/invocations", slowly(), headers=headers).status == 200
        line = computed(container, BATCHES[0])
    assert line["seconds_receiving"] >= lingered - 1e-5  # the log rounds
    assert sum(line[f"seconds_{stage}"] for stage in STAGES) == pytest.approx(line["seconds"], abs=1e-5)  # so it is in no other one
