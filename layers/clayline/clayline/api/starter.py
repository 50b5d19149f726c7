"""The model folder that comes with Clayline: the starter's, where it is at hand."""

from pathlib import Path

_FOLDER = Path("model", "starter", "starter-v1.0")


def starter_folder(package: Path = Path(__file__).parents[1]) -> Path | None:
    """Give it: that of a checkout, or of the wheel, beside whose package it lies; None in a Lambda function, which has
    neither.
    """
    for root in (package.parents[2], package.parent / "clayline_bundle"):
        if (root / _FOLDER).is_dir():
            return root / _FOLDER
    return None
