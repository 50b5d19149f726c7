"""`make audit`: is a version in a lock file known to be vulnerable? pip-audit asks OSV, by name and version; nothing is
resolved or installed.

Exit status: 0, every version was asked for and none is known; 1, some are, which are listed; 2, not all could be asked.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
AUDIT: Final = ROOT / ".venv-audit/bin/pip-audit"
OSV: Final = "https://api.osv.dev/v1/query"
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", re.MULTILINE)


def locks() -> list[Path]:
    """Give every lock file: of environments, the container and the layers."""
    return sorted([*(ROOT / "requirements").glob("*.txt"), *(ROOT / "layers").glob("*/*.txt")])


def audit(files: Sequence[Path], *, url: str = OSV, program: Path = AUDIT, timeout: int = 15) -> int:
    """Ask for all versions of ``files``; gives the exit status."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "found.json"
        named = [part for file in files for part in ("-r", str(file))]
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            [
                str(program), "-s", "osv", "--osv-url", url, "--timeout", str(timeout), "--no-deps", "--disable-pip",
                "--progress-spinner", "off", "--cache-dir", folder, "-f", "json", "-o", str(output), *named,
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        text = output.read_text(encoding="utf-8") if output.exists() else ""
    asked: list[dict[str, Any]] = json.loads(text)["dependencies"] if text else []
    skipped = [f"{each['name']}: {each['skip_reason']}" for each in asked if "skip_reason" in each]
    if not asked or skipped:
        why = "; ".join(skipped) or (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(
            f"audit: not every version could be asked for at {url}, so nothing is known of the lock files: {why}",
            file=sys.stderr,
        )
        return 2
    known = [(each, vulnerability) for each in asked for vulnerability in each["vulns"]]
    where = _where(files)
    for each, vulnerability in known:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version"
        names = ", ".join(where.get((_normal(each["name"]), each["version"]), ()))
        print(f"{each['name']} {each['version']} ({names}): {vulnerability['id']}, fixed in {fixed}")
    versions = len({(each["name"], each["version"]) for each in asked})
    print(
        f"audit: {len(known)} known vulnerabilities in {versions} versions of {len(files)} lock files, asked at {url}"
    )
    return int(bool(known))


def _where(files: Iterable[Path]) -> dict[tuple[str, str], list[str]]:
    """Give the lock files of each version."""
    found: dict[tuple[str, str], list[str]] = {}
    for file in files:
        for name, version in _PIN.findall(file.read_text(encoding="utf-8")):
            found.setdefault((_normal(name), version), []).append(f"{file.parent.name}/{file.name}")
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(audit(locks(), url=sys.argv[1] if sys.argv[1:] else OSV))
