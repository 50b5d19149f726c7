"""The table layer: pinned like the tests' environment, and able to write a file after its Makefile has deleted what is
never loaded.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "table"
LAMBDA_LIMIT = 262_144_000
WRITE = """
import sys
sys.path[:0] = sys.argv[1:4]
from pathlib import Path
import numpy, pyarrow, shapely
assert all(module.__file__.startswith(sys.argv[1]) for module in (numpy, pyarrow, shapely)), pyarrow.__file__
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet
from tests.table.rows import embedding_rows, scene_columns
rows = [embedding_rows(3000)]
print(write_geoparquet(Path(sys.argv[4]), columns=scene_columns(), chunks=rows, metadata={},
    encoding=VectorEncoding.PORTABLE))
"""


def pins(path: Path) -> dict[str, set[str]]:
    """Give `name==version` and hashes of a requirements file."""
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("#"):
            continue
        if line.strip().startswith("--hash="):
            found[list(found)[-1]].add(line.strip().rstrip("\\ "))
        elif line.strip():
            found[line.rstrip("\\ ")] = set()
    return found


def test_pins_are_those_of_the_tests() -> None:
    layer, tests = pins(LAYER / "requirements.txt"), pins(ROOT / "requirements" / "dev.txt")
    assert sorted(pin.split("==")[0] for pin in layer) == ["numpy", "pyarrow", "shapely"]
    for pin, hashes in layer.items():
        assert hashes == tests[pin]
        assert hashes


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed packages, linked where links can be made, after the Makefile's `prune`."""
    artifacts = tmp_path_factory.mktemp("layer")
    packages = artifacts / "python"

    def link_or_copy(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copy2(source, target)

    site = Path(pa.__file__).parents[1]
    for name in ("pyarrow", "numpy", "numpy.libs", "shapely", "shapely.libs"):
        shutil.copytree(
            site / name, packages / name, copy_function=link_or_copy, ignore=shutil.ignore_patterns("__pycache__")
        )
    subprocess.run(["make", "-s", "prune", f"ARTIFACTS_DIR={artifacts}"], cwd=LAYER, check=True)
    return packages


def test_a_pruned_layer_writes_the_same_file(pruned: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    for packages, path in [(pruned, there), (Path(np.__file__).parents[1], here)]:
        arguments = [packages, ROOT / "layers" / "clayline", ROOT, path]
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", WRITE, *arguments], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout.strip()) == (0, "3000"), done.stderr
    assert here.read_bytes() == there.read_bytes()


def test_every_library_that_is_left_finds_those_it_needs(pruned: Path) -> None:
    """`ldd` names what is missing.

    An import alone would not try the libraries that this file's writer does not load.
    """
    missing = {}
    for library in sorted(pruned.rglob("*.so*")):
        listed = subprocess.run(["ldd", library], capture_output=True, text=True, check=False, env={}).stdout
        if "not found" in listed:
            missing[library.name] = [line.strip() for line in listed.splitlines() if "not found" in line]
    assert missing == {}


def test_what_is_left_leaves_room_for_the_function(pruned: Path) -> None:
    size = sum(path.stat().st_size for path in pruned.rglob("*") if path.is_file())
    assert size < 160_000_000 < LAMBDA_LIMIT


def test_an_architecture_that_lambda_does_not_have_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-n", "build-TableLayer", f"ARTIFACTS_DIR={tmp_path}", "CLAYLINE_ARCH=riscv64"],
        cwd=LAYER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "not x86_64 or arm64" in done.stderr


@pytest.mark.parametrize(("architecture", "wheels"), [("x86_64", "x86_64"), ("arm64", "aarch64")])
def test_wheels_are_of_the_architecture_that_was_asked_for(tmp_path: Path, architecture: str, wheels: str) -> None:
    command = ["make", "-n", "install", f"ARTIFACTS_DIR={tmp_path}", f"CLAYLINE_ARCH={architecture}"]
    shown = subprocess.run(command, cwd=LAYER, capture_output=True, text=True, check=True).stdout
    platforms = [word for word in shown.split() if word.startswith("manylinux")]
    assert platforms
    assert all(platform.endswith(f"_{wheels}") for platform in platforms)
