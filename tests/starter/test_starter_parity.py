"""Every graph gives what the published network gives under torch."""

import re
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-model" / "bin" / "python"
STARTER = ROOT / "model" / "starter"

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(),
    reason=(
        "no .venv-model (Python 3.11 with requirements/model.txt): torch is only there, so parity cannot be measured"
    ),
)


def parity(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(PYTHON), str(STARTER / "parity.py"), "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_the_committed_graphs_agree_with_torch() -> None:
    done = parity(STARTER / "starter-v1.0")
    assert done.returncode == 0, done.stdout + done.stderr
    measured = re.findall(r"^starter-\S+: max-abs (\S+),", done.stdout, flags=re.MULTILINE)
    assert len(measured) == 7
    assert max(float(value) for value in measured) < 1e-4


def test_a_graph_that_normalises_otherwise_is_found_out(tmp_path: Path) -> None:
    folder = shutil.copytree(STARTER / "starter-v1.0", tmp_path / "starter-v1.0")
    file = folder / "starter-v1.0-naip-rgb.onnx"
    model = onnx.load(file, load_external_data=False)
    (offset,) = [tensor for tensor in model.graph.initializer if tensor.name == "network.offset"]
    offset.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(offset) + 0.01, "network.offset"))
    file.write_bytes(model.SerializeToString())
    assert parity(folder).returncode == 1
