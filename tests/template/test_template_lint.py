"""template.yaml under the tools that AWS ships."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clayline_local.template import TEMPLATE

ROOT = TEMPLATE.parent
SAM = ROOT / ".venv-sam" / "bin" / "sam"


@pytest.mark.skipif(not SAM.exists(), reason=".venv-sam is not there; `make .venv-sam` makes it")
def test_sam_validate_lint() -> None:
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(
        [SAM, "validate", "--lint", "--region", "eu-central-1"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint() -> None:
    cfn_lint = Path(sys.executable).parent / "cfn-lint"
    regions = ("eu-central-1", "us-east-1")
    done = subprocess.run([cfn_lint, "-t", TEMPLATE, "-r", *regions], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
