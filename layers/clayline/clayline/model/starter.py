"""The model folder that comes with Clayline: the starter's, where it is at hand."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path("model", "starter", "starter-v1.0")
"""In a checkout, and in what the wheel brings."""
BUNDLE: Final = "clayline_bundle"
"""What the wheel brings: a package without code beside this one, which pyproject.toml fills."""


def starter_folder(package: Path = Path(__file__).parents[1]) -> Path | None:
    """Give it: that of a checkout, or of the wheel, beside whose package it lies; None in a Lambda function, which has
    neither.
    """
    for root in (package.parents[2], package.parent / BUNDLE):
        if (root / FOLDER).is_dir():
            return root / FOLDER
    return None
