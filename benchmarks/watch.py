"""watch: what holding a scene of 1,849 chips against watches takes, beside embedding it.

    python benchmarks/watch.py [--chips 1849] [--dimensions 1024]

The step that the function runs, over a folder: time and dollars of the function by the memory that template.yaml gives
it, requests as S3 prices them, for no watch, one, and ten, all of which match, or none. The scene's embedding is
docs/cost.md's: dollars a scene on the cheapest instance, and beside the endpoint. Target: under 1 % of it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.dataset import scenes
from tests.dataset.scenes import MadeUp
from tests.likeness import watches
from tests.likeness.watches import NOW, keep, watch_of

from clayline.dataset.counted import Asked, CountedRoot
from clayline.dataset.folder import FolderRoot
from clayline.likeness.centring import Centre
from clayline.run.announced import Announced
from clayline.run.prices import built_in
from clayline.steps.watching import Watching
from clayline.table.scene_chips import open_scene

MEMORY_GB = 1.0
"""WatchMemory."""
EMBEDDING_USD = 0.00582 + 0.0053
"""docs/cost.md: a busy ml.g6e.xlarge, the cheapest of its table, and what comes beside the endpoint."""
TRIES = 3


class Large(MadeUp):
    """A scene of more chips than a made-up one's identifiers have rows for."""

    @property
    def ucis(self) -> list[str]:
        """Its identifiers, ascending."""
        first = MadeUp(number=2, rows=1).ucis[0]
        return [first.replace("-r00000c", f"-r{chip:05d}c") for chip in range(self.rows)]


class Quiet:
    """A bus that nobody listens to."""

    def announce(self, detail_type: str, detail: object) -> None:
        """Take it as EventBridge's JSON."""
        json.dumps([detail_type, detail])


def main() -> int:
    """Measure; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=1_849)
    parser.add_argument("--dimensions", type=int, default=1_024)
    given = parser.parse_args()
    scenes.DIMENSIONS = given.dimensions
    watches.CENTRE = Centre(values=watches.CENTRE.values.repeat(given.dimensions // 8), by="rows")
    scene = Large(number=2, rows=given.chips)
    found = {f"watch.{count}": measured(scene, count) for count in (0, 1, 10)}
    found |= {f"watch.{count}.none_matches": measured(scene, count, threshold=1.0) for count in (1, 10)}
    print(json.dumps(found, indent=1))
    return 0


def measured(scene: MadeUp, count: int, *, threshold: float = 0.05) -> dict[str, float]:
    """Answer an announcement as the function does, with so many watches; gives the quickest of some tries."""
    seconds, asked, written, matched = float("inf"), Asked(), 0, 0
    for _ in range(TRIES):
        with tempfile.TemporaryDirectory() as folder:
            root = FolderRoot(Path(folder))
            scene.land(root)
            for number in range(count):
                keep(root, watch_of(MadeUp(number=1, rows=64), chip=number, name=f"w{number}", threshold=threshold))
            counted = CountedWrites(root)
            step = Watching(root=counted, open_scene=open_scene, announcer=Quiet(), clock=lambda: NOW, root_name="")
            event = Announced(
                run=scene.row.run,
                status="SceneEmbedded",
                scene="scene",
                outputs={"receipt": scene.file.receipt},
                landed_uri="s3://scenes/item.json",
                repeated=False,
            )
            begun = time.perf_counter()
            answer = step.answer(event)
            seconds = min(seconds, time.perf_counter() - begun)
            asked, written = counted.asked, counted.written
            assert len(answer.receipts) == count
            matched = sum(receipt.matched > 0 for receipt in answer.receipts)
            assert matched == (count if threshold < 1 else 0)
    each = built_in().services
    function = seconds * MEMORY_GB * each.lambda_gb_second.each
    requests = (
        asked.gets * each.s3_read.each
        + (asked.lists + written) * each.s3_write.each
        + 3 * each.sqs_request.each
        + each.lambda_call.each
        + matched * each.event.each
    )
    return {
        "seconds": round(seconds, 4),
        "reads": asked.gets,
        "lists": asked.lists,
        "writes": written,
        "function_usd": function,
        "requests_usd": requests,
        "of_embedding": (function + requests) / EMBEDDING_USD,
    }


class CountedWrites(CountedRoot):
    """A root that counts what is written, too."""

    def __init__(self, root: FolderRoot) -> None:
        """Take the place."""
        super().__init__(root)
        self._folder = root
        self.written = 0

    def put_new(self, key: str, body: bytes | Path) -> bool:
        """As the place's own."""
        self.written += 1
        return self._folder.put_new(key, body)

    def replace(self, key: str, body: bytes, *, etag: str | None) -> bool:
        """As the place's own."""
        self.written += 1
        return self._folder.replace(key, body, etag=etag)

    def discard(self, keys: Sequence[str]) -> None:
        """As the place's own."""
        self._folder.discard(keys)


if __name__ == "__main__":
    raise SystemExit(main())
