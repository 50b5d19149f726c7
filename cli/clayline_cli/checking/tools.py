"""Tools of this machine that a deployment takes: found on the PATH, asked for their version."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from clayline_cli.checking.check import Check

_SECONDS: Final = 60
"""That a tool may take to say its version."""
_VERSION: Final = re.compile(r"\d+(\.\d+)+")
_RUNTIME: Final = (3, 13)
"""Of the functions: `sam build` takes their dependencies with this Python."""


def tools(root: Path) -> Iterator[Check]:
    """Check all of them; ``root`` is the repository."""
    yield _python(sys.version_info[:2])
    for name in ("git", "make"):
        yield _tool(name, name, f"Install {name}.")
    yield _sam(root)
    yield _docker()


def _python(version: tuple[int, int]) -> Check:
    said = ".".join(map(str, version))
    if version == _RUNTIME:
        return Check.ok("python", said)
    wanted = ".".join(map(str, _RUNTIME))
    return Check.failed(
        "python",
        f"{said}, and the functions run on {wanted}",
        f"Make the environment anew: make clean setup PYTHON=python{wanted}.",
    )


def _tool(name: str, program: str | Path, remedy: str) -> Check:
    path = shutil.which(program)
    if path is None:
        return Check.failed(name, "not found", remedy)
    said = _asked([path, "--version"])
    return Check.ok(name, said) if said else Check.failed(name, f"{path} does not say its version", remedy)


def _sam(root: Path) -> Check:
    """Look for the one that `make setup-sam` installs, then for another: the pinned version is what is tested."""
    own = root / ".venv-sam" / "bin" / "sam"
    found = _tool("sam", own if own.is_file() else "sam", "Run make setup-sam.")
    pinned = re.search(
        r"^aws-sam-cli==([\d.]+)", (root / "requirements" / "sam.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    if pinned and found.said != pinned[1] and not found.remedy:
        remedy = "Run make setup-sam, and deploy with .venv-sam/bin/sam."
        return Check.warning("sam", f"{found.said}, and what is tested is {pinned[1]}", remedy)
    return found


def _docker() -> Check:
    """Only the endpoint's image needs it, and any machine may build that."""
    path, remedy = shutil.which("docker"), "Build the endpoint's image (make image) where Docker runs."
    if path is None:
        return Check.warning("docker", "not found", remedy)
    server = _asked([path, "version", "--format", "{{.Server.Version}}"])
    if server is None:
        return Check.warning("docker", f"{path} is there, its daemon does not answer", remedy)
    if _asked([path, "buildx", "version"]) is None:
        return Check.warning(
            "docker", f"{server} without buildx", "Install Docker's buildx plugin, or build elsewhere."
        )
    return Check.ok("docker", server)


def _asked(command: Sequence[str]) -> str | None:
    """Give the version that a program says; None if it fails or says none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603 - found on the user's own PATH
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout)
    return found[0] if done.returncode == 0 and found else None
