"""Contenders that fail take only themselves along, and say why; what was measured until then is reported."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import onnxruntime
import pytest
from benchmarks.clay_contenders import Contender, ContenderError, alternate, compare
from benchmarks.clay_gpu_run import lend_cuda_libraries
from tests.server.container import Container, start_process

from benchmarks import clay_gpu, clay_gpu_parts, clay_onnx, clay_server

MORTAL = """
import os
import sys

from benchmarks.clay_worker import serve, timed


def make(order):
    left = [order["lives"]]

    def run(_order):
        left[0] -= 1
        if left[0] < 0:
            print("the GPU fell off the bus", file=sys.stderr, flush=True)
            os._exit(7)
        return timed(lambda: None, repeat=1)

    def fall_back(_order):
        print("libcublasLt.so.13: cannot open shared object file", file=sys.stderr, flush=True)
        raise RuntimeError("fell back to the CPU")

    return {"versions": lambda _: {}, "run": run, "fall_back": fall_back}


serve(make)
"""
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
Start = Callable[[int], Contender]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Give what starts a contender that ends when it is asked to run once more than it has lives."""
    (tmp_path / "mortal.py").write_text(MORTAL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started: list[Contender] = []

    def give(lives: int) -> Contender:
        started.append(Contender("mortal", {"lives": lives}, folder=tmp_path))
        return started[-1]

    yield give
    for contender in started:
        contender.stop()


def test_a_contender_that_dies_in_the_second_round_takes_only_its_own_further_rounds_along(start: Start) -> None:
    contenders = {"lasting": start(9), "mortal": start(1)}
    dropped: list[tuple[str, str]] = []
    found = alternate(
        {name: lambda contender=contender: contender.ask("run") for name, contender in contenders.items()},  # type: ignore[misc]
        rounds=3,
        dropped=lambda name, error: dropped.append((name, str(error))),
    )
    assert {name: len(results) for name, results in found.items()} == {"lasting": 3, "mortal": 1}
    assert dropped == [("mortal", "it ended with status 7: the GPU fell off the bus")]
    assert len(compare(found["lasting"], found["mortal"])["ratios"]) == 1
    with pytest.raises(ContenderError, match="status 7"):  # and ending it afterwards fails as little
        contenders["mortal"].ask("run")


def test_one_that_never_completed_a_round_is_not_among_the_results(start: Start) -> None:
    contender = start(0)
    assert alternate({"mortal": lambda: contender.ask("run")}, rounds=2, dropped=lambda _name, _error: None) == {}


def test_the_end_of_the_log_is_in_a_contenders_error(start: Start) -> None:
    with pytest.raises(ContenderError, match=r"fell back to the CPU; its log ends: libcublasLt\.so\.13: cannot open"):
        start(1).ask("fall_back")


def test_a_session_that_fell_back_to_the_cpu_is_not_measured_and_says_what_did_not_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: SimpleNamespace(get_providers=lambda: [CPU]))
    with pytest.raises(
        RuntimeError, match=r"fell back to the CPU: .*libonnxruntime_providers_\w+\.so: cannot open shared object file"
    ):
        clay_onnx.product_rate({"device": "cuda", "product": (8, 8, 8), "threads": 1, "repeat": 1})


def test_no_round_but_the_first_begins_in_the_last_minute() -> None:
    def rounds(seconds: float) -> int:
        found = alternate(
            {"one": lambda: {"seconds": 1.0}},
            rounds=4,
            dropped=lambda _name, _error: None,
            deadline=time.monotonic() + seconds,
        )
        return len(found["one"])

    assert (rounds(-5), rounds(59), rounds(10_000)) == (1, 1, 4)


@pytest.mark.parametrize(
    ("device", "graphs", "good"),
    [
        ("cuda", [[CUDA, CPU], [CUDA, CPU]], True),
        ("cuda", [[CPU], [CPU]], False),
        ("cuda", [[CUDA, CPU], [CPU]], False),
        ("cuda", [], False),
        ("cpu", [[CPU], [CPU]], True),
        ("cpu", [[CUDA, CPU], [CPU]], False),
    ],
)
def test_a_server_on_another_device_than_asked_for_is_not_measured(
    tmp_path: Path, device: str, graphs: list[list[str]], *, good: bool
) -> None:
    log = tmp_path / "log"
    log.write_text(
        "Failed to load libcudnn.so.9\n" + json.dumps({"message": "ready", "tokens": {"a-v1-b": graphs}}) + "\n"
    )
    running = cast("subprocess.Popen[bytes]", SimpleNamespace(poll=lambda: None))
    container = Container(process=running, log=log, port=1, libraries_print=True)
    if good:
        clay_server.check_device(container, "a-v1-b", device)
    else:
        with pytest.raises(ContenderError, match=rf"does not run on {device}.*libcudnn\.so\.9"):
            clay_server.check_device(container, "a-v1-b", device)


def test_the_server_finds_what_lies_on_the_callers_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/one{os.pathsep}{tmp_path}/two")
    program = (sys.executable, "-c", "import os; print(os.environ['PYTHONPATH'])")
    assert start_process(tmp_path, tmp_path / "log", program=program).wait(timeout=60) == 0
    paths = (tmp_path / "log").read_text().strip().split(os.pathsep)
    assert [Path(path).name for path in paths] == ["model", "clayline", "one", "two"]


def test_torchs_cuda_libraries_are_lent_to_a_python_without_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site/nvidia/cu13/lib").mkdir(parents=True)
    (tmp_path / "site/nvidia/cudnn/lib").mkdir(parents=True)
    torch_python = tmp_path / "python"
    torch_python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/site exec {sys.executable} "$@"\n')
    torch_python.chmod(0o755)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/before")
    folders = [f"{tmp_path}/site/nvidia/{name}/lib" for name in ("cu13", "cudnn")]
    assert lend_cuda_libraries(torch_python, torch_python) == []  # it has its own
    assert os.environ["LD_LIBRARY_PATH"] == "/before"
    assert lend_cuda_libraries(Path(sys.executable), torch_python) == folders
    assert os.environ["LD_LIBRARY_PATH"] == os.pathsep.join(["/before", *folders])
    assert lend_cuda_libraries(Path(sys.executable), tmp_path / "nonexistent") == []


def gpu_program(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    monkeypatch.setattr(
        sys, "argv", ["clay_gpu.py", "--device", "cpu", "--size", "tiny", "--quick", "--largest-batch", "1", *flags]
    )
    clay_gpu.main()


def test_the_summary_comes_whatever_a_part_fails_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def late(_run: Any) -> None:
        raise subprocess.TimeoutExpired(["serve"], 60)

    def broken(_run: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(clay_gpu_parts.PARTS, "products", late)
    monkeypatch.setitem(clay_gpu_parts.PARTS, "batches", broken)
    with pytest.raises(ZeroDivisionError):
        gpu_program(monkeypatch, "--parts", "products,batches")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["name"] for line in lines] == ["clay_gpu", "clay_gpu_part", "clay_gpu_summary"]
    assert (lines[0]["not_done"], lines[0]["why"]) == (
        "products",
        "TimeoutExpired: Command '['serve']' timed out after 60 seconds",
    )


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "benchmarks.clay_gpu_parts", None)
    with pytest.raises(SystemExit, match=r"missing package: benchmarks\.clay_gpu_parts"):
        gpu_program(monkeypatch)
    monkeypatch.setitem(sys.modules, "annotated_types", None)
    with pytest.raises(SystemExit, match="missing packages: annotated_types;"):
        gpu_program(monkeypatch)
