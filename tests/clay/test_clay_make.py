"""`make clay`: its variables are the command line's flags; what it does not know, or cannot read, it refuses."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="no make")


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make without what a make around the tests has told its children."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"}
    }
    command = [str(MAKE), "-f", str(ROOT / "Makefile"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_every_choice_reaches_the_command_line() -> None:
    given = {
        "SIZE": "tiny",
        "SEED": "7",
        "BANDS": "red,nir",
        "CHIP": "64",
        "GSD": "20",
        "COORDINATE_ORDER": "latlon",
        "HOUR": "acquisition",
    }
    given |= {
        "MASK_RATIO": "0.5",
        "MASK_SEED": "3",
        "PRECISION": "fp16",
        "NAME": "mine",
        "VERSION": "2.0",
        "VECTOR": "mean",
    }
    said = make(
        "-n",
        "clay",
        *(f"{name}={value}" for name, value in given.items()),
        "SENSOR=naip linz",
        "PROBE=a.tif b.tif",
        "LOSS=1",
    )
    assert said.returncode == 0, said.stderr
    words = said.stdout.replace("\\\n", " ").split("-m clay export ")[1].split()
    flags = [word for pair in given.items() for word in (f"--{pair[0].lower().replace('_', '-')}", f'"{pair[1]}"')]
    flags += [
        "--sensor",
        '"naip"',
        "--sensor",
        '"linz"',
        "--probe",
        '"a.tif"',
        "--probe",
        '"b.tif"',
        "--loss",
        "--out",
        '"models"',
    ]
    assert sorted(words) == sorted(flags)
    assert {*itertools.pairwise(words)} >= {("--hour", '"acquisition"'), ("--gsd", '"20"')}
    assert "--loss" not in make("-n", "clay", "LOSS=0").stdout


def test_the_demo_keeps_a_watch_before_its_own_scene_and_before_no_other() -> None:
    watch, embed = make("-n", "demo", "OUT=there").stdout.splitlines()[-2:]
    assert "test -e there/watches/shore || .venv/bin/clayline watch add shore there --like samples/" in watch
    assert embed.startswith(".venv/bin/clayline embed samples/")
    for own in ("SCENE=mine.tif", "MODEL=models/mine"):
        assert "clayline watch" not in make("-n", "demo", own).stdout


@pytest.mark.parametrize(
    ("goals", "typo"),
    [(["clay"], "HOURS=acquisition"), (["demo"], "MODELL=x"), ([], "MODELL=x"), (["clay"], "MODEL=x")],
)
def test_a_variable_that_nobody_reads_is_refused(goals: list[str], typo: str) -> None:
    said = make("-n", *goals, typo)
    assert said.returncode == 2
    assert f"knows no {typo.partition('=')[0]}: it takes " in said.stderr
    assert said.stdout == ""


def test_a_checkpoint_without_python_3_11_is_refused_in_words(tmp_path: Path) -> None:
    done = make("clay", "CHECKPOINT=clay.ckpt", "PYTHON311=", cwd=tmp_path)
    assert done.returncode == 2
    assert "reading a CHECKPOINT takes torch, whose build here is for Python 3.11" in done.stderr
    assert "parity" not in done.stdout
