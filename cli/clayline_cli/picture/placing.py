"""A finished file gets its name, unless that is taken."""

import os
from pathlib import Path


def place(finished: Path, target: Path) -> bool:
    """Give a finished file of the same file system its name; False if something is there already. Raises OSError."""
    try:
        os.link(finished, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with target.open("xb") as file:
                file.write(finished.read_bytes())
        except FileExistsError:
            return False
    return True
