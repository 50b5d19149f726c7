"""Commands that fetch packages: tried again where the connection failed, and only there."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

TRIES: Final = 3
SECONDS: Final = 600
"""For one try: a slow registry is no failure."""
_LOST: Final = re.compile(
    r"connection (was )?(broken|failed|reset|refused|aborted|closed|timed out)|failed to establish a new"
    r" connection|read timed out"
    r"|operation timed out|name or service not known|temporary failure in name resolution|incomplete ?read"
    r"|error sending request|error decoding response body|request failed after",
    re.IGNORECASE,
)
"""pip's and uv's words. pip goes on from a connection that it lost to a version that it did not find, so the latter
alone says nothing."""
_WRONG: Final = re.compile(r"do not match the hashes|hash mismatch", re.IGNORECASE)
"""What no connection is to blame for, whatever else was printed."""


def fetch(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it, with what it writes readable for all as in an image's build, until it succeeds or fails for good,
    ``TRIES`` times at most.
    """
    for _ in range(TRIES):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False, umask=0o022
        )
        printed = done.stdout + done.stderr
        if done.returncode == 0 or _WRONG.search(printed) or not _LOST.search(printed):
            break
    return done
