"""window: bytes, requests and seconds of a 5 km window out of 500 scenes (900,000 chips of 1,024 dimensions).

    python benchmarks/window.py [--scenes 500] [--windows 40] [--folder DIR]

A dataset of made-up scenes is written as collect writes them (43 x 43 chips of 2,560 m, a date every five days, some 71
scenes a square) and compacted by `clayline.steps.compacting`, as `clayline compact` does. Vectors are random numbers,
drawn once and dealt out again: what zstd leaves of them is what it leaves of Clay's (docs/schema.md, Encodings). Then
5 km windows at random places of the first square are read, each by a newly opened dataset: at all dates, and at two.

Against it: the same rows of that square as others ship them, one row group of about 150 MB a file, read by the same
reader with the same chunks of all columns. Its files are sorted as ours are (the place of the cell on a Hilbert curve,
cell, time), which favours it: a window then lies in one or two of them. How the published files are sorted, nothing was
found to say. No index is counted for it: it is taken to know its files.

Every request, listings too, waits for 50 ms, as one to S3 does at worst within a region. It needs 11 GB in --folder
(default: a temporary folder), which is deleted.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from clayline.api import Dataset
from clayline.dataset.asking import Span
from clayline.dataset.counted import Asked, CountedRoot
from clayline.dataset.folder import FolderRoot
from clayline.dataset.manifest import FILES, FRAGMENTS
from clayline.dataset.ports import Root, Stored
from clayline.dataset.scene_row import Box, SceneRow
from clayline.outputs.embedding import EmbeddingRows, SceneColumns
from clayline.outputs.region import Region
from clayline.run.encoding import VectorEncoding
from clayline.steps.compacting import Compacting
from clayline.table.dataset_tables import DatasetTables
from clayline.table.geoparquet import write_geoparquet
from clayline.table.ranged import FileAt
from clayline.table.scene_rows import encode_rows
from clayline.table.selecting import Wanted
from clayline.table.streaming import Source, open_files, pieces, stream

DIMENSIONS = 1024
SIDE = 43
"""Chips of a scene's side: those of a Sentinel-2 tile."""
A_SQUARE = 72
"""Scenes of a square's year."""
NORTH, WEST = 48.0, 9.0
HIGH, WIDE = 2560 / 111_320, 2560 / (111_320 * 0.669)
"""Degrees of a chip at 48 N."""
WINDOW = 5000 / 111_320, 5000 / (111_320 * 0.669)
OTHERS_BYTES = 150_000_000
LATENCY = 0.05
TARGET_RATIO, TARGET_TWO_DATES, TARGET_SECONDS = 30, 12e6, 2.0
TOKEN = "synthetic-v1.0-1024"  # noqa: S105 - a model's name
FIRST = datetime(2024, 1, 3, 10, 30, tzinfo=UTC)


class Distant:
    """A root of which each request takes a while."""

    def __init__(self, root: Root, seconds: float) -> None:
        self._root, self._seconds, self.uri = root, seconds, root.uri

    def list(self, prefix: str) -> Iterator[Stored]:
        """Wait once."""
        time.sleep(self._seconds)
        return self._root.list(prefix)

    def head(self, key: str) -> Stored:
        """Wait, then ask."""
        time.sleep(self._seconds)
        return self._root.head(key)

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        """Wait, then ask."""
        time.sleep(self._seconds)
        return self._root.get(key, most=most)

    def get_range(self, key: str, *, start: int, stop: int, etag: str | None = None) -> bytes:
        """Wait, then ask."""
        time.sleep(self._seconds)
        return self._root.get_range(key, start=start, stop=stop, etag=etag)


def main() -> None:
    """Print a line of JSON; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds a request")
    parser.add_argument("--folder", type=Path)
    found = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clayline-window-", dir=found.folder) as folder:
        told = measure(Path(folder), scenes=found.scenes, windows=found.windows, latency=found.latency)
    print(json.dumps(told))
    sys.exit(f"missed: {', '.join(told['missed'])}" if told["missed"] else 0)


def measure(folder: Path, *, scenes: int, windows: int, latency: float = 0.0) -> dict[str, Any]:
    """Make the dataset and read windows of it."""
    root = FolderRoot(folder / "dataset")
    begun = time.perf_counter()
    rows = make(root, folder, scenes)
    made = time.perf_counter() - begun
    compact(root, folder)
    compacted = time.perf_counter() - begun - made
    others = as_others(folder, root, rows[0])
    draw = np.random.default_rng(5)
    days = sorted({row.start.date() for row in rows if row.square == rows[0].square})
    one, two = days[0], days[min(len(days) - 1, len(days) // 2)]
    ours, theirs, both = [], [], []
    for _ in range(windows):
        box = _window(draw)
        ours.append(_read(Dataset(Distant(root, latency)), box, None))
        both.append(_read(Dataset(Distant(root, latency)), box, (one, two)))
        theirs.append(read_as_others(FolderRoot(folder / "others"), others, box))
        assert theirs[-1]["rows"] == ours[-1]["rows"], "the two ways read different chips"
    ratio = median(each["bytes"] for each in theirs) / median(each["bytes"] for each in ours)
    told = {
        "scenes": scenes,
        "chips": sum(row.rows for row in rows),
        "window_rows": _range([each["rows"] for each in ours]),
        "all_dates": _figures(ours),
        "two_dates": _figures(both),
        "two_dates_within_12_mb": round(float(np.mean([each["bytes"] <= TARGET_TWO_DATES for each in both])), 3),
        "as_others": _figures(theirs),
        "others_row_group_bytes": others[0].size,
        "fewer_bytes": round(ratio, 1),
        "latency_s": latency,
        "made_s": round(made, 1),
        "compacted_s": round(compacted, 1),
    }
    missed = {
        "fewer_bytes": ratio < TARGET_RATIO,
        "two_dates_bytes": max(each["bytes"] for each in both) > TARGET_TWO_DATES,
        "two_dates_seconds": max(each["seconds"] for each in both) > TARGET_SECONDS,
    }
    return {**told, "missed": [name for name, is_missed in missed.items() if is_missed]}


def make(root: FolderRoot, folder: Path, scenes: int) -> list[SceneRow]:
    """Write scenes' files, and a fragment of each."""
    pool = np.random.default_rng(0).standard_normal((8192, DIMENSIONS), dtype=np.float32)
    rows = []
    for number in range(scenes):
        square, turn = divmod(number, A_SQUARE)
        row = _scene(root, folder / "scene.parquet", pool, square, turn)
        assert root.put_new(FRAGMENTS + row.fragment, encode_rows([row]))
        rows.append(row)
    return rows


def _scene(root: FolderRoot, path: Path, pool: NDArray[np.float32], square: int, turn: int) -> SceneRow:
    count = SIDE * SIDE
    at = np.arange(count)
    west = WEST + square * (SIDE + 2) * WIDE
    x, y = west + at % SIDE * WIDE, NORTH - at // SIDE * HIGH
    corners = np.stack(
        [np.stack(each, axis=1) for each in [(x, y), (x + WIDE, y), (x + WIDE, y - HIGH), (x, y - HIGH)]], axis=1
    )
    start = FIRST + timedelta(days=5 * turn)
    day = f"{start:%Y%m%d}"
    name = f"32U{'QRSTVWX'[square % 7]}{'ABCDEFGH'[square // 7 % 8]}"
    chips = EmbeddingRows(
        uci=[f"{name}{k:08d}-s256g10000_{day}-{day}_s2a-msi-l2a_{TOKEN}" for k in at],
        index=at,
        cell=[f"utm32-c256p10000-s{square:03d}n{k // SIDE:04d}e{k % SIDE:04d}" for k in at],
        corners=corners,
        embeddings=pool[np.random.default_rng((square, turn)).permutation(len(pool))[:count]],
        loss=None,
        valid_fraction=np.ones(count, dtype=np.float32),
        cloud_fraction=np.full(count, 0.1, dtype=np.float32),
    )
    columns = SceneColumns(
        source_url=f"s3://scenes/{name}/{day}/B02.tif",
        date=date(2026, 11, 28),
        datetime=start,
        source_model=TOKEN,
        loss_metric=None,
        source_creator="clayline",
        dimensions=DIMENSIONS,
    )
    write_geoparquet(path, columns=columns, chunks=[chips], metadata={}, encoding=VectorEncoding.PORTABLE)
    scene = f"{square:06x}{turn:06x}"
    href = f"{TOKEN}/{scene}/{name}_{day}_{day}_v001.parquet"
    assert root.put_new(href, path)
    stored = root.head(href)
    box = Box(west=west, south=NORTH - SIDE * HIGH, east=west + SIDE * WIDE, north=NORTH)
    return SceneRow(
        token=TOKEN,
        digest=f"sha256:{'0' * 64}",
        scene=scene,
        revision=1,
        run="0" * 32,
        status="SceneEmbedded",
        item_id=f"{name}_{day}",
        instrument="s2a-msi-l2a",
        start=start,
        end=start,
        created=start,
        box=box,
        geometry=shapely.to_wkb(shapely.box(box.west, box.south, box.east, box.north)),
        gsd=10.0,
        square=name,
        rows=count,
        size=stored.size,
        etag=stored.etag,
        dimensions=DIMENSIONS,
        href=href,
    )


def compact(root: FolderRoot, folder: Path) -> None:
    """Do what `clayline compact` does."""
    scratch = folder / "scratch"
    scratch.mkdir()
    compacting = Compacting(
        root=root,
        tables=DatasetTables(),
        clock=lambda: datetime.now(UTC),
        stamp=lambda: "window",
        scratch=scratch,
        grace=timedelta(hours=24),
        spool_bytes=4 * 1024**3,
    )
    while compacting.compact().changed:
        pass


def as_others(folder: Path, root: FolderRoot, row: SceneRow) -> list[FileAt]:
    """Write the first square's rows again, in files of one row group of about 150 MB, in the order that they have."""
    found: list[FileAt] = []
    place = folder / "others"
    place.mkdir()
    a_group = OTHERS_BYTES // (4 * DIMENSIONS)
    tables: list[pa.Table] = []

    def put(table: pa.Table) -> None:
        path = place / f"{len(found):03d}.parquet"
        pq.write_table(table, path, row_group_size=table.num_rows, compression="zstd", compression_level=1)
        found.append(FileAt(key=path.name, size=path.stat().st_size, rows=table.num_rows, group_rows=table.num_rows))

    for stored in root.list(f"{FILES}{row.partition.path}/"):
        with pq.ParquetFile(root.uri + "/" + stored.key) as file:
            for group in range(file.num_row_groups):
                tables.append(file.read_row_group(group))
                if sum(table.num_rows for table in tables) >= a_group:
                    put(pa.concat_tables(tables))
                    tables = []
    if tables:
        put(pa.concat_tables(tables))
    return found


def read_as_others(root: Root, files: list[FileAt], box: tuple[float, float, float, float]) -> dict[str, Any]:
    """Read a window by its row groups' statistics, with nothing but the files' footers known before."""
    counted = CountedRoot(root)
    region = Region.of_boxes([box])
    wanted = Wanted(region=region, span=Span(), allowed=None, scene="x", revision=1)
    sources = [Source(at=at, wanted=wanted) for at in files]
    opened = open_files(counted, sources)
    before = counted.asked
    found = pieces(counted, sources, opened, None)
    kept = [replace(piece, wanted=wanted) for piece in found]
    rows = 0
    for selected in stream(counted, kept):
        rows += selected.table.num_rows
    asked: Asked = counted.asked - before
    return {"rows": rows, "bytes": asked.size, "requests": asked.requests, "seconds": 0.0}


def _read(dataset: Dataset, box: tuple[float, float, float, float], days: tuple[date, date] | None) -> dict[str, Any]:
    """Read all that there is of a window, or two dates of it."""
    begun = time.perf_counter()
    rows = dataset.read(box=box, time=None if days is None else list(days)).num_rows
    assert dataset.figures is not None
    asked = dataset.figures.together
    return {
        "rows": rows,
        "bytes": asked.size,
        "requests": asked.requests,
        "seconds": time.perf_counter() - begun,
    }


def _window(draw: np.random.Generator) -> tuple[float, float, float, float]:
    """Give a window of 5 km anywhere in the first square."""
    west = WEST + draw.random() * (SIDE * WIDE - WINDOW[1])
    south = NORTH - SIDE * HIGH + draw.random() * (SIDE * HIGH - WINDOW[0])
    return west, south, west + WINDOW[1], south + WINDOW[0]


def _figures(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "mb": _range([each["bytes"] / 1e6 for each in found]),
        "requests": _range([each["requests"] for each in found]),
        "seconds": _range([each["seconds"] for each in found]),
    }


def _range(values: list[float]) -> list[float]:
    """Give least, median and greatest."""
    return [round(float(each), 2) for each in (min(values), median(values), max(values))]


if __name__ == "__main__":
    main()
