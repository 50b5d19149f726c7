"""template.yaml under the tool that deploys it; cfn-lint is in `make check`."""

import os
import subprocess

import pytest

from clayline_local.template import TEMPLATE

ROOT = TEMPLATE.parent
SAM = ROOT / ".venv-sam" / "bin" / "sam"


@pytest.mark.skipif(not SAM.exists(), reason=".venv-sam is not there; `make .venv-sam` makes it")
def test_sam_validate_lint() -> None:
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(
        [SAM, "validate", "--lint", "--region", "eu-central-1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
