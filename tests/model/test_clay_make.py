"""`make clay` where a checkpoint cannot be read."""

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"
MAKE = shutil.which("make")


@pytest.mark.skipif(MAKE is None, reason="no make")
def test_a_checkpoint_without_python_3_11_is_refused_in_words(tmp_path: Path) -> None:
    command = [str(MAKE), "-f", str(MAKEFILE), "clay", "CHECKPOINT=clay.ckpt", "PYTHON311="]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "reading a CHECKPOINT takes torch, whose build here is for Python 3.11" in done.stderr
    assert "parity" not in done.stdout
