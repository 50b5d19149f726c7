"""The programs that measure Clay run from end to end with `tiny` on a CPU.

What they measure is not looked at, only that they do.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.clay_contenders import Contender, ContenderError, alternate, compare

ROOT = Path(__file__).parents[2]


def run(program: str, *flags: str) -> dict[str, list[dict[str, Any]]]:
    """Run it and give what it printed, by name; a missed target is no failure here."""
    command = [sys.executable, str(ROOT / "benchmarks" / program), "--size", "tiny", *flags]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0 or "a target was missed" in done.stderr, done.stderr[-2000:]
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, done.stdout.splitlines()):
        lines.setdefault(line["name"], []).append(line)
    return lines


def test_the_gpu_program_runs_all_its_parts_without_a_gpu() -> None:
    flags = [
        "--device",
        "cpu",
        "--quick",
        "--rounds",
        "1",
        "--largest-batch",
        "1",
        "--request-chips",
        "2",
        "--torch-python",
        "/nonexistent",
    ]
    lines = run("clay_gpu.py", *flags)
    assert [line["part"] for line in lines["clay_gpu_part"]] == [
        "products",
        "batches",
        "stages",
        "contenders",
        "parity",
        "server",
    ]
    # What is missing is said, and everything else is measured.
    left_out = {line["not_done"] for line in lines["clay_gpu"]}
    assert left_out == {"products in torch", "claymodel-as-shipped", "claymodel-compiled-bf16", "parity of claymodel"}
    assert {line["contender"] for line in lines["clay_gpu_contender_speed"]} == {
        "fp16",
        "fp16-folded",
        "fp16-wide-residual",
    }
    assert [line["stage"] for line in lines["clay_gpu_stages_fp16_loss"]] == ["stem", "trunk", "tail"]
    [outside], [trunk] = (
        lines["clay_gpu_stages_fp16_outside_trunk"],
        [line for line in lines["clay_gpu_stages_fp16"] if line["stage"] == "trunk"],
    )
    assert 0 < outside["share"] < 1
    assert outside["share"] == pytest.approx(1 - trunk["share"], abs=2e-5)  # both are rounded
    found = {line["of"]: line for line in lines["clay_gpu_parity"]}
    assert found["fp16"]["least_cosine"] > 0.9999
    assert 0 < found["fp16-wide"]["largest_difference"] < found["fp16"]["largest_difference"]
    [summary] = lines["clay_gpu_summary"]
    assert summary["counts"] is False
    assert {"fp16_vs_claymodel-as-shipped", "fp16_vs_claymodel-compiled-bf16"} == set(summary["not_measured"])
    # Through the server, against chips that never leave the device; the other way of comparing has a line of its own.
    [server], [best] = lines["clay_server_http_vs_bare"], lines["clay_gpu_best_batch"]
    assert summary["goals"]["server_vs_bare"]["value"] == pytest.approx(
        server["http_chips_per_second"] / best["chips_per_second"], rel=0.01
    )


def test_the_gpu_program_says_that_there_is_no_gpu() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/clay_gpu.py"), "--size", "tiny"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={"PATH": "/nonexistent"}, timeout=280
    )
    assert done.returncode == 1
    assert "no NVIDIA GPU here" in done.stderr


def test_the_server_program_compares_a_folder_that_it_writes() -> None:
    lines = run("clay_server.py", "--chips", "2", "--in-flight", "2", "--rounds", "1", "--precision", "int8", "--loss")
    [line] = lines["clay_server_http_vs_bare"]
    assert line["ratio"] > 0
    assert (line["chips_per_request"], line["loss_metric"]) == (2, "masked-l1-m0.75-k1-s0")


@pytest.mark.skipif(
    not (ROOT / ".venv-model/claymodel").is_dir(), reason="no torch here: make setup-model needs a Python 3.11"
)
def test_the_cpu_program_measures_ours_and_the_published_model() -> None:
    lines = run("clay_cpu.py", "--parts", "compare,stages", "--rounds", "1", "--stage-rounds", "1")
    assert {line["contender"] for line in lines["clay_cpu_compare"]} == {
        "fp32",
        "folded",
        "int8",
        "torch-as-shipped",
        "torch-highest",
    }
    against = {(line["of"], line["against"]): line for line in lines["clay_cpu_vectors"]}
    assert against["fp32", "torch"]["largest_difference"] < 1e-4
    assert lines["clay_cpu_fp32_vs_torch_as_shipped"][0]["target"] == 1.0
    assert sum(line["share"] for line in lines["clay_cpu_stages_fp32"]) == pytest.approx(1, abs=1e-4)
    [stems] = lines["clay_stems_at_start"]
    assert stems["sensors"] == 9
    assert stems["of_which_hyper_network"] > 0


def test_a_contender_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ContenderError, match=r"FileNotFoundError.*pixels\.npy"):
        Contender(
            "benchmarks.clay_onnx",
            {"device": "cpu", "stages": ["x.onnx"], "threads": 1, "chips": str(tmp_path)},
            folder=tmp_path,
        )


def test_rounds_alternate_and_ratios_are_by_round() -> None:
    order: list[str] = []
    seconds = {"ours": iter([1.0, 4.0, 1.0]), "theirs": iter([2.0, 4.0, 3.0])}

    def work(name: str) -> dict[str, float]:
        order.append(name)
        return {"seconds": next(seconds[name])}

    found = alternate(
        {"ours": lambda: work("ours"), "theirs": lambda: work("theirs")}, rounds=3, dropped=lambda _name, _error: None
    )
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert compare(found["ours"], found["theirs"]) == {"ratio": 2.0, "ratios": [1.0, 2.0, 3.0]}
