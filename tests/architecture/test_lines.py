"""Lines of at most 120 characters in all that people write and read.

Ruff sees to Python's (``line-length``); the reason behind a trailing ``noqa`` or ``type: ignore`` may reach beyond.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import ROOT

MOST = 120
FOLDERS = (
    ".ci",
    "benchmarks",
    "cli",
    "docs",
    "events",
    "functions",
    "layers",
    "local",
    "model",
    "requirements",
    "samples",
    "tests",
)
"""Named, and not asked of git: an unpacked archive is judged as well, and what a build leaves is not."""
KINDS = frozenset({".in", ".md", ".sh", ".toml", ".yaml", ".yml"})
NAMES = frozenset(
    {".gitignore", "Dockerfile", "Dockerfile.dockerignore", "Makefile", "claymodel.txt", "model.txt", "run"}
)
PROGRAMS = frozenset({"serve"})
MADE = "model/starter/starter-v"
"""Written by programs. So are locks, SVG and JSON, which are of no kind above."""


def written() -> Iterator[Path]:
    """Give every text that people write, but Python."""
    found = [*ROOT.iterdir(), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    for path in sorted(found):
        name = path.relative_to(ROOT).as_posix()
        kind = path.suffix in KINDS or path.name in NAMES | PROGRAMS
        if kind and path.is_file() and not name.startswith(MADE):
            yield path


def long_lines(text: str, *, markdown: bool) -> list[int]:
    """Give the numbers of lines that are too long; a row of a table has to be one line, and a single word cannot be
    wrapped.
    """
    return [
        number
        for number, line in enumerate(text.split("\n"), 1)
        if len(line) > MOST and " " in line.strip() and not (markdown and line.lstrip().startswith("|"))
    ]


def test_no_line_is_too_long() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path for path in written()}
    expected = {"Makefile", "README.md", "template.yaml", "layers/table/Makefile", "model/server/serve"}
    assert expected <= set(texts), "this test looks in the wrong place"
    found = {
        name: long_lines(path.read_text(encoding="utf-8"), markdown=path.suffix == ".md")
        for name, path in texts.items()
    }
    assert {name: numbers for name, numbers in found.items() if numbers} == {}


def test_what_is_too_long() -> None:
    wide = f"{'word ' * 24}!"
    assert long_lines(f"short\n{wide}", markdown=True) == [2]
    assert long_lines(f"```\n{wide}\n```", markdown=True) == [2]
    assert long_lines(wide[:MOST], markdown=True) == []
    assert long_lines(f"| {wide} |", markdown=True) == []
    assert long_lines(f"| {wide} |", markdown=False) == [1]
    assert long_lines(f"  https://example.org/{'x' * MOST}", markdown=True) == []


def test_ruff_measures_pythons_lines_by_the_same() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["line-length"] == MOST
