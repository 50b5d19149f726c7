"""The examples of the how-to pages, run as they stand there, over the bundled scene; each prints what its page says."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto import mock_aws
from tests.conftest import ROOT
from tests.pipeline.harness import REGION, Pipeline

from clayline_local.repository import STARTER

PAGES = ("docs/how-to/read-the-files.md", "docs/testing.md")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+")
IN_THE_CLOUD = ("subscribe", "consume")
"""Examples for a shell that reaches the local cloud; here moto in this process stands for it."""


@dataclass(frozen=True, kw_only=True)
class Example:
    page: str
    number: int
    program: str
    printed: str


def examples(page: str) -> list[Example]:
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [
        Example(page=page, number=number, program=program, printed=printed)
        for number, (program, printed) in enumerate(found)
    ]


READING, TESTING = map(examples, PAGES)


@pytest.fixture(scope="module")
def consumed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Embed the bundled scene by the starter between the examples ``subscribe.py`` and ``consume.py``.

    Give the folder with what came out, and what the second example printed.
    """
    home = tmp_path_factory.mktemp("examples")
    models = home / "models"
    shutil.copytree(STARTER, models / STARTER.name)
    (home / "scratch").mkdir()
    sample = next((ROOT / "samples" / "landsat8_itaipu_2020").glob("*.json"))
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        programs = [home / f"{name}.py" for name in IN_THE_CLOUD]
        for path, example in zip(programs, TESTING[-2:], strict=True):
            path.write_text(example.program)
        pipeline = Pipeline(models, scratch=home / "scratch", chips_per_batch=64)
        for file in (*sample.parent.glob("*.tif"), sample):
            pipeline.put(f"scene/{file.name}", file.read_bytes())
        runpy.run_path(str(programs[0]))
        pipeline.run(f"scene/{sample.name}")
        said: list[str] = []
        runpy.run_path(str(programs[1]), {"print": lambda *words: said.append(" ".join(map(str, words)))})
        for key, body in pipeline.outputs().items():
            path = home / "out" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        yield home, "\n".join(said)


def test_the_pages_have_examples() -> None:
    assert len(READING) >= 5
    assert len(TESTING) == 4
    for name in IN_THE_CLOUD:
        assert f"(`{name}.py`)" in (ROOT / PAGES[1]).read_text(encoding="utf-8")
    assert all(example.printed for example in (*READING, *TESTING[:2], TESTING[3]))


@pytest.mark.parametrize("number", range(len(READING)))
def test_reading(consumed: tuple[Path, str], number: int) -> None:
    home, _ = consumed
    assert_prints(READING[number], run(READING[number].program, home))


@pytest.mark.parametrize("number", range(2))
def test_testing_without_a_cloud(number: int) -> None:
    assert_prints(TESTING[number], run(TESTING[number].program, ROOT))


def test_consuming(consumed: tuple[Path, str]) -> None:
    assert_prints(TESTING[-1], consumed[1])


def run(program: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_prints(example: Example, printed: str) -> None:
    """Hold what was printed against the page: numbers with a point to a hundredth, all else exactly."""
    where = f"{example.page}, example {example.number}, prints:\n{printed}"
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", example.printed).split(), where
    said, found = (list(map(float, NUMBER.findall(text))) for text in (example.printed, printed))
    assert found == pytest.approx(said, rel=1e-2, abs=1e-2), where
