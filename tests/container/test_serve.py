"""How `serve` starts the program: as another user where it can, with CUDA's libraries in reach.

The program is a stand-in that tells.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.container.dockerfile import ROOT

USER = "65534"
TELL = """#!/bin/sh
echo "uid $(id -u)" "gid $(id -g)" "groups $(id -G)"
grep -E '^(NoNewPrivs|CapEff|CapPrm|CapInh):' /proc/self/status
echo "libraries ${LD_LIBRARY_PATH:-}"
echo "arguments $*"
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def prefix() -> Iterator[Path]:
    """An installed tree that every user can read, which pytest's own directories are not."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        for directory in ("model/server", "bin", "models/some-v1.0"):
            (path / directory).mkdir(parents=True)
        shutil.copy2(ROOT / "model/server/serve", path / "model/server/serve")
        (path / "bin/python3").write_text(TELL)
        (path / "bin/python3").chmod(0o755)
        (path / "bin/serve").symlink_to("../model/server/serve")
        (path / "models/some-v1.0/manifest.json").write_text("{}")
        for made in path.rglob("*"):  # whatever the umask of whoever runs the tests, or cloned the repository
            if not made.is_symlink():
                made.chmod(0o755 if made.is_dir() or os.access(made, os.X_OK) else 0o644)
        yield path


def told(prefix: Path, **environment: str) -> list[str]:
    variables = {"PATH": f"{prefix}/bin:{os.defpath}", "CLAYLINE_MODELS": str(prefix / "models"), **environment}
    done = subprocess.run(
        ["serve", "--port", "0"], env=variables, capture_output=True, text=True, timeout=280, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@as_root
def test_it_becomes_the_user_for_good(prefix: Path) -> None:
    lines = told(prefix, CLAYLINE_USER=USER)
    assert lines[0] == f"uid {USER} gid {USER} groups {USER}"
    assert dict(line.split(":\t") for line in lines[1:5]) == {
        "NoNewPrivs": "1",
        "CapEff": "0000000000000000",
        "CapPrm": "0000000000000000",
        "CapInh": "0000000000000000",
    }
    assert lines[-1] == "arguments -m server --host 0.0.0.0 --port 0"


@as_root
@pytest.mark.parametrize("hidden", ["models/some-v1.0/manifest.json", "models/some-v1.0", "models"])
def test_it_stays_root_where_the_user_could_not_read_the_models_and_says_so(prefix: Path, hidden: str) -> None:
    (prefix / hidden).chmod(0o600)
    lines = told(prefix, CLAYLINE_USER=USER)
    warning = json.loads(lines[0])
    assert warning["level"] == "WARNING"
    assert hidden in warning["message"]
    assert lines[1].startswith("uid 0 ")
    assert lines[-1] == "arguments -m server --host 0.0.0.0 --port 0"


@as_root
def test_it_stays_root_and_says_so_where_it_may_not_become_another(prefix: Path) -> None:
    (prefix / "bin/setpriv").write_text(
        "#!/bin/sh\necho 'setpriv: setresuid failed: Operation not permitted' >&2\nexit 1\n"
    )
    (prefix / "bin/setpriv").chmod(0o755)
    lines = told(prefix, CLAYLINE_USER=USER)
    assert "Operation not permitted" in json.loads(lines[0])["message"]
    assert lines[1].startswith("uid 0 ")


def test_without_a_user_to_become_it_stays_who_it_is(prefix: Path) -> None:
    assert told(prefix)[0].startswith(f"uid {os.geteuid()} ")


def test_cudas_libraries_are_in_reach_before_what_was_there(prefix: Path) -> None:
    packages = prefix / "lib/python3.13/site-packages/nvidia"
    for name in ("cu13", "cudnn"):
        (packages / name / "lib").mkdir(parents=True)
    [line] = [line for line in told(prefix, LD_LIBRARY_PATH="/before") if line.startswith("libraries ")]
    *found, last = line.removeprefix("libraries ").split(":")
    assert set(found) == {str(packages / name / "lib") for name in ("cu13", "cudnn")}
    assert last == "/before"


def test_without_cuda_no_library_path_is_set(prefix: Path) -> None:
    assert "libraries " in told(prefix)
