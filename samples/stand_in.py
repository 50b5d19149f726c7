"""A stand-in for a second date of the bundled scene: the same pixels, but for a block painted as cleared ground.

``python samples/stand_in.py FOLDER YYYY-MM-DD``. Nobody took this picture: it is for trying what compares dates.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.shutil import copy

SCENE = Path(__file__).with_name("landsat8_itaipu_2020")
DATE = "2020-05-18"
ROWS, COLS = slice(700, 1000), slice(300, 650)
"""Of the block, pixels of 30 m: 9 by 10.5 km, fields west of the lake."""
BRIGHTER = (1.15, 1.25, 1.45)
"""Blue, green and red of cleared ground, by those of what grew there."""
ADDED = (1500, 2500, 4500)


def paint(path: Path, brighter: float, added: int) -> None:
    """Paint the block of one band's COG; what has no value stays without."""
    with rasterio.open(path) as source:
        profile, pixels = source.profile, source.read()
    block = pixels[0, ROWS, COLS]
    pixels[0, ROWS, COLS] = np.where(block > 0, np.minimum(block * brighter + added, 65_535), 0).astype(pixels.dtype)
    strip = {name: value for name, value in profile.items() if name not in {"blockxsize", "blockysize", "tiled"}}
    painted = path.with_suffix(".painted")
    with rasterio.open(painted, "w", **{**strip, "driver": "GTiff"}) as target:
        target.write(pixels)
    copy(painted, path, driver="COG", compress="DEFLATE")
    painted.unlink()


def main(folder: Path, date: str) -> None:
    """Write the scene of that date to a folder that is not there yet."""
    shutil.copytree(SCENE, folder)
    for name, brighter, added in zip(("B2", "B3", "B4"), BRIGHTER, ADDED, strict=True):
        paint(folder / f"{name}.tif", brighter, added)
    [item] = folder.glob("*.json")
    text = item.read_text(encoding="utf-8")
    before, after = DATE.replace("-", ""), date.replace("-", "")
    text = text.replace(f"{DATE}T", f"{date}T").replace(f"224078_{before}_{before}", f"224078_{after}_{after}")
    item.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
