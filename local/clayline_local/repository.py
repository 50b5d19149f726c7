"""Where this repository has what the local cloud is made of."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
STARTER: Final = ROOT / "model" / "starter" / "starter-v1.0"
"""The bundled model folder."""
