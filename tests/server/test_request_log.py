"""Every log line about a request says which batch it is about, whatever became of it.

Over HTTP, with a chain that fails when told to.
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.server.scripted_chains import SECONDS, Fate, Told
from tests.server.serving import RUN, TOKEN, Serving, serving

from server.health import FAILURES
from server.request_log import FieldLog


@pytest.fixture
def chain() -> Told:
    return Told()


@pytest.fixture
def server(tmp_path: Path, chain: Told) -> Iterator[Serving]:
    with serving(tmp_path, chain, concurrency=2, level=logging.INFO) as server:
        yield server


def assert_each_names(lines: list[dict[str, Any]], batch: str = "b00007", *, token: str = TOKEN, within: float) -> None:
    for line in lines:
        assert (line["run"], line["batch"], line["token"], line["chips"]) == (RUN, batch, token, 4), line
        assert 0 < line["seconds"] <= within


GOOD: dict[str, Any] = {}
CASES = {
    "good": (GOOD, (200, ""), ["batch computed"]),
    "no such folder": ({"folder": "other-v1.0"}, (400, "unknown-model"), ["unknown-model"]),
    "no such token": ({"token": "tiny-v1.0-other"}, (400, "unknown-model"), ["unknown-model"]),
    "another digest": ({"digest": "sha256:" + "0" * 64}, (400, "model-changed"), ["model-changed"]),
    "another shape": ({"size": 32}, (400, "wrong-shape"), ["wrong-shape"]),
    "a failed run": ({"pixel": Fate.FAIL}, (500, "inference-failed"), ["inference failed", "inference-failed"]),
    "halved": (
        {"pixel": Fate.FIT_IN_TWOS},
        (200, ""),
        ["out of memory, the same chips again", "micro-batch lowered until the process ends", "batch computed"],
    ),
    "no memory": (
        {"pixel": Fate.NEVER_FIT},
        (500, "out-of-memory"),
        [*["out of memory, the same chips again"] * 2, "out-of-memory"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_line_about_a_request_carries_its_batch_and_its_seconds(server: Serving, case: str) -> None:
    changed, expected, said = CASES[case]
    began = time.perf_counter()
    assert server.ask(**changed) == expected
    within = time.perf_counter() - began
    lines = server.log()
    assert [line.get("reason", line["message"]) for line in lines] == said
    assert_each_names(lines, token=changed.get("token", TOKEN), within=within)
    assert ["exception" in line for line in lines] == [words == "inference failed" for words in said]
    assert [line["tried"] for line in lines if "tried" in line] == [4, 2][
        : said.count("out of memory, the same chips again")
    ]


def test_the_line_of_a_batch_that_is_computed_again_alone_carries_it_too(server: Serving, chain: Told) -> None:
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.ask, "b00001", pixel=Fate.WAIT)
        assert chain.waits.wait(SECONDS)
        second = pool.submit(server.ask, "b00002", pixel=Fate.FAIL_BESIDE)
        assert (first.result(), second.result()) == ((200, ""), (200, ""))
    lines = [line for line in server.log() if line["batch"] == "b00002"]
    alone = "memory does not suffice beside another batch: the same chips again, alone"
    assert [line["message"] for line in lines] == [alone, "batch computed"]
    assert_each_names(lines, "b00002", within=time.perf_counter() - began)


def test_the_last_straw_is_named(server: Serving) -> None:
    began = time.perf_counter()
    for number in range(FAILURES):
        assert server.ask(f"b0000{number}", pixel=Fate.FAIL)[0] == 500
    lines = [line for line in server.log() if line["level"] == "CRITICAL"]
    assert len(lines) == 1
    assert_each_names(lines, f"b0000{FAILURES - 1}", within=time.perf_counter() - began)


def test_a_request_whose_header_says_nothing_has_its_seconds_alone(server: Serving) -> None:
    assert server.ask(clayline="request/1") == (400, "malformed")
    (line,) = server.log()
    assert (line["reason"], line["seconds"] > 0, "batch" in line) == ("malformed", True, False)


@pytest.mark.parametrize("extra", [None, {"chips": 3, "token": "call's"}])
def test_fields_stand_beside_a_lines_own_as_in_the_newer_logger_adapter(extra: dict[str, object] | None) -> None:
    logger = logging.getLogger("clayline.test")
    adapters = (
        logging.LoggerAdapter(logger, {"token": "own", "folder": "f"}, merge_extra=True),
        FieldLog(logger, token="own", folder="f"),
    )
    expected, found = (adapter.process("said", {} if extra is None else {"extra": extra}) for adapter in adapters)
    assert found == expected
