"""Where the files lie that the local cloud is made of: template, functions, the container's program, starter, sample.

In a checkout they are its own. The wheel brings the same tree as ``clayline_bundle``, beside this package.
"""

from pathlib import Path
from typing import Final

from clayline.model.starter import BUNDLE, FOLDER


def _root(package: Path) -> Path:
    bundle = package.parent / BUNDLE
    return bundle if bundle.is_dir() else package.parents[1]


ROOT: Final = _root(Path(__file__).parent)
STARTER: Final = ROOT / FOLDER
"""The bundled model folder."""
SAMPLE: Final = ROOT / "samples" / "landsat8_itaipu_2020" / "LC08_L1TP_224078_20200518_20200518_01_RT.json"
"""The bundled scene."""
