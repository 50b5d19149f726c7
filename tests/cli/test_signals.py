"""A call that is stopped ends whole: children, temporary folders, one line, the usual exit status."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pipeline.scenes import landsat

from clayline_local.repository import ROOT

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are counted in /proc"),
]
MARK = "CLAYLINE_TEST_MARK"
PATIENCE = 120
"""Seconds: what hangs is what fails here, not what is slow."""


def _marked(mark: str) -> list[str]:
    """Give the command lines of the processes that were started with this mark in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or is not ours
    return found


@pytest.fixture
def call(
    tmp_path: Path, sample: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """Start the command on a scene; gives it, the mark of its processes, and its folder for what is temporary."""
    for key, body in landsat(sample, row=600, col=400, height=640, width=640).items():
        (tmp_path / Path(key).name).write_bytes(body)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    mark = f"{os.getpid()}-{request.node.name}"
    path = os.pathsep.join(str(ROOT / part) for part in ("cli", "local", "layers/clayline"))
    program = "import sys; from clayline_cli.program import command; command()"
    command = [
        sys.executable,
        "-c",
        program,
        "embed",
        str(tmp_path / "item.json"),
        "--out",
        str(tmp_path / "out"),
        "--batch-chips",
        "1",
    ]
    environment = {**os.environ, MARK: mark, "TMPDIR": str(temporary), "PYTHONPATH": path}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, mark, temporary
        finally:
            process.kill()


def _read_until(process: subprocess.Popen[str], what: str) -> None:
    assert process.stderr
    for line in process.stderr:
        if what in line:
            return
    pytest.fail(f"it never said {what!r}")


@pytest.mark.parametrize(
    ("number", "gate"),
    [
        (signal.SIGTERM, "batches embedded"),
        (signal.SIGHUP, "starting moto_server"),
        (signal.SIGINT, "ready after"),
    ],
)
def test_a_signal_ends_everything(
    call: tuple[subprocess.Popen[str], str, Path], number: signal.Signals, gate: str
) -> None:
    process, mark, temporary = call
    _read_until(process, gate)
    process.send_signal(number)
    process.send_signal(number)  # somebody is impatient
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in told
    assert "Traceback" not in told
    assert _marked(mark) == []
    assert list(temporary.iterdir()) == []


def test_a_signal_while_the_program_is_imported_ends_it_without_a_traceback() -> None:
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["clayline"]
    module, _, function = script.partition(":")
    program = f"""
import os, signal, sys

class Impatient:
    def find_spec(self, name, *_):
        if name == "clayline_cli.command_line":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Impatient())
from {module} import {function}
{function}()
"""
    path = os.pathsep.join(str(ROOT / part) for part in ("cli", "local", "layers/clayline"))
    found = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (found.returncode, found.stderr) == (-signal.SIGINT, "")


def test_children_end_with_a_parent_that_was_killed(call: tuple[subprocess.Popen[str], str, Path]) -> None:
    process, mark, _ = call
    _read_until(process, "batches embedded")
    assert len(_marked(mark)) > 5
    process.kill()
    process.communicate(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while left := _marked(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
