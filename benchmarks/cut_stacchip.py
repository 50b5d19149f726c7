"""stacchip's way through a scene, in its own environment: ``cut.py`` runs this in a process of its own.

    .venv-stacchip/bin/python benchmarks/cut_stacchip.py FOLDER SIDE

The scene's files are FOLDER/NAME.tif. Prints chips, seconds and the digest of chips as cut.py takes it.
"""

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pystac
from stacchip.chipper import Chipper
from stacchip.indexer import NoStatsChipIndexer

CHIP = 256
PROJECTION = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"


def item_of(folder: Path, side: int) -> pystac.Item:
    """Give a STAC Item of the scene's files, with what stacchip asks of one."""
    item = pystac.Item(
        id="scene",
        geometry=None,
        bbox=None,
        datetime=datetime(2024, 1, 1, tzinfo=UTC),
        properties={"proj:epsg": 32633, "proj:shape": [side, side], "proj:transform": [10, 0, 0, 0, -10, 0]},
        stac_extensions=[PROJECTION],
    )
    for path in sorted(folder.glob("b*.tif")):
        item.add_asset(path.stem, pystac.Asset(href=str(path)))
    return item


def main() -> None:
    """Cut every chip that stacchip gives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("side", type=int)
    chosen = parser.parse_args()
    chipper = Chipper(NoStatsChipIndexer(item_of(chosen.folder, chosen.side), chip_size=CHIP))
    begun, total = time.perf_counter(), 0
    for _, _, bands in chipper:
        total += sum(int(pixels[0, 0, 0]) for pixels in bands.values())
    print(json.dumps({"chips": len(chipper), "seconds": time.perf_counter() - begun, "upper_left": total}))


if __name__ == "__main__":
    main()
