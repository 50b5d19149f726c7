"""The wheel, installed where no checkout is: its commands work in an empty folder, with the starter that it brings.

Nothing is fetched: what the package depends on is that of the tests' own environment, of which the new one sees the
packages and not the editable installation.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement
from tests.conftest import ROOT
from tests.pipeline.scenes import landsat

BUILD = "from setuptools import build_meta; print(build_meta.build_wheel({out!r}))"


def tracked() -> list[str]:
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [name for name in found.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from what git would commit, and install it. Gives the folder of the environment's programs."""
    home = tmp_path_factory.mktemp("wheel")
    source = home / "source"
    for name in tracked():
        if name.split("/")[0] not in {"tests", "docs", "events", "benchmarks"}:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    built = run_in(source, [sys.executable, "-c", BUILD.format(out=str(home))])
    wheel = home / built.stdout.split()[-1]
    shutil.rmtree(source)
    venv.create(home / "venv", with_pip=False, symlinks=True)
    python = home / "venv" / "bin" / "python"
    site = Path(
        run_in(home, [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout.strip()
    )
    (site / "of-the-tests.pth").write_text(
        sysconfig.get_path("purelib") + "\n"
    )  # a path alone: its own .pth are not read
    run_in(
        home,
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "-q",
            "--offline",
            "--no-deps",
            "--python",
            str(python),
            str(wheel),
        ],
    )
    return home / "venv" / "bin"


def run_in(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done


def test_a_scene_is_embedded_in_an_empty_folder(installed: Path, sample: Path, tmp_path: Path) -> None:
    item = ""
    for key, body in landsat(sample).items():
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(body)
        item = key
    run_in(tmp_path, [str(installed / "clayline"), "embed", item, "--out", "embeddings"])
    [file] = (tmp_path / "embeddings").rglob("*.parquet")
    table = pq.read_table(file)
    assert table.num_rows > 3
    assert set(table["source_model"].to_pylist()) == {"starter-v1.0-l1-rgb"}
    page = file.with_suffix(".html").read_text(encoding="utf-8")
    assert "leaflet" in page
    assert 'id="vectors"' in page
    [stored] = (tmp_path / "embeddings" / "starter-v1.0-l1-rgb").glob("model_*.json")
    model = json.loads(stored.read_bytes())
    for asset in model["assets"].values():
        path = Path.from_uri(asset["href"])
        assert path.is_file()
        assert not path.is_relative_to(ROOT)


def test_nothing_of_the_checkout_is_used(installed: Path, tmp_path: Path) -> None:
    program = (
        "import clayline, clayline_cli, clayline_local.repository as r;"
        "print(clayline.__file__, clayline_cli.__file__, r.ROOT, r.STARTER, r.SAMPLE, sep='\\n')"
    )
    places = run_in(tmp_path, [str(installed / "python"), "-c", program]).stdout.split("\n")[:-1]
    assert len(places) == 5
    for place in places:
        assert Path(place).exists()
        assert Path(place).is_relative_to(installed.parent), place


def test_sensors_are_listed(installed: Path, tmp_path: Path) -> None:
    said = run_in(tmp_path, [str(installed / "clayline"), "sensors"]).stdout
    assert "sentinel-2-l2a" in said
    assert "landsat-c2l1" in said


def test_every_command_shows_its_help(installed: Path, tmp_path: Path) -> None:
    said = run_in(tmp_path, [str(installed / "clayline"), "--help"]).stdout
    assert "embed" in said


def test_what_the_wheel_asks_for_is_what_the_tests_have() -> None:
    """Each dependency stands in requirements/dev.in, and its lock fits what the wheel asks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = dict(
        line.split(" ")[0].split("==")
        for line in (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith(" ")
    )
    for text in project["dependencies"]:
        asked = Requirement(text)
        assert asked.specifier.contains(locked[asked.name]), text
        assert asked.name not in {"torch", "pystac", "pytest", "mypy"}
