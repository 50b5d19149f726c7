"""model/Dockerfile as far as it can be read and carried out without Docker.

Its instructions, its context, and RUNs with bind mounts.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docker.utils import build  # type: ignore[import-untyped]  # Docker's own client: it knows what an ignore file means
from tests.container.registry import fetch

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = ROOT / "model" / "Dockerfile"
BUILD: Final = "/build"
"""Where the Dockerfile mounts the context."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """One instruction; ``RUN``'s mounts apart from its command."""

    name: str
    arguments: str
    mounts: tuple[Mapping[str, str], ...] = ()


def instructions(text: str) -> list[Instruction]:
    """Read a Dockerfile: comments away, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = []
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            mounts = tuple(
                dict(part.split("=", 1) for part in mount.split(","))
                for mount in re.findall(r"--mount=(\S+)", arguments)
            )
            found.append(
                Instruction(name=name, arguments=re.sub(r"--mount=\S+\s*", "", arguments).strip(), mounts=mounts)
            )
    return found


def copy_context(target: Path) -> Path:
    """Copy what ``docker build`` would send: the repository less what the ignore file names."""
    patterns = [
        line
        for line in Path(f"{DOCKERFILE}.dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    matcher = build.PatternMatcher(patterns)
    # Only where something can be let through: walking the environments beside them would take seconds.
    for top in {pattern[1:].split("/")[0] for pattern in patterns if pattern.startswith("!")}:
        names = [path.relative_to(ROOT).as_posix() for path in (ROOT / top).rglob("*") if path.is_file()]
        for name in names:
            if not matcher.matches(name):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target / name)
    return target


def carry_out(
    run: Instruction,
    *,
    context: Path,
    build_directory: Path,
    replacements: Mapping[str, str],
    environment: Mapping[str, str],
) -> str:
    """Carry out a RUN on this machine.

    Bind mounts become copies under ``build_directory``, paths in the command are replaced.

    Gives what it printed. Raises AssertionError where the command fails.
    """
    for mount in run.mounts:
        if mount["type"] == "bind":
            source, target = (
                context / mount.get("source", "."),
                build_directory / mount["target"].removeprefix(BUILD).lstrip("/"),
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
    command = run.arguments.replace(BUILD, os.fspath(build_directory))
    for old, new in replacements.items():
        command = command.replace(old, new)
    done = fetch(["sh", "-c", command], environment=environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
