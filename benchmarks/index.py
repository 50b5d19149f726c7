"""index: what appending one scene costs, to an empty index and to one of 100,000 scenes.

    python benchmarks/index.py [--scenes 100000]

The index is made by the compactor itself, over a root in memory that counts requests and bytes, from fragments of 2,000
rows each (one each would take an hour to make up); the scenes' own files are not there, for none of them is read. Then
one more scene is indexed as `clayline index` does it. Target: 1.0 times the requests and bytes of
the first. Also told: what a reader asks for to open the index, and to find the scenes of a 5 km window.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.dataset.compactors import compacting, index
from tests.dataset.scenes import MadeUp
from tests.dataset.world import NOON, Memory, scene_row

from clayline.api.index import Index
from clayline.dataset.asking import Span
from clayline.dataset.manifest import FRAGMENTS
from clayline.dataset.scene_row import Box, SceneRow
from clayline.outputs.region import Region
from clayline.table.index_reading import read_manifest
from clayline.table.scene_rows import encode_rows

SIDE = 0.05
A_FILE = 2_000


def main() -> int:
    """Measure; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100_000)
    scenes = parser.parse_args().scenes
    root = Memory()
    first = append(root, MadeUp(number=1, square="01CDM", rows=64))
    with tempfile.TemporaryDirectory() as scratch:
        compactor = compacting(root, Path(scratch), "index", spool_bytes=0)  # the index alone
        for start in range(10, scenes + 9, A_FILE):
            rows = [placed(number) for number in range(start, min(start + A_FILE, scenes + 9))]
            root.objects[FRAGMENTS + rows[0].fragment] = encode_rows(rows), root.now
        begun = time.perf_counter()
        compactor.compact()
        seconds = time.perf_counter() - begun
    manifest, _ = read_manifest(root)
    later = append(root, MadeUp(number=2, square="01CDM", rows=64))
    requests = sum(later[0].values()) / sum(first[0].values())
    moved = later[1] / first[1]
    root.requests.clear()
    root.moved.clear()
    index = Index(root)
    assert index.snapshot
    opened = dict(root.requests), dict(root.moved)
    window = Region.of_boxes([(8.0, 50.0, 8.05, 50.05)])
    found = index.choose(window, Span(), model=None, every_revision=False).newest
    values = {
        "index.scenes": manifest.scenes,
        "index.parts": len(manifest.parts),
        "index.append_requests": later[0],
        "index.append_bytes": later[1],
        "index.append_requests_ratio": requests,
        "index.append_bytes_ratio": round(moved, 3),
        "index.open_requests": opened[0],
        "index.open_bytes": opened[1].get("get", 0),
        "index.find_requests": root.requests["get"],
        "index.find_bytes": root.moved["get"],
        "index.found": len(found),
        "index.pass_seconds": round(seconds, 2),
    }
    print(json.dumps(values, indent=1))
    met = requests == 1.0 and abs(moved - 1) < 0.01
    print("target met" if met else "target MISSED")
    return 0 if met else 1


def append(root: Memory, scene: MadeUp) -> tuple[dict[str, int], int]:
    """Index a scene; gives its requests by kind, and its bytes."""
    scene.land(root)
    root.requests.clear()
    root.moved.clear()
    index(root, scene)
    return dict(root.requests), sum(root.moved.values())


def placed(number: int) -> SceneRow:
    """Give the row of a scene: places all over Europe, some 70 dates each."""
    place = number // 70
    west, south = -10 + place % 50, 35 + place // 50 % 30
    row = scene_row(number, square=f"{30 + place % 8}U{chr(65 + place % 8)}{chr(65 + place // 8 % 8)}")
    start = NOON + timedelta(days=5 * (number % 70))
    return replace(
        row, start=start, end=start, box=Box(west=west, south=south, east=west + SIDE * 20, north=south + SIDE * 20)
    )


if __name__ == "__main__":
    sys.exit(main())
