"""What is tried again and what is not.

The words for a lost connection are those of the pip and the uv that are here.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.container.registry import fetch

NOBODY = "http://127.0.0.1:1/simple/"
HASHES = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."
UNRESOLVED = "ERROR: Could not find a version that satisfies the requirement waitress==0"
LOST = "WARNING: Retrying (Retry(total=0)) after connection broken by 'ReadTimeoutError(...)': /simple/waitress/"


def counted(tmp_path: Path, command: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """What came of a shell command, in which $TRY is the number of the try, and how often it was run."""
    log = tmp_path / "tries"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))},
        "LOG": str(log),
    }
    done = fetch(["sh", "-c", f'echo >>"$LOG"; TRY=$(wc -l <"$LOG"); {command}'], environment=environment)
    return done, len(log.read_text())


@pytest.mark.parametrize(
    ("failure", "tries"),
    [(LOST, 3), (f"{LOST}\n{UNRESOLVED}", 3), (UNRESOLVED, 1), (HASHES, 1), (f"{LOST}\n{HASHES}", 1)],
)
def test_only_a_lost_connection_is_tried_again(tmp_path: Path, failure: str, tries: int) -> None:
    done, tried = counted(tmp_path, f'echo "{failure}" >&2; exit 1')
    assert (done.returncode, done.stderr, tried) == (1, f"{failure}\n", tries)


def test_what_succeeds_in_the_end_has_succeeded(tmp_path: Path) -> None:
    done, tried = counted(tmp_path, f'if [ "$TRY" = 2 ]; then echo there; else echo "{LOST}" >&2; exit 1; fi')
    assert (done.returncode, done.stdout, tried) == (0, "there\n", 2)


def test_a_connection_lost_on_the_way_to_success_is_none(tmp_path: Path) -> None:
    done, tried = counted(tmp_path, f'echo "{LOST}" >&2')
    assert (done.returncode, tried) == (0, 1)


PIP = f"{sys.executable} -m pip download --quiet --no-cache-dir --retries 1 --index-url {NOBODY} --dest here waitress"
UV = (
    f"{Path(sys.executable).with_name('uv')} pip install --dry-run --no-cache --index-url {NOBODY} --target here"
    " waitress"
)


@pytest.mark.parametrize("program", [PIP, UV])
def test_the_words_are_those_of_the_programs(tmp_path: Path, program: str) -> None:
    # the machine's settings may know other places
    alone = "export UV_HTTP_RETRIES=0 UV_NO_CONFIG=1 PIP_CONFIG_FILE=/dev/null"
    assert counted(tmp_path, f"cd {tmp_path}; {alone}; [ $TRY = 2 ] || {program}")[1] == 2
