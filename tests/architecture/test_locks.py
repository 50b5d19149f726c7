"""Lock files: what is installed is what was locked, with its bytes; what is deployed is what was tested.

Whether a locked version has a known vulnerability takes a service on the network (docs/threats.md, What is installed).
"""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.architecture.sources import ROOT

REQUIREMENTS = ROOT / "requirements"
WITHOUT_HASHES = REQUIREMENTS / "model.txt"
"""It says why."""
LOCKS = sorted([*REQUIREMENTS.glob("*.txt"), *(ROOT / "layers").glob("*/*.txt")])
# List: its lock, where that has another name.
ELSEWHERE = {
    **{f"layer-{name}": ROOT / "layers" / name / "requirements.txt" for name in ("clayline", "raster", "table")},
    "layer-raster-expat": ROOT / "layers" / "raster" / "expat.txt",
}
DEPLOYED = (
    *(ROOT / "layers" / name / "requirements.txt" for name in ("clayline", "raster", "table")),
    REQUIREMENTS / "server.txt",
    REQUIREMENTS / "server-gpu.txt",
)
PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)")


def pins(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Give each package's version and hashes. Raises AssertionError for a line that is neither pin nor hash."""
    found = {}
    joined = re.sub(r"\s*\\\n\s*", " ", lock.read_text(encoding="utf-8"))
    for line in joined.splitlines():
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        pin = PIN.match(text)
        assert pin, f"{lock}: {text} pins nothing"
        found[normal(pin[1])] = (pin[2], frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})\b", text)))
    return found


def normal(name: str) -> str:
    """Give a package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("lock", LOCKS, ids=name_of)
def test_every_pin_has_its_hashes(lock: Path) -> None:
    found = pins(lock)
    assert found
    bare = {package for package, (_, hashes) in found.items() if not hashes}
    if lock == WITHOUT_HASHES:
        assert "Pinned without hashes" in lock.read_text(encoding="utf-8")
        assert bare == set(found), "one with hashes makes pip ask for all"
    else:
        assert bare == set()


@pytest.mark.parametrize("asked", sorted(REQUIREMENTS.glob("*.in")), ids=name_of)
def test_no_lock_is_older_than_its_list(asked: Path) -> None:
    lock = ELSEWHERE.get(asked.stem, asked.with_suffix(".txt"))
    locked = pins(lock)
    lines = [line.partition(" #")[0].strip() for line in asked.read_text(encoding="utf-8").splitlines()]
    wanted = [Requirement(line) for line in lines if line[:1].isalnum()]
    assert wanted
    for each in wanted:
        version, _ = locked[normal(each.name)]
        assert each.specifier.contains(version, prereleases=True), f"{each}: `make lock`"


@pytest.mark.parametrize("lock", DEPLOYED, ids=name_of)
def test_what_is_deployed_is_what_was_tested(lock: Path) -> None:
    """The same versions, and no bytes that the tests' own lock does not know."""
    tested, deployed = pins(REQUIREMENTS / "dev.txt"), pins(lock)
    shared = set(tested) & set(deployed)
    assert shared
    for package in shared:
        (version, hashes), (deployed_version, deployed_hashes) = tested[package], deployed[package]
        assert deployed_version == version, package
        assert deployed_hashes <= hashes, package


def test_whoever_installs_a_lock_checks_hashes() -> None:
    """In the Makefile, the layers' makefiles and the image: `uv pip` and `pip` with a lock, but for model.txt."""
    files = [ROOT / "Makefile", *(ROOT / "layers").glob("*/Makefile"), ROOT / "model" / "install.sh"]
    commands = []
    for file in files:
        joined = re.sub(r"\\\n\s*", "", file.read_text(encoding="utf-8"))
        options = re.search(r"^PIP = (.*)$", joined, re.MULTILINE)
        lines = [line.replace("$(PIP)", options[1] if options else "").strip() for line in joined.splitlines()]
        commands += [line for line in lines if re.search(r"pip\b.* (sync|install|download)\b", line)]
    of_locks = [line for line in commands if re.search(r"(\.txt|\$<)", line) and "model.txt" not in line]
    assert len(of_locks) >= 6
    assert [line for line in of_locks if "--require-hashes" not in line] == []
