"""docs/how-to/keep-a-dataset.md, run as it stands there: each command, over the bundled scene and its stand-in."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest
from moto import mock_aws
from tests.conftest import ROOT, SAMPLE

from clayline_cli.program import main

PAGE = ROOT / "docs" / "how-to" / "keep-a-dataset.md"
BLOCK = re.compile(r"^```(python)?\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
CLAYLINE = ".venv/bin/clayline "
SHELL = ("cp ", "sed ", "printf ")
BUCKET = "my-embeddings"


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks(part: str) -> list[Block]:
    return [Block(language, text) for language, text in BLOCK.findall(part)]


HERE, THERE = PAGE.read_text(encoding="utf-8").split("## On AWS")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout as far as the page uses it, in which all of its local commands were run."""
    home = tmp_path_factory.mktemp("keeping")
    shutil.copytree(SAMPLE, home / "samples" / SAMPLE.name)
    before = Path.cwd()
    os.chdir(home)
    try:
        for block in blocks(HERE):
            if not block.language and (CLAYLINE in block.text or block.text.startswith(SHELL)):
                run(block.text)
        yield home
    finally:
        os.chdir(before)


def run(commands: str) -> None:
    """Run a block, line by line: what is Clayline's in this process, the rest in a shell."""
    for line in commands.splitlines():
        if line.startswith(CLAYLINE):
            assert main(shlex.split(line.removeprefix(CLAYLINE))) == 0, line
        else:
            assert line.startswith(SHELL), f"{line}: a kind of command that this test does not know"
            subprocess.run(line, shell=True, check=True)  # noqa: S602 - the page's own line


def test_the_page_leaves_what_it_says(home: Path) -> None:
    window, june = pq.read_table(home / "window.parquet"), pq.read_table(home / "june.parquet")
    assert len({moment.date() for moment in window["datetime"].to_pylist() if moment}) == 2
    assert window.num_rows == 2 * june.num_rows > 0
    assert pq.read_table(home / "every-date.parquet").num_rows == 4
    nearest = pq.read_table(home / "nearest-date.parquet")
    assert sorted(map(str, nearest["point"].to_pylist())) == ["forest", "lake"]
    assert {(home / name).is_file() for name in ("window.npy", "window.json")} == {True}
    assert (home / "embeddings" / "dataset" / "manifest.json").is_file()


def test_the_same_pixels_at_two_dates_are_no_change(home: Path) -> None:
    change = pq.read_table(home / "change.parquet")
    compared = change.filter(change["compared"])
    assert set(compared["distance"].to_pylist()) == set(compared["percentile"].to_pylist()) == {0.0}
    assert set(compared["calibrated"].to_pylist()) == {"square"}
    assert set(change["reason"].to_pylist()) == {None, "mostly-outside"}
    assert (compared.num_rows, change.num_rows) == (727, 841)
    assert (home / "change.png").read_bytes().startswith(b"\x89PNG")


def test_the_program_prints_what_the_page_says(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = blocks(HERE)
    [at] = [number for number, block in enumerate(found) if block.language == "python"]
    program = home / "program.py"
    program.write_text(found[at].text, encoding="utf-8")
    capsys.readouterr()
    runpy.run_path(str(program))
    assert capsys.readouterr().out == found[at + 1].text


def test_the_commands_for_aws_do_the_same_in_a_bucket(home: Path) -> None:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for path in sorted((home / "embeddings").rglob("*")):
            key = path.relative_to(home / "embeddings").as_posix()
            if path.is_file() and not key.startswith((".", "dataset/")):
                client.upload_file(str(path), BUCKET, key)
        for block in blocks(THERE):
            run(block.text)
    window, points = pq.read_table(home / "from-s3.parquet"), pq.read_table(home / "points-from-s3.parquet")
    assert window.sort_by("uci").equals(pq.read_table(home / "window.parquet").sort_by("uci"))
    assert points.num_rows == 4
