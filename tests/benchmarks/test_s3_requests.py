"""benchmarks/s3_requests.py counts what it says it counts, and the target is met whatever else the machine does."""

import json
import subprocess
import sys
from pathlib import Path


def test_what_is_asked_is_what_is_needed_foretold_and_reported() -> None:
    program = Path(__file__).parents[2] / "benchmarks" / "s3_requests.py"
    done = subprocess.run(
        [sys.executable, str(program), "--budget", "512", "4"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    whole, parts = map(json.loads, done.stdout.splitlines())
    assert (whole["jobs"], whole["requests"]) == (1, 6)
    assert parts["jobs"] > 1
    for line in (whole, parts):
        assert line["requests"] == line["foretold"] == line["reported"]
        assert line["requests"] <= 1.2 * line["ranges_needed"]
