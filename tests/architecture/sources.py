"""Every Python source of the repository, parsed once: what the architecture tests look at."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "clayline" / "clayline"
ADAPTER_ROOMS = frozenset({"api", "aws", "raster", "table"})
"""Adapters, and what wires them for users in Python."""


@dataclass(frozen=True, kw_only=True)
class Source:
    path: Path
    tree: ast.Module
    lines: int

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def module(self) -> str:
        """Dotted name, for a module of the package."""
        parts = self.path.relative_to(PACKAGE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def imports(self) -> frozenset[str]:
        """Give every module that is imported anywhere in the file, type checking included.

        ``from a import b`` gives a and a.b.
        """
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level or not self.path.is_relative_to(PACKAGE), f"{self.name} imports relatively"
                found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        return frozenset(found)

    def imports_any(self, *packages: str) -> set[str]:
        """Give the imports that are one of ``packages`` or lie below one."""
        return {
            name
            for name in self.imports()
            if any(name == package or name.startswith(f"{package}.") for package in packages)
        }


def git(*arguments: str) -> list[str]:
    """Give what git prints of the repository, line by line."""
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def tracked(pattern: str) -> list[str]:
    """Give the files of this kind that git tracks and those that it would track, so that no build output is judged."""
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", pattern)
    return sorted({name for name in listed if (ROOT / name).is_file()})


@cache
def sources() -> tuple[Source, ...]:
    """Give the repository's sources."""
    paths = [ROOT / name for name in tracked("*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    return tuple(
        Source(path=path, tree=ast.parse(text, str(path)), lines=len(text.splitlines())) for path, text in texts.items()
    )
