"""``python -m publish`` in its own environment, started once.

Importing the SDK takes it seconds, which each test would otherwise spend.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = ROOT / ".venv-publish" / "bin" / "python"
_LOOP: Final = """
import contextlib, io, json, os, sys, time
from sagemaker.core.utils.utils import SageMakerClient
from publish.command_line import main
replies = sys.stdout
for line in sys.stdin:
    call = json.loads(line)
    os.environ.update(call["environment"])
    SageMakerClient.reset()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(call["arguments"])
        except SystemExit as end:
            status = end.code
        except BaseException:
            import traceback
            traceback.print_exc()
            status = 70
    print(json.dumps({"status": status, "out": out.getvalue(), "err": err.getvalue()}), file=replies, flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    status: int
    out: str
    err: str


class Publisher:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Done:
        """Run the command with ``arguments``; ``environment`` stays set for later calls."""
        assert self._process.stdin
        assert self._process.stdout
        call = {"arguments": [str(argument) for argument in arguments], "environment": dict(environment or {})}
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline()
        assert reply, "the publisher's process has ended"
        return Done(**json.loads(reply))


@contextmanager
def running_publisher(environment: Mapping[str, str]) -> Iterator[Publisher]:
    path = os.pathsep.join([str(ROOT / "model"), str(ROOT / "layers" / "clayline")])
    with subprocess.Popen(
        [PYTHON, "-W", "ignore::SyntaxWarning", "-c", _LOOP],
        env={"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONPATH": path, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Publisher(process)
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=120)
